package session

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/crypto/argon2"

	"github.com/fastport/fastport/protocol"
)

// Costs of argon2id: some 25 ms on one core, and 19 MiB.
const (
	argonMemory  = 19456 // KiB
	argonTime    = 2
	argonThreads = 1
	saltSize     = 16
	hashSize     = 32
)

// Bounds of what waits to be hashed: beyond them a login is told to come back, since its client would have given up
// before its turn.
const (
	maxWaitingHashes  = 512 // in all
	maxWaitingAddress = 256 // of one address
)

var errBusy = protocol.Errorf(protocol.RateLimited, "too many logins at once, try again in a moment")

// hasher runs argon2id: one a core at a time, and for one address one at a time, so that nobody's guesses keep every
// core from everybody else.
type hasher struct {
	cores chan struct{}
	count atomic.Int64 // hashes begun

	mu      sync.Mutex // guards the following
	waiting int        // those at it included
	lanes   map[netip.Prefix]*lane
}

// lane is an address that has hashes under way or waiting.
type lane struct {
	turn  chan struct{}
	users int
}

func newHasher() *hasher {
	return &hasher{cores: make(chan struct{}, runtime.GOMAXPROCS(0)), lanes: map[netip.Prefix]*lane{}}
}

// enter waits for the address's turn and a core; leave must be called. errBusy where too many wait, or ctx is done first.
// An address that is not valid is nobody's: it waits for a core only.
func (h *hasher) enter(ctx context.Context, from netip.Addr) (leave func(), err error) {
	address := AddressKey(from)
	h.mu.Lock()
	l := h.lanes[address]
	if l == nil {
		l = &lane{turn: make(chan struct{}, 1)}
	}
	if h.waiting >= maxWaitingHashes || address.IsValid() && l.users >= maxWaitingAddress {
		h.mu.Unlock()
		return nil, errBusy
	}
	h.waiting++
	l.users++
	if address.IsValid() {
		h.lanes[address] = l
	}
	h.mu.Unlock()

	forget := func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.waiting--
		if l.users--; l.users == 0 {
			delete(h.lanes, address)
		}
	}
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		forget()
		return nil, errBusy
	}
	select {
	case h.cores <- struct{}{}:
	case <-ctx.Done():
		<-l.turn
		forget()
		return nil, errBusy
	}
	return func() {
		<-h.cores
		<-l.turn
		forget()
	}, nil
}

// AddressKey is what limits count an address as. An IPv6 address stands for its /64: whoever has one has all of it.
func AddressKey(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		return netip.PrefixFrom(a, 64).Masked()
	}
	if !a.IsValid() {
		return netip.Prefix{}
	}
	return netip.PrefixFrom(a, a.BitLen())
}

func (h *hasher) derive(password, salt []byte) []byte {
	h.count.Add(1)
	return argon2.IDKey(password, salt, argonTime, argonMemory, argonThreads, hashSize)
}

// hash makes the PHC string of a password. The caller has entered.
func (h *hasher) hash(password []byte) string {
	salt := make([]byte, saltSize)
	rand.Read(salt)
	b64 := base64.RawStdEncoding
	return argonPrefix + b64.EncodeToString(salt) + "$" + b64.EncodeToString(h.derive(password, salt))
}

var argonPrefix = fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$", argon2.Version, argonMemory, argonTime, argonThreads)

// verify compares a password with a PHC string. An empty string stands for a session that is not there: it costs the
// same, and is never right. The caller has entered.
func (h *hasher) verify(phc string, password []byte) (bool, error) {
	salt, want := make([]byte, saltSize), make([]byte, hashSize)
	if phc != "" {
		var err error
		if salt, want, err = parsePHC(phc); err != nil {
			return false, err
		}
	}
	same := subtle.ConstantTimeCompare(h.derive(password, salt), want) == 1
	return same && phc != "", nil
}

// parsePHC takes what hash makes. Other costs are refused rather than computed: they would tell their sessions apart.
func parsePHC(phc string) (salt, hash []byte, err error) {
	rest, ok := strings.CutPrefix(phc, argonPrefix)
	saltText, hashText, split := strings.Cut(rest, "$")
	if !ok || !split {
		return nil, nil, fmt.Errorf("session: password hash of another kind than %s…", argonPrefix)
	}
	b64 := base64.RawStdEncoding.Strict()
	if salt, err = b64.DecodeString(saltText); err != nil || len(salt) != saltSize {
		return nil, nil, fmt.Errorf("session: password hash with a broken salt")
	}
	if hash, err = b64.DecodeString(hashText); err != nil || len(hash) != hashSize {
		return nil, nil, fmt.Errorf("session: password hash is broken")
	}
	return salt, hash, nil
}
