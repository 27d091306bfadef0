package conformance

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	gosdk "github.com/fastport/fastport/client"
	"github.com/fastport/fastport/client/e2ee"
)

const (
	// patience bounds a step; a busy machine takes seconds, a broken SDK for ever.
	patience = 60 * time.Second
	// impatience bounds the step that a fault makes fail.
	impatience = 3 * time.Second
)

// play is one run of a scenario.
type play struct {
	script *script
	id     string                     // of this run among all
	nodes  map[string]*server         // by the names that the script uses
	cast   func(client string) *agent // who plays whom
	suite  int                        // 0: the SDK's own choice
	fault  string                     // "": none
	take   fault                      // what that is
	net    *relay
	spec   gosdk.SessionSpec
	made   bool                    // the session
	gone   map[string]<-chan error // nodes that are stopping

	clients map[string]*actor
	count   int // of clients, which are new with each connect
}

// failure is a step that did not come out as the script says.
type failure struct {
	script *script
	step   *step // nil: something was left over at the end
	err    error
}

func (f *failure) Error() string {
	if f.step == nil {
		return fmt.Sprintf("%s: at its end: %v", f.script.name, f.err)
	}
	return fmt.Sprintf("%s, line %d: %s: %v", f.script.name, f.step.line, f.step.text, f.err)
}

func (f *failure) Unwrap() error { return f.err }

// run plays the script to its end, or to the step that fails.
func (p *play) run(ctx context.Context) (err error) {
	if p.fault != "" {
		of, ok := faults[p.fault]
		if !ok {
			return fmt.Errorf("%s: there is no fault %s", p.script.name, p.fault)
		}
		p.take = of()
	}
	p.clients, p.gone = make(map[string]*actor), make(map[string]<-chan error)
	p.spec = gosdk.SessionSpec{SessionName: "s_" + p.id, Password: "secure_pass_123", Key: e2ee.NewKey()}
	if p.net, err = newRelay(p.nodes["one"].d.Addr, p.take); err != nil {
		return err
	}
	defer p.net.close()
	defer p.leave(ctx)
	for _, st := range p.script.steps {
		most := patience
		if p.fault != "" && slices.Contains(st.without, p.fault) {
			most = impatience
		}
		if err := p.step(ctx, st, most); err != nil {
			return &failure{p.script, st, err}
		}
	}
	for name, c := range p.clients {
		for _, left := range []chan report{c.messages, c.files} {
			if len(left) > 0 {
				return &failure{p.script, nil, fmt.Errorf("%s has got more: %+v", name, <-left)}
			}
		}
	}
	return nil
}

func (p *play) step(ctx context.Context, st *step, most time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	run := playerVerbs[strings.TrimSpace(st.subject+" "+st.verb)]
	if run != nil {
		return run(ctx, p, st)
	}
	if st.verb == "connect" {
		return p.connect(ctx, st)
	}
	act := clientVerbs[st.verb]
	c := p.clients[st.subject]
	switch {
	case act == nil:
		return fmt.Errorf("there is no verb %s", st.verb)
	case c == nil:
		return fmt.Errorf("%s has not connected", st.subject)
	}
	return act(ctx, c, st)
}

// leave has all clients go, however the play ended.
func (p *play) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var answers []<-chan report
	for _, c := range p.clients {
		answers = append(answers, c.send(request{Do: "abort"}))
	}
	for _, answer := range answers {
		next(ctx, answer, "answer")
	}
	for _, gone := range p.gone {
		<-gone
	}
}

// session makes the scenario's session, unless it is there.
func (p *play) session(ctx context.Context) error {
	if p.made {
		return nil
	}
	p.made = true
	_, err := gosdk.CreateSession(ctx, p.nodes["one"].http(), p.spec)
	return err
}

