package e2ee

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"sync"
)

// maxSenders bounds the cache of message keys: a message from a sender beyond it costs one derivation more.
const maxSenders = 1024

// KeyRing holds the keys of one session. It is immutable and safe for concurrent use.
type KeyRing struct {
	session string
	keys    []ringKey // newest first
	rand    io.Reader

	mu      sync.Mutex // guards the following
	senders map[sender]cipher.AEAD
}

type ringKey struct {
	Key
	kid [4]byte
}

// sender names a message key: the root key that it follows from, and the salt.
type sender struct {
	kid  [4]byte
	salt [senderSize]byte
}

// NewKeyRing holds keys of a session, the newest first. It refuses an empty ring and weak keys.
func NewKeyRing(session string, newest Key, older ...Key) (*KeyRing, error) {
	return newKeyRing(rand.Reader, session, append([]Key{newest}, older...))
}

// ParseKeyRing is NewKeyRing for keys in base64, the newest first.
func ParseKeyRing(session string, keys ...string) (*KeyRing, error) {
	parsed := make([]Key, 0, len(keys))
	for _, s := range keys {
		k, err := ParseKey(s)
		if err != nil {
			return nil, err
		}
		parsed = append(parsed, k)
	}
	return newKeyRing(rand.Reader, session, parsed)
}

func newKeyRing(random io.Reader, session string, keys []Key) (*KeyRing, error) {
	if session == "" {
		return nil, errors.New("e2ee: a key ring needs its session's name")
	}
	if len(keys) == 0 {
		return nil, errors.New("e2ee: a key ring needs a key")
	}
	r := &KeyRing{session: session, rand: random, senders: make(map[sender]cipher.AEAD)}
	for _, k := range keys {
		if k.weak() { // the zero Key, above all
			return nil, ErrWeakKey
		}
		rk := ringKey{Key: k}
		copy(rk.kid[:], k.derive([]byte(session), "fastport/2/kid", len(rk.kid)))
		r.keys = append(r.keys, rk)
	}
	return r, nil
}

// Session is the name of the session whose keys these are.
func (r *KeyRing) Session() string { return r.session }

// Newest is the key that the ring seals with.
func (r *KeyRing) Newest() Key { return r.keys[0].Key }

// KID names the newest key inside its session.
func (r *KeyRing) KID() [4]byte { return r.keys[0].kid }

// Holds reports whether check is the key check of any key in the ring: a session may have been created with an older
// one.
func (r *KeyRing) Holds(check string) bool {
	for _, k := range r.keys {
		if k.KeyCheck(r.session) == check { // both are public to the server: nothing to hide by constant time
			return true
		}
	}
	return false
}

// messageKey is the AEAD of a sender's messages, from the cache if it is there.
func (r *KeyRing) messageKey(k ringKey, salt [senderSize]byte) (aead cipher.AEAD, cached bool) {
	r.mu.Lock()
	aead, cached = r.senders[sender{k.kid, salt}]
	r.mu.Unlock()
	if !cached {
		aead = newGCM(k.derive(salt[:], "fastport/2/message/"+r.session, KeySize))
	}
	return aead, cached
}

// remember caches a sender's key once a message has proved that the sender is real. A full cache loses any one entry.
func (r *KeyRing) remember(k ringKey, salt [senderSize]byte, aead cipher.AEAD) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.senders) >= maxSenders {
		for s := range r.senders {
			delete(r.senders, s)
			break
		}
	}
	r.senders[sender{k.kid, salt}] = aead
}

func newGCM(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err == nil {
		var aead cipher.AEAD
		if aead, err = cipher.NewGCM(block); err == nil {
			return aead
		}
	}
	panic(fmt.Sprintf("e2ee: %v", err)) // only a key of a wrong length
}
