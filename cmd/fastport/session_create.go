package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/fastport/fastport/client"
	"github.com/fastport/fastport/client/e2ee"
	"github.com/fastport/fastport/protocol"
)

func sessionCreateCommand() command {
	return command{
		name: "create", args: "SESSION", summary: "make a session, its key and its password",
		about: `Makes a session, with a new key and password unless the environment or files give them, and prints what there is to keep.
The key never leaves this machine: the broker gets a check of it and the key of push envelopes, from which it does not
follow. With --save a profile is written that the other commands find by the session's name; copied to another device,
into the same folder, it lets that one in as well. A broker that lets operators alone make sessions wants
FASTPORT_ADMIN_PASS (and FASTPORT_ADMIN_USER, if it is not admin).`,
		examples: `fastport session create demo --save
fastport session create demo --save --url https://broker.example.com
fastport session create demo --json > demo.json
fastport session create meeting --save --session-expiry 8h --suite 2`,
		define: func(fs *flag.FlagSet) action {
			var c creation
			c.access.declareURL(fs)
			c.access.declareSecrets(fs)
			fs.BoolVar(&c.save, "save", false, "write a profile, so that other commands need the session's name alone")
			fs.BoolVar(&c.replace, "replace", false, "let --save replace a profile of the same session")
			fs.BoolVar(&c.json, "json", false, "print it as a profile is written")
			fs.IntVar(&c.suite, "suite", 0, "`2` has the broker refuse what is sealed in another way; else it takes any")
			fs.DurationVar(&c.retryInterval, "retry-interval", 0, "send again what is unacked for this `TIME` (default 5s)")
			fs.IntVar(&c.maxRetryLimit, "max-retry-limit", -1, "give up after `N` retries (default 100)")
			fs.StringVar(&c.messageExpiry, "message-expiry", "", "keep unacked messages for this `TIME`, or max for as long as the broker allows (default 1h)")
			fs.DurationVar(&c.sessionExpiry, "session-expiry", 0, "end the session after this `TIME` (default: never)")
			fs.DurationVar(&c.subscriptionExpiry, "subscription-expiry", 0, "forget subscribers not seen for this `TIME` (default 168h)")
			return func(ctx context.Context, e *env, args []string) error {
				if err := need(fs, args, 1, 1, "a name for the session"); err != nil {
					return err
				}
				return c.run(ctx, e, args[0])
			}
		},
	}
}

// creation is what `session create` is told.
type creation struct {
	access              access
	save, replace, json bool
	suite               int
	retryInterval       time.Duration
	maxRetryLimit       int // -1: the broker's default
	messageExpiry       string
	sessionExpiry       time.Duration
	subscriptionExpiry  time.Duration
}

func (c *creation) run(ctx context.Context, e *env, session string) error {
	if err := checkName(session); err != nil {
		return err
	}
	home, err := profilesOf(e)
	if err != nil {
		return err
	}
	p, err := c.access.over(e, profile{}, session) // nothing of an older session of this name goes into a new one
	if err != nil {
		return err
	}
	if c.save && !c.replace && home.Exists(session) {
		return fmt.Errorf("%s is there already, and may hold the only copy of its key: move it away, or say --replace", home.Path(session))
	}
	if p.Key == "" {
		p.Key = e2ee.NewKey().Base64()
	}
	if p.Password == "" {
		p.Password = newPassword()
	}
	spec, err := c.spec(p)
	if err != nil {
		return err
	}
	at := reachable(ctx, p.URL)
	operator, err := operatorOf(ctx, e, at)
	if err != nil {
		return err
	}
	defer operator.logout(ctx)
	spec.AdminToken = operator.adminToken()
	p.SecretKey, err = client.CreateSession(ctx, at, spec)
	if err != nil {
		return p.explainCreate(err)
	}
	// Printed first: should saving fail, nothing is lost.
	if err := c.print(e, p); err != nil || !c.save {
		return err
	}
	path, err := home.Save(p, c.replace)
	if err != nil {
		return fmt.Errorf("the session is made, but not saved (keep what is printed above): %w", err)
	}
	e.say("saved in %s, for you alone. Next: `fastport sub %s chat/general`, and elsewhere `fastport pub %s chat/general \"hello\"`", path, session, session)
	return nil
}

// spec is what the broker is asked for.
func (c *creation) spec(p profile) (client.SessionSpec, error) {
	key, err := e2ee.ParseKey(p.Key)
	if err != nil {
		return client.SessionSpec{}, fmt.Errorf("the key that was given: %w; `fastport keygen` makes one", err)
	}
	if !protocol.ValidPassword([]byte(p.Password)) {
		return client.SessionSpec{}, usagef("the password is longer than %d bytes", protocol.MaxPassword)
	}
	spec := client.SessionSpec{
		SessionName: p.Session, Password: p.Password, Key: key, Suite: c.suite,
		RetryInterval: c.retryInterval, SessionExpiry: c.sessionExpiry, SubscriptionExpiry: c.subscriptionExpiry,
	}
	var faults []error
	if c.suite != 0 && c.suite != 2 {
		faults = append(faults, errors.New("--suite takes 0 or 2"))
	}
	if c.retryInterval < 0 || c.sessionExpiry < 0 || c.subscriptionExpiry < 0 {
		faults = append(faults, errors.New("times are not negative"))
	}
	if c.maxRetryLimit >= 0 {
		spec.MaxRetryLimit = &c.maxRetryLimit
	}
	switch c.messageExpiry {
	case "":
	case "max":
		spec.MessageExpiry = -1
	default:
		if spec.MessageExpiry, err = time.ParseDuration(c.messageExpiry); err != nil || spec.MessageExpiry <= 0 {
			faults = append(faults, errors.New("--message-expiry takes a time like 30m or 24h, or max"))
		}
	}
	if err := errors.Join(faults...); err != nil {
		return spec, usagef("%s", oneLine(err))
	}
	return spec, nil
}

// print shows the secrets, this once.
func (c *creation) print(e *env, p profile) error {
	if c.json {
		return e.printJSON(p)
	}
	_, err := fmt.Fprintf(e.Stdout, "session    %s\npassword   %s\nkey        %s\nsecret key %s\n", p.Session, p.Password, p.Key, p.SecretKey)
	if err != nil {
		return err
	}
	e.say("this is shown once. Password and key let devices in and must stay with them; the secret key drops the session")
	if !c.save {
		e.say("next: set FASTPORT_PASSWORD and FASTPORT_KEY to them, and `fastport sub %s chat/general`", p.Session)
	}
	return nil
}

// newPassword has 144 random bits.
func newPassword() string {
	var b [18]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return base64.RawURLEncoding.EncodeToString(b[:])
}
