package e2ee

import (
	"bytes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"
)

// Layout of suite 2's data, behind "2." and base64url: kid(4) ‖ S(16) ‖ counter(8) ‖ ciphertext ‖ tag(16).
const (
	prefix2    = "2."
	kidSize    = 4
	senderSize = 16
	headSize   = kidSize + senderSize + 8
	tagSize    = 16
)

// A sender's key is given up after so many messages or so long, whichever comes first.
const (
	maxCounter = 1 << 31
	maxAge     = 24 * time.Hour
)

// Header is what a message's seal binds besides its session: moved to another place, it does not open.
type Header struct {
	Topic     string
	MessageID string
	Timestamp int64 // ms
}

// Mark names one sealed message: who sealed it (a random name that changes at least daily) and its number.
// A [ReplayGuard] takes it.
type Mark struct {
	Sender  [senderSize]byte
	Counter uint64
}

// Hash is the "hash" of data as sent: lower-case hex of its SHA-256.
func Hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// IsSuite2 reports whether data has suite 2's prefix; anything else is suite 1 or not ours.
func IsSuite2(data []byte) bool { return bytes.HasPrefix(data, []byte(prefix2)) }

// Sealer seals messages with the newest key of a ring, under a key of its own. It is safe for concurrent use.
type Sealer struct {
	ring *KeyRing
	now  func() time.Time

	mu      sync.Mutex // guards the following
	aead    cipher.AEAD
	salt    [senderSize]byte
	counter uint64
	born    time.Time
}

// NewSealer starts a sender. Each process, and each client in it, has its own.
func (r *KeyRing) NewSealer() *Sealer { return &Sealer{ring: r, now: time.Now} }

// Seal seals plaintext for the place that h names, as suite 2's data. It fails only if the ring's randomness does.
func (s *Sealer) Seal(h Header, plaintext []byte) ([]byte, error) {
	aead, mark, err := s.next()
	if err != nil {
		return nil, err
	}
	raw := make([]byte, 0, headSize+len(plaintext)+tagSize)
	raw = append(raw, s.ring.keys[0].kid[:]...)
	raw = append(raw, mark.Sender[:]...)
	raw = binary.BigEndian.AppendUint64(raw, mark.Counter)
	raw = aead.Seal(raw, nonce(mark.Counter), plaintext, aad(s.ring.session, h))

	data := make([]byte, 0, len(prefix2)+base64.RawURLEncoding.EncodedLen(len(raw)))
	return base64.RawURLEncoding.AppendEncode(append(data, prefix2...), raw), nil
}

// next takes the sender's next number. No number is ever given out twice under one key.
func (s *Sealer) next() (cipher.AEAD, Mark, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.now(); s.aead == nil || s.counter >= maxCounter || now.Sub(s.born) >= maxAge {
		var salt [senderSize]byte
		if _, err := io.ReadFull(s.ring.rand, salt[:]); err != nil {
			return nil, Mark{}, fmt.Errorf("e2ee: random: %w", err)
		}
		s.aead, _ = s.ring.messageKey(s.ring.keys[0], salt)
		s.salt, s.counter, s.born = salt, 0, now
	}
	m := Mark{Sender: s.salt, Counter: s.counter}
	s.counter++
	return s.aead, m, nil
}

// Open opens suite 2's data, which must have been sealed for the place that h names. The errors are those of the
// package comment. The mark is for a [ReplayGuard]: Open itself remembers nothing.
func (r *KeyRing) Open(h Header, data []byte) (plaintext []byte, m Mark, err error) {
	if !IsSuite2(data) {
		return nil, m, ErrMalformed
	}
	raw, err := decode(base64.RawURLEncoding, string(data[len(prefix2):]))
	if err != nil || len(raw) < headSize+tagSize {
		return nil, m, ErrMalformed
	}
	kid := [kidSize]byte(raw)
	m.Sender = [senderSize]byte(raw[kidSize:])
	m.Counter = binary.BigEndian.Uint64(raw[kidSize+senderSize:])
	sealed, bound := raw[headSize:], aad(r.session, h)

	known := false
	for _, k := range r.keys {
		if k.kid != kid {
			continue
		}
		known = true // and go on: two keys may share their four bytes
		aead, cached := r.messageKey(k, m.Sender)
		if plaintext, err = aead.Open(nil, nonce(m.Counter), sealed, bound); err == nil {
			if !cached {
				r.remember(k, m.Sender, aead)
			}
			return plaintext, m, nil
		}
	}
	if !known {
		return nil, Mark{}, &UnknownKeyError{KID: kid}
	}
	return nil, Mark{}, ErrAuthentication
}

func nonce(counter uint64) []byte {
	n := make([]byte, 12)
	binary.BigEndian.PutUint64(n[4:], counter)
	return n
}

// aad binds a message to its place. Each part has its length in front, so that no two places give the same bytes.
func aad(session string, h Header) []byte {
	out := make([]byte, 0, 128)
	var digits [20]byte
	for _, part := range [...][]byte{
		[]byte("fastport/2"), []byte(session), []byte(h.Topic), []byte(h.MessageID), strconv.AppendInt(digits[:0], h.Timestamp, 10),
	} {
		out = binary.BigEndian.AppendUint32(out, uint32(len(part)))
		out = append(out, part...)
	}
	return out
}
