package e2ee

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// KeySize is the length of a root key in bytes.
const KeySize = 32

// Key is a root key. It prints as nothing but its kind, so that it cannot end up in a log by accident.
type Key struct{ b [KeySize]byte }

// NewKey draws a random key.
func NewKey() Key {
	var k Key
	rand.Read(k.b[:]) // never fails: crypto/rand ends the process instead
	return k
}

// ParseKey reads a key from standard base64, as in aesKey. It refuses a weak one with ErrWeakKey.
func ParseKey(s string) (Key, error) {
	var k Key
	raw, err := decode(base64.StdEncoding, s)
	if err != nil || len(raw) != KeySize {
		return k, fmt.Errorf("e2ee: a key is %d bytes in base64 (%d characters)", KeySize, base64.StdEncoding.EncodedLen(KeySize))
	}
	copy(k.b[:], raw)
	if k.weak() {
		return Key{}, ErrWeakKey
	}
	return k, nil
}

// Base64 is the key in the form that ParseKey reads.
func (k Key) Base64() string { return base64.StdEncoding.EncodeToString(k.b[:]) }

// Equal compares in constant time.
func (k Key) Equal(o Key) bool { return subtle.ConstantTimeCompare(k.b[:], o.b[:]) == 1 }

func (k Key) String() string   { return "e2ee.Key" }
func (k Key) GoString() string { return "e2ee.Key{}" }

// KeyCheck is what the server holds of the key, to tell a client with a wrong one: 32 hex digits from which the key
// does not follow.
func (k Key) KeyCheck(session string) string {
	return fmt.Sprintf("%x", k.derive([]byte(session), "fastport/2/keycheck", 16))
}

// FCMKey is the key of push envelopes, the one derived key that a server gets: base64 of 32 bytes, for createSession.
func (k Key) FCMKey(session string) string {
	return base64.StdEncoding.EncodeToString(k.derive([]byte(session), infoFCM, KeySize))
}

// weak reports whether every byte differs from the one before by the same 0, 1 or -1.
func (k Key) weak() bool {
	step := k.b[1] - k.b[0]
	if step != 0 && step != 1 && step != 0xff {
		return false
	}
	for i := 1; i < KeySize; i++ {
		if k.b[i]-k.b[i-1] != step {
			return false
		}
	}
	return true
}

func (k Key) derive(salt []byte, info string, n int) []byte {
	out, err := hkdf.Key(sha256.New, k.b[:], salt, info, n)
	if err != nil { // only lengths can be wrong, and they are constants
		panic(err)
	}
	return out
}

// decode is base64 without the leniences of the standard library: no line breaks, no stray bits.
func decode(enc *base64.Encoding, s string) ([]byte, error) {
	if strings.IndexByte(s, '\n') >= 0 || strings.IndexByte(s, '\r') >= 0 {
		return nil, errNotBase64
	}
	return enc.Strict().DecodeString(s)
}

var errNotBase64 = errors.New("e2ee: not base64")
