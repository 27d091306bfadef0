package conformance

import (
	"context"
	"fmt"
)

// inbox is how many events of a kind a client may have that nobody has asked for: more than any scenario has.
const inbox = 1 << 12

// actor is one client of a scenario, as the agent tells of it.
type actor struct {
	id       string
	agent    *agent
	messages chan report
	files    chan report
	states   chan report
	errors   chan report
	apart    []<-chan report // answers that are yet to be waited for
}

func newActor(id string, a *agent) *actor {
	c := &actor{
		id: id, agent: a,
		messages: make(chan report, inbox), files: make(chan report, inbox), states: make(chan report, inbox), errors: make(chan report, inbox),
	}
	a.add(c)
	return c
}

// take files an event.
func (c *actor) take(r report) {
	switch r.Event {
	case "message":
		c.messages <- r
	case "file":
		c.files <- r
	case "state":
		c.states <- r
	case "error":
		c.errors <- r
	}
}

func (c *actor) send(r request) <-chan report {
	r.Client = c.id
	return c.agent.send(r)
}

// next waits for the next of something.
func next(ctx context.Context, from <-chan report, what string) (report, error) {
	select {
	case r := <-from:
		return r, nil
	case <-ctx.Done():
		return report{}, fmt.Errorf("no %s has come", what)
	}
}

// settled waits for an answer, which is to have this code ("": none).
func settled(ctx context.Context, answer <-chan report, code string) (report, error) {
	r, err := next(ctx, answer, "answer")
	switch {
	case err != nil:
	case r.Code == code:
	case r.Code == "":
		err = fmt.Errorf("it succeeded, want %s", code)
	case code == "":
		err = fmt.Errorf("%s: %s", r.Code, r.Error)
	default:
		err = fmt.Errorf("%s: %s, want %s", r.Code, r.Error, code)
	}
	return r, err
}
