package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/fastport/fastport/client"
	"github.com/fastport/fastport/client/e2ee"
	"github.com/fastport/fastport/protocol"
)

// access is how a command gets to a session: flags go before the environment, which goes before the profile.
// Secrets are never flags, since other users of a machine can read its command lines.
type access struct {
	url          string
	keyFile      string
	passwordFile string
	wait         bool
}

// accessHelp is the part of a command's help that tells of it.
const accessHelp = `
The key and the password come from the profile that ` + "`fastport session create SESSION --save`" + ` wrote, or from
FASTPORT_KEY and FASTPORT_PASSWORD, or from the files that flags name. FASTPORT_URL names another broker.`

func (a *access) declareURL(fs *flag.FlagSet) {
	fs.StringVar(&a.url, "url", "", "the broker's `ADDRESS`, or those of a cluster's nodes with commas between them, if not FASTPORT_URL, the profile's or "+defaultURL)
}

func (a *access) declareSecrets(fs *flag.FlagSet) {
	fs.StringVar(&a.keyFile, "key-file", "", "take the session's key from `FILE`")
	fs.StringVar(&a.passwordFile, "password-file", "", "take the session's password from `FILE`")
}

// declare is for the commands that connect.
func (a *access) declare(fs *flag.FlagSet) {
	a.declareURL(fs)
	a.declareSecrets(fs)
	fs.BoolVar(&a.wait, "wait", false, "wait for the broker where it cannot be reached yet")
}

// resolve finds what there is for a session; what is nowhere stays empty, but for the URL.
func (a *access) resolve(e *env, session string) (profile, error) {
	if err := checkName(session); err != nil {
		return profile{}, err
	}
	home, err := profilesOf(e)
	if err != nil {
		return profile{}, err
	}
	p, err := home.Load(session)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return profile{}, err
	}
	return a.over(e, p, session)
}

func checkName(session string) error {
	if !protocol.ValidSessionName(session) {
		return usagef("%q is no session's name: it takes letters, digits, and . _ @ - but not first, 128 at most", session)
	}
	return nil
}

// over puts flags and environment over what is saved of a session.
func (a *access) over(e *env, p profile, session string) (_ profile, err error) {
	p.Session = session
	p.Key = or(e.setting("FASTPORT_KEY"), p.Key)
	p.Password = or(e.setting("FASTPORT_PASSWORD"), p.Password)
	p.SecretKey = or(e.setting("FASTPORT_SECRET_KEY"), p.SecretKey)
	if err := fromFile(a.keyFile, &p.Key); err != nil {
		return profile{}, err
	}
	if err := fromFile(a.passwordFile, &p.Password); err != nil {
		return profile{}, err
	}
	p.URL, err = a.server(e, p.URL)
	return p, err
}

// server is the address of the broker, or several; saved is the profile's.
func (a *access) server(e *env, saved string) (string, error) {
	urls, err := parseURLs(or(or(or(a.url, e.setting("FASTPORT_URL")), saved), defaultURL))
	if err != nil {
		return "", err
	}
	for base := range strings.SplitSeq(urls, ",") {
		if readable(base) {
			fmt.Fprintf(e.Stderr, "fastport: passwords can be read on their way to %s: use https where you can\n", base)
		}
	}
	return urls, nil
}

// fromFile reads a secret; a line break at its end is not part of it.
func fromFile(path string, into *string) error {
	if path == "" {
		return nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if *into = strings.TrimRight(string(text), "\r\n"); *into == "" {
		return fmt.Errorf("%s is empty", path)
	}
	return nil
}

// options are for a session whose key and password must be known.
func (p profile) options() (client.Options, error) {
	if p.Key == "" || p.Password == "" {
		return client.Options{}, usagef("no key and password of session %s here: `fastport session create %s --save` makes it, or copy the profile from where it was made, or set FASTPORT_KEY and FASTPORT_PASSWORD", p.Session, p.Session)
	}
	keys, err := e2ee.ParseKeyRing(p.Session, strings.Fields(p.Key)...)
	if err != nil {
		return client.Options{}, fmt.Errorf("the key of session %s is no key: %w; `fastport keygen` makes one", p.Session, err)
	}
	return client.Options{URLs: socketURLs(p.URL), SessionName: p.Session, Password: p.Password, Keys: keys}, nil
}

// device is a client whose connection is told about while it is wanted.
type device struct {
	*client.Client
	leaving atomic.Bool
}

// connect logs a device in. change fills in what the command wants beyond that. What happens to the connection later is
// told through say.
func (a *access) connect(ctx context.Context, p profile, say sayFunc, change func(*client.Options)) (*device, error) {
	o, err := p.options()
	if err != nil {
		return nil, err
	}
	d := new(device)
	told := states(say)
	o.Wait = a.wait
	o.OnState = func(up bool) {
		if !d.leaving.Load() {
			told(up)
		}
	}
	o.OnMove = func() { say("the node is going: moved to another") }
	o.OnError = func(err error) {
		var lost *client.ConnectionError // OnState tells that, in a line
		if !errors.Is(err, client.ErrClosed) && !errors.As(err, &lost) {
			say("%v", p.explain(err))
		}
	}
	change(&o)
	if d.Client, err = client.Connect(ctx, o); err != nil {
		return nil, p.explain(err)
	}
	return d, nil
}

// closing is how long a command waits at its end for acks that are under way.
const closing = 5 * time.Second

// hangUp closes the connection, also where ctx has ended.
func (d *device) hangUp(ctx context.Context) error {
	d.leaving.Store(true)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closing)
	defer cancel()
	return d.Close(ctx)
}

// sayFunc tells the user something on standard error, as a line.
type sayFunc func(format string, args ...any)

// say is the plain sayFunc.
func (e *env) say(format string, args ...any) {
	fmt.Fprintf(e.Stderr, "fastport: "+format+"\n", args...)
}

// printJSON prints a result as one object.
func (e *env) printJSON(v any) error {
	enc := json.NewEncoder(e.Stdout)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// states tells of a lost connection and of its return, but not of the first one.
func states(say sayFunc) func(up bool) {
	lost := false
	return func(up bool) {
		if up && lost {
			say("connected again")
		} else if !up {
			say("connection lost: trying again")
		}
		lost = !up
	}
}
