package conformance

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// playerVerb is what the player itself does: to the network, to nodes, to the session.
type playerVerb struct {
	takes
	do func(context.Context, *play, *step) error
}

// playerVerb is what playerVerbs call the step.
func (st *step) playerVerb() string { return strings.TrimSpace(st.subject + " " + st.verb) }

var playerVerbs = map[string]playerVerb{
	"session": {with(0, "retryInterval"), func(ctx context.Context, p *play, st *step) error {
		ms := 0
		if err := number(st, "retryInterval", &ms); err != nil {
			return err
		}
		p.spec.RetryInterval = time.Duration(ms) * time.Millisecond
		return p.session(ctx)
	}},
	"nodes": {with(1), func(context.Context, *play, *step) error { return nil }}, // see script.nodes
	"node stop": {with(1), func(_ context.Context, p *play, st *step) error {
		p.gone[st.args[0]] = p.nodes[st.args[0]].drain()
		return nil
	}},
	"node gone": {with(1), func(ctx context.Context, p *play, st *step) error {
		gone := p.gone[st.args[0]]
		delete(p.gone, st.args[0])
		select {
		case err := <-gone:
			return err
		case <-ctx.Done():
			return errors.New("it runs still")
		}
	}},
	"net cut": {with(1, "after"), func(_ context.Context, p *play, st *step) error {
		after := 0
		if err := number(st, "after", &after); err != nil || after == 0 {
			p.net.cut(st.args[0])
			return err
		}
		p.net.change(func() { p.net.cutAt[st.args[0]] = after })
		return nil
	}},
	"net off": {with(1), func(_ context.Context, p *play, st *step) error {
		p.net.change(func() { p.net.off[st.args[0]] = true })
		p.net.cut(st.args[0])
		return nil
	}},
	"net on": {with(1), func(_ context.Context, p *play, st *step) error {
		p.net.change(func() { delete(p.net.off, st.args[0]) })
		return nil
	}},
	"net route": {with(1), func(_ context.Context, p *play, st *step) error {
		p.net.change(func() { p.net.route = p.nodes[st.args[0]].d.Addr })
		return nil
	}},
	"net lose": {with(2), func(_ context.Context, p *play, st *step) error {
		p.net.change(func() { p.net.lose[st.args[0]] = st.args[1] })
		return nil
	}},
	"net late": {with(1), func(_ context.Context, p *play, st *step) error {
		p.net.change(func() { p.net.late[st.args[0]] = &late{} })
		return nil
	}},
	"net repeat": {with(2, "as"), func(_ context.Context, p *play, st *step) error {
		return p.net.repeat(st.args[0], st.args[1], st.options["as"])
	}},
	"net acked": {with(2, "times"), func(ctx context.Context, p *play, st *step) error {
		times := 1
		if err := number(st, "times", &times); err != nil {
			return err
		}
		return p.net.acked(ctx, st.args[0], st.args[1], times)
	}},
	"net saw": {with(2, "*"), func(ctx context.Context, p *play, st *step) error {
		return p.net.saw(ctx, st.args[0], st.args[1], st.options)
	}},
	"net chunks": {with(1, "most"), func(_ context.Context, p *play, st *step) (err error) {
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
	}},
}
