package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/fastport/fastport/verify"
)

func verifyCommand() command {
	return command{
		name: "verify", group: "Broker", summary: "hold a cluster to its promises, under load and faults",
		about: `Publishes and subscribes with clients of every kind, knows each message, and tells what was promised and not kept: lost,
handed over twice, out of order, stale, another session's, and more. It fails (exit code 1) where there is any of it.

Against brokers of your own it loads, in sessions that it makes and drops; say --expect-faults where you break things
meanwhile, and it allows what is allowed then and lists the outages. With --local it starts a cluster of its own on this
machine (it needs redis-server and Postgres), breaks its parts one after another, and reports how soon each was served again.
A broker that lets operators alone make sessions wants FASTPORT_ADMIN_PASS. docs/verify.md explains the report.

The faults of --local:
` + faultList(),
		examples: `fastport verify --url http://node-1:3000 --url http://node-2:3000 --duration 5m
fastport verify --url https://broker.example.com --rate 200 --expect-faults   # and now pull a plug
fastport verify --local 3 --duration 10m
fastport verify --local 3 --only redis-deaf,node-kill --logs ./logs
fastport verify --local 3 --no-faults --json | jq .publishToDelivery`,
		define: func(fs *flag.FlagSet) action {
			var v verifier
			v.declare(fs)
			return func(ctx context.Context, e *env, args []string) error {
				if err := need(fs, args, 0, 0, "no arguments"); err != nil {
					return err
				}
				return v.run(ctx, e)
			}
		},
	}
}

func faultList() string {
	var b strings.Builder
	for _, f := range verify.Faults() {
		fmt.Fprintf(&b, "  %-16s %s\n", f.Name, f.Story)
	}
	return b.String()
}

// verifier is what `verify` is told.
type verifier struct {
	urls                     []string
	local                    int
	o                        verify.Options
	noFaults, sentinel, json bool
	only, logs               string
}

func (v *verifier) declare(fs *flag.FlagSet) {
	fs.Func("url", "a node's or balancer's `ADDRESS`, if not FASTPORT_URL or "+defaultURL+"; more than one may be given", func(text string) error {
		for part := range strings.SplitSeq(text, ",") {
			base, err := parseURL(part)
			if err != nil {
				return err
			}
			v.urls = append(v.urls, base)
		}
		return nil
	})
	fs.DurationVar(&v.o.Duration, "duration", time.Minute, "publish for this `TIME`")
	fs.DurationVar(&v.o.Patience, "patience", time.Minute, "wait for this `TIME` at most for what is owed then")
	fs.IntVar(&v.o.Load.Rate, "rate", 1000, "publish `N` messages a second")
	fs.IntVar(&v.o.Load.Topics, "topics", 50, "on `N` topics")
	fs.IntVar(&v.o.Load.Subscribers, "subscribers", 100, "to `N` durable subscribers, besides some of every other kind")
	fs.IntVar(&v.o.Load.Each, "each", 2, "every one of them on `N` topics: a message goes to subscribers × each / topics of them")
	fs.IntVar(&v.o.Load.Size, "size", 128, "messages of `N` bytes")
	fs.IntVar(&v.o.Load.Suite, "suite", 2, "cipher suite of the clients; `1` is that of the first version")
	fs.IntVar(&v.local, "local", 0, "start a cluster of `N` nodes on this machine and break it")
	fs.BoolVar(&v.sentinel, "sentinel", false, "with --local: Redis is a master, a replica and three Sentinels")
	fs.BoolVar(&v.noFaults, "no-faults", false, "with --local: break nothing")
	fs.StringVar(&v.only, "only", "", "with --local: make these `FAULTS` alone, separated by commas")
	fs.StringVar(&v.logs, "logs", "", "with --local: leave the log files in `FOLDER`")
	fs.BoolVar(&v.o.ExpectFaults, "expect-faults", false, "somebody breaks things meanwhile: allow what is allowed then")
	fs.Uint64Var(&v.o.Load.Seed, "seed", 0, "order faults as the run with this `SEED` did; none: at random")
	fs.BoolVar(&v.json, "json", false, "print the report as one JSON object")
}

