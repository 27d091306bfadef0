package conformance

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
)

// clientVerb is what a client may do, or what is expected of it.
type clientVerb struct {
	takes
	do func(context.Context, *actor, *step) error
}

// takes is what a verb takes: at least so many arguments, and these options.
type takes struct {
	args    int
	options []string
}

func with(args int, options ...string) takes { return takes{args, options} }

var clientVerbs = map[string]clientVerb{
	"close":       {with(0), plain(func(st *step) request { return request{Do: "close"} })},
	"unsubscribe": {with(1), plain(func(st *step) request { return request{Do: "unsubscribe", Topic: st.args[0]} })},
	"receive":     {with(1), plain(func(st *step) request { return request{Do: "receive", Topic: st.args[0]} })},
	"register": {with(3), plain(func(st *step) request {
		return request{Do: "register", UserID: st.args[0], DeviceID: st.args[1], Token: st.args[2]}
	})},
	"unregister": {with(2), plain(func(st *step) request {
		return request{Do: "unregister", UserID: st.args[0], DeviceID: st.args[1]}
	})},
	"subscribe": {with(1, "failing"), func(ctx context.Context, c *actor, st *step) error {
		r := request{Do: "subscribe", Topic: st.args[0]}
		if err := number(st, "failing", &r.Failing); err != nil {
			return err
		}
		return c.ask(ctx, st, r)
	}},
	"emit": {with(2, "id"), func(ctx context.Context, c *actor, st *step) error {
		var list []request
		for _, text := range texts(st.args[1]) {
			list = append(list, request{Do: "emit", Topic: st.args[0], Text: text, MessageID: st.options["id"]})
		}
		return c.ask(ctx, st, list...)
	}},
	"send": {with(2, "size"), func(ctx context.Context, c *actor, st *step) error {
		r := request{Do: "send", Topic: st.args[0], Name: st.args[1]}
		if err := number(st, "size", &r.Size); err != nil {
			return err
		}
		return c.ask(ctx, st, r)
	}},
	"wait": {with(0), func(ctx context.Context, c *actor, st *step) error {
		apart := c.apart
		c.apart = nil
		return all(ctx, st, apart)
	}},
	"devices": {with(1), func(ctx context.Context, c *actor, st *step) error {
		r, err := settled(ctx, c.send(request{Do: "devices", UserID: st.args[0]}), st.code)
		if err == nil && !slices.Equal(r.Devices, st.args[1:]) {
			err = fmt.Errorf("they are %q", r.Devices)
		}
		return err
	}},
	"expect": {with(2, "retry"), expectMessages},
	"file":   {with(2, "size"), expectFile},
	"state": {with(1), func(ctx context.Context, c *actor, st *step) error {
		return c.state(ctx, st.args[0], append(st.args, "")[1])
	}},
	// Of errors, others may come before: what the connection went through, say.
	"error": {with(1), func(ctx context.Context, c *actor, st *step) error {
		for {
			if r, err := next(ctx, c.errors, "such error"); err != nil || r.Code == st.args[0] {
				return err
			}
		}
	}},
}

// plain is a verb that is one request.
func plain(of func(*step) request) func(context.Context, *actor, *step) error {
	return func(ctx context.Context, c *actor, st *step) error { return c.ask(ctx, st, of(st)) }
}

func expectMessages(ctx context.Context, c *actor, st *step) error {
	for _, want := range texts(st.args[1]) {
		r, err := next(ctx, c.messages, "message")
		if err != nil {
			return err
		}
		if r.Topic != st.args[0] || r.Text != want {
			return fmt.Errorf("got %q on %s, want %q", r.Text, r.Topic, want)
		}
		if st.options["retry"] == "yes" && r.Retry == 0 {
			return fmt.Errorf("%q does not say that it came again", r.Text)
		}
	}
	return nil
}

func expectFile(ctx context.Context, c *actor, st *step) error {
	r, err := next(ctx, c.files, "file")
	if err != nil {
		return err
	}
	size := 0
	if err := number(st, "size", &size); err != nil {
		return err
	}
	sum := sha256.Sum256(content(size))
	if want := hex.EncodeToString(sum[:]); r.Topic != st.args[0] || r.Name != st.args[1] || r.Size != size || r.SHA256 != want {
		return fmt.Errorf("got %s on %s, %d bytes of hash %.8s, want %d of %.8s", r.Name, r.Topic, r.Size, r.SHA256, size, want)
	}
	return nil
}

// ask sends requests, and waits for their answers unless the step says not to.
func (c *actor) ask(ctx context.Context, st *step, list ...request) error {
	var answers []<-chan report
	for _, r := range list {
		answers = append(answers, c.send(r))
	}
	if st.apart {
		c.apart = append(c.apart, answers...)
		return nil
	}
	return all(ctx, st, answers)
}

func all(ctx context.Context, st *step, answers []<-chan report) error {
	for _, answer := range answers {
		if _, err := settled(ctx, answer, st.code); err != nil {
			return err
		}
	}
	return nil
}

// state expects the client's next state. One that is closed may have been disconnected before: some SDKs say so.
func (c *actor) state(ctx context.Context, want, code string) error {
	r, err := next(ctx, c.states, "state")
	if err == nil && want == "closed" && r.State == "disconnected" {
		r, err = next(ctx, c.states, "state")
	}
	if err == nil && (r.State != want || r.Code != code) {
		err = fmt.Errorf("it is %s %s, want %s %s", r.State, r.Code, want, code)
	}
	return err
}

// content is that of each file of a size: the upper bytes of a linear congruential generator, which every agent can make.
func content(size int) []byte {
	b := make([]byte, size)
	x := uint32(size)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}
