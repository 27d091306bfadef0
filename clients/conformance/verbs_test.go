package conformance

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
)

// clientVerbs are what a client may do, and what is expected of it.
var clientVerbs = map[string]func(context.Context, *actor, *step) error{
	"close": func(ctx context.Context, c *actor, st *step) error { return c.ask(ctx, st, request{Do: "close"}) },
	"subscribe": func(ctx context.Context, c *actor, st *step) error {
		r := request{Do: "subscribe", Topic: st.args[0]}
		if err := number(st, "failing", &r.Failing); err != nil {
			return err
		}
		return c.ask(ctx, st, r)
	},
	"unsubscribe": func(ctx context.Context, c *actor, st *step) error {
		return c.ask(ctx, st, request{Do: "unsubscribe", Topic: st.args[0]})
	},
	"emit": func(ctx context.Context, c *actor, st *step) error {
		var list []request
		for _, text := range texts(st.args[1]) {
			list = append(list, request{Do: "emit", Topic: st.args[0], Text: text, MessageID: st.options["id"]})
		}
		return c.ask(ctx, st, list...)
	},
	"receive": func(ctx context.Context, c *actor, st *step) error {
		return c.ask(ctx, st, request{Do: "receive", Topic: st.args[0]})
	},
	"send": func(ctx context.Context, c *actor, st *step) error {
		r := request{Do: "send", Topic: st.args[0], Name: st.args[1]}
		if err := number(st, "size", &r.Size); err != nil {
			return err
		}
		return c.ask(ctx, st, r)
	},
	"register": func(ctx context.Context, c *actor, st *step) error {
		return c.ask(ctx, st, request{Do: "register", UserID: st.args[0], DeviceID: st.args[1], Token: st.args[2]})
	},
	"unregister": func(ctx context.Context, c *actor, st *step) error {
		return c.ask(ctx, st, request{Do: "unregister", UserID: st.args[0], DeviceID: st.args[1]})
	},
	"devices": func(ctx context.Context, c *actor, st *step) error {
		r, err := settled(ctx, c.send(request{Do: "devices", UserID: st.args[0]}), st.code)
		if err == nil && !slices.Equal(r.Devices, st.args[1:]) {
			err = fmt.Errorf("they are %q", r.Devices)
		}
		return err
	},
	"wait": func(ctx context.Context, c *actor, st *step) error {
		apart := c.apart
		c.apart = nil
		return all(ctx, st, apart)
	},
	"expect": func(ctx context.Context, c *actor, st *step) error {
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
	},
	"file": func(ctx context.Context, c *actor, st *step) error {
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
	},
	"state": func(ctx context.Context, c *actor, st *step) error {
		return c.state(ctx, st.args[0], append(st.args, "")[1])
	},
	// Of errors, others may come before: what the connection went through, say.
	"error": func(ctx context.Context, c *actor, st *step) error {
		for {
			if r, err := next(ctx, c.errors, "such error"); err != nil || r.Code == st.args[0] {
				return err
			}
		}
	},
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