func (v *verifier) run(ctx context.Context, e *env) error {
	if err := v.fill(ctx, e); err != nil {
		return err
	}
	screen := newLiveLine(e.Stderr, e.setting("TERM"))
	v.o.Log = screen
	if screen.terminal {
		v.o.Live = func(p verify.Progress) { screen.show(p.String()) }
	}
	report, err := verify.Run(ctx, v.o)
	screen.show("")
	if report == nil {
		return err
	}
	var written error
	if v.json {
		written = e.printJSON(report)
	} else {
		written = report.WriteText(e.Stdout)
	}
	if err == nil && !report.OK {
		err = errors.New("promises were broken: see the report")
	}
	return errors.Join(err, written)
}

// fill checks what was given, and says where to go.
func (v *verifier) fill(ctx context.Context, e *env) error {
	var faults []error
	for name, n := range map[string]int{"rate": v.o.Load.Rate, "topics": v.o.Load.Topics, "subscribers": v.o.Load.Subscribers, "each": v.o.Load.Each, "size": v.o.Load.Size} {
		if n < 1 {
			faults = append(faults, fmt.Errorf("--%s takes 1 or more", name))
		}
	}
	if v.o.Duration <= 0 || v.o.Patience <= 0 {
		faults = append(faults, errors.New("--duration and --patience take a time like 30s or 10m"))
	}
	if v.o.Load.Suite != 1 && v.o.Load.Suite != 2 {
		faults = append(faults, errors.New("--suite takes 1 or 2"))
	}
	switch {
	case v.local < 0:
		faults = append(faults, errors.New("--local takes a number of nodes"))
	case v.local > 0 && (len(v.urls) > 0 || v.o.ExpectFaults):
		faults = append(faults, errors.New("--local makes its own cluster and faults: without --url and --expect-faults"))
	case v.local == 0 && (v.sentinel || v.noFaults || v.only != "" || v.logs != ""):
		faults = append(faults, errors.New("--sentinel, --no-faults, --only and --logs go with --local"))
	case v.noFaults && v.only != "":
		faults = append(faults, errors.New("--no-faults and --only exclude each other"))
	}
	if err := errors.Join(faults...); err != nil {
		return usagef("%s", oneLine(err))
	}
	if v.local > 0 {
		v.o.Local = &verify.LocalOptions{Nodes: v.local, Dir: v.logs, Sentinel: v.sentinel, Faults: !v.noFaults}
		if v.only != "" {
			v.o.Local.Only = strings.Split(v.only, ",")
		}
		return nil
	}
	if len(v.urls) == 0 {
		base, err := parseURL(or(e.setting("FASTPORT_URL"), defaultURL))
		if err != nil {
			return err
		}
		v.urls = []string{base}
	}
	v.o.Load.URLs = v.urls
	operator, err := operatorOf(ctx, e, v.urls[0])
	if err != nil {
		return err
	}
	v.o.Load.AdminToken = operator.adminToken()
	return nil
}

// liveLine keeps one line of progress below what is told, on a terminal.
type liveLine struct {
	w        io.Writer
	terminal bool

	mu   sync.Mutex // guards the following
	line string
}

func newLiveLine(w io.Writer, kind string) *liveLine {
	f, ok := w.(*os.File)
	return &liveLine{w: w, terminal: ok && kind != "dumb" && term.IsTerminal(int(f.Fd()))}
}

const clearLine = "\r\x1b[K"

// Write tells something, above the line.
func (l *liveLine) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.terminal {
		return l.w.Write(text)
	}
	_, err := io.WriteString(l.w, clearLine+string(text)+l.line)
	return len(text), err
}

// show replaces the line.
func (l *liveLine) show(line string) {
	if !l.terminal {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.line = line
	io.WriteString(l.w, clearLine+line)
}
