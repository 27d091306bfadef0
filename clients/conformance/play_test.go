package conformance

import (
	"cmp"
	"context"
	"fmt"
	"slices"
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
		p.take = faults[p.fault]()
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
	if v, ok := playerVerbs[st.playerVerb()]; ok {
		return v.do(ctx, p, st)
	}
	if st.verb == "connect" {
		return p.connect(ctx, st)
	}
	c := p.clients[st.subject]
	if c == nil {
		return fmt.Errorf("%s has not connected", st.subject)
	}
	return clientVerbs[st.verb].do(ctx, c, st)
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

var connectTakes = with(0, "clientId", "userId", "password", "key", "wait", "ackTimeout", "connectTimeout", "dedupeSize")

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

// check holds a step against what its verb takes, so that what is mistyped is not passed over.
func (st *step) check() error {
	t := connectTakes
	if v, ok := playerVerbs[st.playerVerb()]; ok {
		t = v.takes
	} else if v, ok := clientVerbs[st.verb]; ok {
		t = v.takes
	} else if st.verb != "connect" {
		return fmt.Errorf("%s: there is no such verb", st.text)
	}
	if len(st.args) < t.args {
		return fmt.Errorf("%s: it takes %d arguments", st.text, t.args)
	}
	for name := range st.options {
		if !slices.Contains(t.options, name) && !slices.Contains(t.options, "*") {
			return fmt.Errorf("%s: it takes no %s", st.text, name)
		}
	}
	for _, name := range st.without {
		if faults[name] == nil {
			return fmt.Errorf("%s: there is no fault %s", st.text, name)
		}
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
