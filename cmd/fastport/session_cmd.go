package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/fastport/fastport/client"
	"github.com/fastport/fastport/protocol"
)

func sessionCommand() command {
	return command{
		name: "session", group: "Sessions", summary: "create, list, suspend, resume and drop sessions",
		about: `A session is a closed circle of devices: they share its name, its password and its key. ` + "`create`" + ` gives its owner a
secret key as well, which suspend, resume and drop want; the broker's operator may do so without.`,
		examples: `fastport session create demo --save
fastport session list
fastport session drop demo`,
		commands: []command{
			sessionCreateCommand(),
			sessionListCommand(),
			ownerCommand("suspend", "shut a session's devices out until it is resumed", "suspended: its devices are shut out until `fastport session resume`", suspend(true)),
			ownerCommand("resume", "let a suspended session's devices in again", "resumed", suspend(false)),
			ownerCommand("drop", "delete a session with all that it holds", "dropped", drop),
		},
	}
}

func sessionListCommand() command {
	return command{
		name: "list", summary: "list the sessions that have a profile here, or all of a broker",
		about: `Lists the profiles of this user. With FASTPORT_ADMIN_PASS (and FASTPORT_ADMIN_USER, if it is not admin) it lists all
sessions of the broker instead.`,
		examples: `fastport session list
FASTPORT_ADMIN_PASS=$(cat admin.pass) fastport session list --url https://broker.example.com`,
		define: func(flags *flag.FlagSet) action {
			var a access
			a.declareURL(flags)
			return func(ctx context.Context, e *env, args []string) error {
				if err := need(flags, args, 0, 0, "no arguments"); err != nil {
					return err
				}
				if e.setting("FASTPORT_ADMIN_PASS") != "" {
					return listBroker(ctx, e, &a)
				}
				return listProfiles(e)
			}
		},
	}
}

func listProfiles(e *env) error {
	home, err := profilesOf(e)
	if err != nil {
		return err
	}
	names, err := home.All()
	if err != nil {
		return err
	}
	if len(names) == 0 {
		e.say("no profiles in %s: `fastport session create SESSION --save` makes one", home.dir)
		return nil
	}
	w := table(e.Stdout, "SESSION\tBROKER\tOWNER")
	var faults []error
	for _, name := range names {
		p, err := home.Load(name)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		owner := "no"
		if p.SecretKey != "" {
			owner = "yes"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", name, printable(p.URL), owner)
	}
	return errors.Join(w.Flush(), errors.Join(faults...))
}

func listBroker(ctx context.Context, e *env, a *access) error {
	base, err := a.server(e, "")
	if err != nil {
		return err
	}
	o, err := operatorOf(ctx, e, base)
	if err != nil {
		return err
	}
	defer o.logout(ctx)
	w := table(e.Stdout, "SESSION\tSTATE\tCREATED\tEXPIRES")
	err = o.sessions(ctx, func(s sessionInfo) error {
		state, expires := "active", "never"
		if s.Suspended {
			state = "suspended"
		}
		if s.ExpiresAt != nil {
			expires = clock(*s.ExpiresAt)
		}
		_, err := fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", printable(s.SessionName), state, clock(s.CreatedAt), expires)
		return err
	})
	if err != nil {
		return profile{URL: base}.explain(err)
	}
	return w.Flush()
}

func table(to io.Writer, head string) *tabwriter.Writer {
	w := tabwriter.NewWriter(to, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, head)
	return w
}

func clock(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02 15:04Z") }

// ownerAct does something to a session by right of its owner or of the operator.
type ownerAct func(ctx context.Context, e *env, p profile, right client.SessionAdmin) error

// ownerCommand is for what a session's owner may do, or the operator; done says that it is done.
func ownerCommand(name, summary, done string, act ownerAct) command {
	return command{
		name: name, args: "SESSION", summary: summary,
		about: `Takes the session's password and secret key from its profile, or from FASTPORT_PASSWORD (or --password-file) and
FASTPORT_SECRET_KEY; or acts as the broker's operator, with FASTPORT_ADMIN_PASS (and FASTPORT_ADMIN_USER, if it is not admin).`,
		examples: "fastport session " + name + " demo\nFASTPORT_ADMIN_PASS=$(cat admin.pass) fastport session " + name + " demo",
		define: func(flags *flag.FlagSet) action {
			var a access
			a.declareURL(flags)
			flags.StringVar(&a.passwordFile, "password-file", "", "take the session's password from `FILE`")
			return func(ctx context.Context, e *env, args []string) error {
				if err := need(flags, args, 1, 1, "a session"); err != nil {
					return err
				}
				p, err := a.resolve(e, args[0])
				if err != nil {
					return err
				}
				if err := byRight(ctx, e, p, act); err != nil {
					return err
				}
				e.say("session %s is %s", p.Session, done)
				return nil
			}
		},
	}
}

// byRight finds the right by which act may be done: the operator's where the environment names one, else the owner's.
func byRight(ctx context.Context, e *env, p profile, act ownerAct) error {
	p.URL = reachable(ctx, p.URL)
	right := client.SessionAdmin{SessionName: p.Session, Password: p.Password, SecretKey: p.SecretKey}
	o, err := operatorOf(ctx, e, p.URL)
	if err != nil {
		return err
	}
	if o != nil {
		defer o.logout(ctx)
		right = client.SessionAdmin{SessionName: p.Session, AdminToken: o.token}
	} else if p.Password == "" || p.SecretKey == "" {
		return usagef("no password and secret key of session %s here: set FASTPORT_PASSWORD and FASTPORT_SECRET_KEY, as `session create` printed them, or FASTPORT_ADMIN_PASS as the operator", p.Session)
	}
	err = act(ctx, e, p, right)
	if o == nil && client.IsCode(err, protocol.Unauthorized) {
		return fmt.Errorf("%s takes this password and secret key for no session %s: is there such a session, and are they as `session create` printed them?", p.URL, p.Session)
	}
	if client.IsCode(err, protocol.NotFound) {
		return fmt.Errorf("there is no session %s at %s", p.Session, p.URL)
	}
	return p.explain(err)
}

func suspend(yes bool) ownerAct {
	return func(ctx context.Context, _ *env, p profile, right client.SessionAdmin) error {
		return client.SuspendSession(ctx, p.URL, right, yes)
	}
}

// drop deletes the session, and its profile, whose key opens nothing any more.
func drop(ctx context.Context, e *env, p profile, right client.SessionAdmin) error {
	if err := client.DropSession(ctx, p.URL, right); err != nil {
		return err
	}
	home, err := profilesOf(e)
	if err != nil {
		return err
	}
	saved, err := home.Load(p.Session)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !slices.Contains(strings.Split(saved.URL, ","), p.URL) { // that of another broker's session
		return nil
	}
	if err == nil {
		err = home.Remove(p.Session)
	}
	if err != nil {
		return fmt.Errorf("the session is dropped, but its profile is still there: %w", err)
	}
	e.say("its profile %s is removed", home.Path(p.Session))
	return nil
}