func (p *play) connect(ctx context.Context, st *step) error {
	if err := p.session(ctx); err != nil {
		return err
	}
	o := &options{
		URL: p.net.url(st.subject), SessionName: p.spec.SessionName, Password: cmp.Or(st.options["password"], p.spec.Password),
		AESKey: p.spec.Key.Base64(), ClientID: st.options["clientId"], UserID: st.options["userId"], Suite: p.suite, AllowLegacy: p.suite == 1,
		Wait: st.options["wait"] == "yes",
	}
	if st.options["key"] != "" {
		o.AESKey = e2ee.NewKey().Base64()
	}
	for name, field := range map[string]*int{"ackTimeout": &o.AckTimeout, "connectTimeout": &o.ConnectTimeout, "dedupeSize": &o.DedupeSize} {
		if err := number(st, name, field); err != nil {
			return err
		}
	}
	if p.take.connect != nil {
		p.take.connect(o)
	}
	p.count++
	c := newActor(fmt.Sprintf("%s.%s.%d", p.id, st.subject, p.count), p.cast(st.subject))
	p.clients[st.subject] = c
	if _, err := settled(ctx, c.send(request{Do: "connect", Options: o}), st.code); err != nil || st.code != "" {
		return err
	}
	return c.state(ctx, "connected", "")
}

// playerVerbs are the player's own.
var playerVerbs = map[string]func(context.Context, *play, *step) error{
	"session": func(ctx context.Context, p *play, st *step) error {
		ms := 0
		if err := number(st, "retryInterval", &ms); err != nil {
			return err
		}
		p.spec.RetryInterval = time.Duration(ms) * time.Millisecond
		return p.session(ctx)
	},
	"nodes": func(context.Context, *play, *step) error { return nil }, // see script.nodes
	"node stop": func(_ context.Context, p *play, st *step) error {
		p.gone[st.args[0]] = p.nodes[st.args[0]].drain()
		return nil
	},
	"node gone": func(ctx context.Context, p *play, st *step) error {
		gone := p.gone[st.args[0]]
		delete(p.gone, st.args[0])
		select {
		case err := <-gone:
			return err
		case <-ctx.Done():
			return errors.New("it runs still")
		}
	},
	"net cut": func(_ context.Context, p *play, st *step) error {
		after := 0
		if err := number(st, "after", &after); err != nil || after == 0 {
			p.net.cut(st.args[0])
			return err
		}
		p.net.change(func() { p.net.cutAt[st.args[0]] = after })
		return nil
	},
	"net off": func(_ context.Context, p *play, st *step) error {
		p.net.change(func() { p.net.off[st.args[0]] = true })
		p.net.cut(st.args[0])
		return nil
	},
	"net on": func(_ context.Context, p *play, st *step) error {
		p.net.change(func() { delete(p.net.off, st.args[0]) })
		return nil
	},
	"net route": func(_ context.Context, p *play, st *step) error {
		p.net.change(func() { p.net.route = p.nodes[st.args[0]].d.Addr })
		return nil
	},
	"net lose": func(_ context.Context, p *play, st *step) error {
		p.net.change(func() { p.net.lose[st.args[0]] = st.args[1] })
		return nil
	},
	"net late": func(_ context.Context, p *play, st *step) error {
		p.net.change(func() { p.net.late[st.args[0]] = &late{} })
		return nil
	},
	"net repeat": func(_ context.Context, p *play, st *step) error {
		return p.net.repeat(st.args[0], st.args[1], st.options["as"])
	},
	"net saw": func(ctx context.Context, p *play, st *step) error {
		return p.net.saw(ctx, st.args[0], st.args[1], st.options)
	},
	"net chunks": func(_ context.Context, p *play, st *step) (err error) {
		most := 0
		if err := number(st, "most", &most); err != nil {
			return err
		}
		p.net.change(func() {
			if n := p.net.chunks[st.args[0]]; n == 0 || n > most {
				err = fmt.Errorf("%d chunks have passed, want 1 to %d", n, most)
			}
		})
		return err
	},
}

// number reads an option that is a whole number, if it is there.
func number(st *step, name string, into *int) error {
	text, ok := st.options[name]
	if !ok {
		return nil
	}
	if _, err := fmt.Sscanf(text, "%d", into); err != nil {
		return fmt.Errorf("%s=%s is no number", name, text)
	}
	return nil
}

// nodes are those of a cluster that the script asks for. None: one node that is shared with others will do.
func (s *script) nodes() []string {
	for _, st := range s.steps {
		if st.verb == "nodes" {
			return st.args
		}
	}
	return nil
}
