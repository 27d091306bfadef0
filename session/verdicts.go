package session

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"sync"
	"time"

	"github.com/fastport/fastport/protocol"
)

const (
	goodLife    = 5 * time.Minute
	badLife     = 10 * time.Second
	maxVerdicts = 1 << 16 // a hash stands behind each, so guesses cannot fill it
)

// mac names a password in memory: a keyed hash under a key that only this process has, and only while it runs.
type mac [sha256.Size]byte

// verdicts remembers which passwords were right and which were wrong, so that a reconnect storm costs no hashing.
// What is remembered is for one version of one session: after any change it is never asked for again.
type verdicts struct {
	hashes sync.Pool // of *keyed

	mu    sync.Mutex // guards the following
	byMAC map[mac]verdict
}

type verdict struct {
	good  bool
	until time.Time
}

// keyed is a hash under the key, and what it takes at once.
type keyed struct {
	hash.Hash
	text []byte
}

func newVerdicts() *verdicts {
	key := make([]byte, sha256.Size)
	rand.Read(key)
	v := &verdicts{byMAC: map[mac]verdict{}}
	v.hashes.New = func() any { return &keyed{Hash: hmac.New(sha256.New, key)} }
	return v
}

// mac hashes parts, each behind its length.
func (v *verdicts) mac(number uint64, parts ...string) (m mac) {
	h := v.hashes.Get().(*keyed)
	defer v.hashes.Put(h)
	h.text = binary.BigEndian.AppendUint64(h.text[:0], number)
	for _, part := range parts {
		h.text = binary.BigEndian.AppendUint64(h.text, uint64(len(part)))
		h.text = append(h.text, part...)
	}
	h.Reset()
	h.Write(h.text)
	clear(h.text) // there is a password in it
	h.Sum(m[:0])
	return m
}

// of names a password for one version of a session, or, where r has none, for a name that nobody has.
func (v *verdicts) of(r row, name, password string) mac {
	if r.session.ID == "" {
		return v.mac(0, "nobody", name, password)
	}
	return v.mac(uint64(r.session.Version), "session", r.session.ID, password)
}

func (v *verdicts) look(m mac) (good, known bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	d, ok := v.byMAC[m]
	if !ok || !time.Now().Before(d.until) {
		return false, false
	}
	return d.good, true
}

func (v *verdicts) put(m mac, good bool) {
	now := time.Now()
	d := verdict{good: good, until: now.Add(badLife)}
	if good {
		d.until = now.Add(goodLife)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.byMAC) >= maxVerdicts {
		for m, d := range v.byMAC {
			if !now.Before(d.until) {
				delete(v.byMAC, m)
			}
		}
	}
	if len(v.byMAC) >= maxVerdicts {
		clear(v.byMAC)
	}
	v.byMAC[m] = d
}

// flights lets one caller do what many want to know at the same time.
type flights struct {
	mu    sync.Mutex // guards the following
	byMAC map[mac]*flight
}

type flight struct {
	landed chan struct{}
	err    error
	shared bool // whether err is everybody's answer, or the leader's own trouble
}

func newFlights() *flights { return &flights{byMAC: map[mac]*flight{}} }

// do runs check, or waits for whoever is at it. A leader that gives up (its connection is gone, its address has too
// many checks) answers for itself alone: one of those who wait takes its place.
func (f *flights) do(ctx context.Context, m mac, check func() error) error {
	for {
		f.mu.Lock()
		current, flying := f.byMAC[m]
		if !flying {
			current = &flight{landed: make(chan struct{})}
			f.byMAC[m] = current
		}
		f.mu.Unlock()
		if !flying {
			return f.lead(ctx, m, current, check)
		}
		select {
		case <-current.landed:
			if current.shared {
				return current.err
			}
		case <-ctx.Done():
			return errBusy
		}
	}
}

func (f *flights) lead(ctx context.Context, m mac, current *flight, check func() error) error {
	defer func() {
		f.mu.Lock()
		delete(f.byMAC, m)
		f.mu.Unlock()
		close(current.landed)
	}()
	err := check()
	var refused *protocol.Error
	busy := errors.As(err, &refused) && refused.Code == protocol.RateLimited
	current.err, current.shared = err, !busy && ctx.Err() == nil
	return err
}
