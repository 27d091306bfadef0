package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/fastport/fastport/client"
)

const defaultURL = "http://localhost:3000"

const accessHelp = `
The session, its password and its key come from a saved session (session create --save), unless FASTPORT_SESSION,
FASTPORT_PASSWORD, FASTPORT_KEY and FASTPORT_URL, or these flags, say otherwise. There is no flag for a secret itself: other
users of this machine can read command lines.
`

// access is what a client command needs to get into a session. A flag goes before the environment before what is saved.
type access struct {
	url          string
	session      string
	passwordFile string
	keyFile      string
	clientID     string
	userID       string
	legacy       bool
}

// flags declares what every command about a session takes.
func (a *access) flags(fs *flag.FlagSet) {
	fs.StringVar(&a.url, "url", "", "where the server is, as an `address`: http://host:port or wss://host:port (default "+defaultURL+")")
	fs.StringVar(&a.session, "session", "", "`name` of the session; needed only if several are saved")
	fs.StringVar(&a.passwordFile, "password-file", "", "`file` that holds the session's password")
}

// clientFlags declares what those that connect take besides.
func (a *access) clientFlags(fs *flag.FlagSet) {
	a.flags(fs)
	fs.StringVar(&a.keyFile, "key-file", "", "`file` that holds the session's key, as keygen makes it")
	fs.StringVar(&a.clientID, "client-id", "", "`id` of this device: what it subscribes to is kept for it while it is away")
	fs.StringVar(&a.userID, "user-id", "", "`id` of a user whose connections share one mailbox")
	fs.BoolVar(&a.legacy, "legacy", false, "speak suite 1, with clients of the first version: weak, see docs/e2ee.md")
}

// resolve finds everything out. What is missing stays empty.
func (a *access) resolve(e *env) (profile, error) {
	name := or(a.session, e.setting("FASTPORT_SESSION"))
	p, err := e.loadProfile(name)
	if err != nil {
		return p, err
	}
	p.URL = or(a.url, or(e.setting("FASTPORT_URL"), or(p.URL, defaultURL)))
	if p.URL, err = httpURL(p.URL); err != nil {
		return p, err
	}
	if p.Password, err = e.secretFrom(a.passwordFile, "FASTPORT_PASSWORD", p.Password); err != nil {
		return p, err
	}
	p.Key, err = e.secretFrom(a.keyFile, "FASTPORT_KEY", p.Key)
	p.SecretKey = secret(or(e.setting("FASTPORT_SECRET_KEY"), p.SecretKey.Reveal()))
	return p, err
}

// connect logs in. report gets what no call returns, a line each.
func (a *access) connect(ctx context.Context, e *env) (*client.Client, error) {
	p, err := a.resolve(e)
	if err != nil {
		return nil, err
	}
	switch {
	case p.Session == "":
		return nil, usagef("which session? `fastport session create NAME --save` makes one; or set FASTPORT_SESSION")
	case p.Password == "":
		return nil, usagef("session %s: its password is missing. Set FASTPORT_PASSWORD, or name a --password-file", p.Session)
	case p.Key == "":
		return nil, usagef("session %s: its key is missing. Set FASTPORT_KEY, or name a --key-file", p.Session)
	case a.clientID != "" && a.userID != "":
		return nil, usagef("--client-id and --user-id: give one")
	}
	o := client.Options{
		URL: "ws" + strings.TrimPrefix(p.URL, "http") + "/ws", SessionName: p.Session, Password: p.Password.Reveal(), AESKey: p.Key.Reveal(),
		ClientID: a.clientID, UserID: a.userID, AllowLegacy: a.legacy, Suite: 2,
		Logger:  slog.New(slog.DiscardHandler),
		OnError: func(err error) { fmt.Fprintf(e.Stderr, "fastport: %s\n", explain(err)) },
		OnState: e.reportState(),
	}
	if a.legacy {
		o.Suite = 1
	}
	return client.Connect(ctx, o)
}

// reportState tells of a lost connection and of its return, but not of the first.
func (e *env) reportState() func(up bool) {
	var lost atomic.Bool
	return func(up bool) {
		switch {
		case !up && !lost.Swap(true):
			fmt.Fprintln(e.Stderr, "fastport: connection lost, trying again")
		case up && lost.Swap(false):
			fmt.Fprintln(e.Stderr, "fastport: connected again")
		}
	}
}

// closeClient ends a client in good order, but not for long.
func closeClient(cl *client.Client) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return cl.Close(ctx)
}

// secretFrom reads a secret from the file, if one is named, else the environment, else takes what was saved.
func (e *env) secretFrom(file, env string, saved secret) (secret, error) {
	if file != "" {
		raw, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		return secret(strings.TrimRight(string(raw), "\r\n")), nil
	}
	return secret(or(e.setting(env), saved.Reveal())), nil
}

// httpURL is a server's address as http or https, without a path.
func httpURL(text string) (string, error) {
	u, err := url.Parse(text)
	if err == nil {
		switch u.Scheme {
		case "ws":
			u.Scheme = "http"
		case "wss":
			u.Scheme = "https"
		}
	}
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", usagef("url %q: takes http://host:port, https://host:port, or the same with ws or wss", text)
	}
	return u.Scheme + "://" + u.Host, nil
}
