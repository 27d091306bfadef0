package session

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"net/netip"

	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/storage"
)

// What a login hears. A wrong password and a session that does not exist are one answer, byte for byte.
var (
	errUnauthorized = protocol.Errorf(protocol.Unauthorized, "sessionName or password is wrong")
	errNotOwner     = protocol.Errorf(protocol.Unauthorized, "sessionName, password or secretKey is wrong")
	errSuspended    = protocol.Errorf(protocol.SessionSuspended, "the session is suspended")
	errExpired      = protocol.Errorf(protocol.SessionExpired, "the session has expired")
	errChanging     = protocol.Errorf(protocol.Unavailable, "the session is changing, try again")
)

// Authenticate checks a session's password for a client at an address, and returns the session it opens. It may wait
// for other checks, until ctx is done. Errors are *protocol.Error: unauthorized for a wrong password and for an unknown
// session, which cost the same; session_suspended or session_expired, told only to who has the password; rate_limited;
// unavailable.
func (c *Catalog) Authenticate(ctx context.Context, name, password string, from netip.Addr) (storage.Session, error) {
	r, err := c.prove(ctx, name, password, from)
	if err != nil {
		return storage.Session{}, err
	}
	if err := r.usable(); err != nil {
		return storage.Session{}, err
	}
	return r.session, nil
}

// Remembered is Authenticate for a password that is remembered as right, of a session that may be used. It does not
// wait. False: Authenticate has the answer.
func (c *Catalog) Remembered(name, password string) (storage.Session, bool) {
	r, ok := c.remembered(name, password)
	if !ok || r.usable() != nil {
		return storage.Session{}, false
	}
	c.checks.Count(checkResult(nil))
	return r.session, true
}

// AuthorizeOwner checks the password and the secretKey, for what only a session's owner may do: also to one that is
// suspended or has expired. Errors as Authenticate's, without the last two of the session.
func (c *Catalog) AuthorizeOwner(ctx context.Context, name, password, secretKey string, from netip.Addr) (storage.Session, error) {
	r, err := c.prove(ctx, name, password, from)
	if err == errUnauthorized {
		return storage.Session{}, errNotOwner
	}
	if err != nil {
		return storage.Session{}, err
	}
	hash := sha256.Sum256([]byte(secretKey))
	if subtle.ConstantTimeCompare(hash[:], r.session.SecretHash) != 1 {
		return storage.Session{}, errNotOwner
	}
	return r.session, nil
}

func (r *row) usable() error {
	switch {
	case r.session.Suspended:
		return errSuspended
	case r.expired():
		return errExpired
	}
	return nil
}

// prove finds the session that a password belongs to.
//
// A right password that is remembered costs one keyed hash. Everything else costs one read of the store and, unless
// the answer is remembered, one argon2id, whether there is such a session or not: the quick way is for the right
// password alone, so that no guess can tell a name in use from another.
func (c *Catalog) prove(ctx context.Context, name, password string, from netip.Addr) (found row, err error) {
	defer func() { c.checks.Count(checkResult(err)) }()
	if !protocol.ValidSessionName(name) || !protocol.ValidPassword([]byte(password)) {
		return row{}, errUnauthorized
	}
	// A verdict is not an answer: the session may have changed while others waited for it. So everyone looks again.
	for range 5 {
		if r, ok := c.remembered(name, password); ok {
			return r, nil
		}
		// The epoch parts what was asked before a change from what is asked after it.
		m := c.verdicts.mac(c.rows.now(), "flight", name, password)
		err := c.flights.do(ctx, m, func() error { return c.check(ctx, name, password, from) })
		if err != nil {
			return row{}, c.refusal("login", err)
		}
	}
	return row{}, errChanging
}

// remembered finds a session whose row is fresh, and whose password is known to be this.
func (c *Catalog) remembered(name, password string) (row, bool) {
	r, ok := c.rows.fresh(name)
	if !ok {
		return row{}, false
	}
	good, known := c.verdicts.look(c.verdicts.of(r, name, password))
	return r, known && good
}

// check reads the session's row and settles whether the password is its own.
func (c *Catalog) check(ctx context.Context, name, password string, from netip.Addr) error {
	r, err := c.load(ctx, name)
	if err != nil {
		return err
	}
	m := c.verdicts.of(r, name, password)
	good, known := c.verdicts.look(m)
	if !known {
		leave, err := c.hasher.enter(ctx, from)
		if err != nil {
			return err
		}
		good, err = c.hasher.verify(r.session.PasswordHash, []byte(password))
		leave()
		if err != nil {
			return err
		}
		c.verdicts.put(m, good)
	}
	if !good {
		return errUnauthorized
	}
	return nil
}

// Credential is a JSON string, and empty where something else stands in its place: malformed credentials are wrong
// ones, and are refused as such.
type Credential string

// UnmarshalJSON never fails.
func (c *Credential) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) == nil {
		*c = Credential(s)
	}
	return nil
}
