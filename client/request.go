package client

import (
	"context"
	"slices"
	"sync"

	"github.com/fastport/fastport/protocol"
)

// request is a frame that the server answers by one of its own, with the same topic or user.
type request struct {
	frame protocol.ClientFrame
	want  protocol.Type
	about string // topic or userId
	again bool   // a subscription made again with a new connection
	sent  bool   // on this connection
	done  chan answer
}

type answer struct {
	err     error
	devices []protocol.Device
}

// requests are those that were not answered yet. They are sent again with each new connection. Each belongs to a
// call that waits for it, or to a subscription, so that there are no more than of these.
type requests struct {
	c *Client

	mu   sync.Mutex // guards the following
	list []*request
	err  error // the client has ended
}

func newRequests(c *Client) *requests { return &requests{c: c} }

// do sends a request and waits for its answer until ctx ends.
func (r *requests) do(ctx context.Context, q *request) ([]protocol.Device, error) {
	if err := r.add(q); err != nil {
		return nil, err
	}
	select {
	case a := <-q.done:
		return a.devices, a.err
	case <-ctx.Done():
		r.remove(q)
		return nil, context.Cause(ctx)
	}
}

func (r *requests) add(q *request) error {
	q.done = make(chan answer, 1)
	r.mu.Lock()
	if r.err != nil {
		r.mu.Unlock()
		return r.err
	}
	r.list = append(r.list, q)
	r.mu.Unlock()
	r.c.wake()
	return nil
}

func (r *requests) remove(q *request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = slices.DeleteFunc(r.list, func(other *request) bool { return other == q })
}

// restart puts the topics to be subscribed again in front of all that was not answered. True: there are none.
func (r *requests) restart(topics []string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]*request, 0, len(topics)+len(r.list))
	for _, topic := range topics {
		q := subscribeRequest(topic)
		q.again, q.done = true, make(chan answer, 1)
		list = append(list, q)
	}
	for _, q := range r.list {
		if !q.again {
			q.sent = false
			list = append(list, q)
		}
	}
	r.list = list
	return len(topics) == 0
}

// pull writes what was not sent yet.
func (r *requests) pull(k *conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, q := range r.list {
		if !q.sent {
			q.sent = true
			k.text(&q.frame)
		}
	}
}

// answer settles the request that f answers: answers come in the order of requests. True: no subscription is waiting
// to be made again any more.
func (r *requests) answer(f *protocol.ServerFrame) (settled bool) {
	about := f.Topic
	if about == nil {
		about = f.UserID
	}
	return r.settle(f, func(q *request) bool { return q.want == f.Type && q.about == string(about) })
}

// refused settles the request that an error frame with a topic is about. False: there is none.
func (r *requests) refused(f *protocol.ServerFrame) bool {
	found := false
	r.settle(f, func(q *request) bool {
		found = found || q.about == string(f.Topic)
		return found
	})
	return found
}

func (r *requests) settle(f *protocol.ServerFrame, is func(*request) bool) (settled bool) {
	var found *request
	r.mu.Lock()
	for i, q := range r.list {
		if q.sent && is(q) {
			found = q
			r.list = slices.Delete(r.list, i, i+1)
			break
		}
	}
	settled = !slices.ContainsFunc(r.list, func(q *request) bool { return q.again })
	r.mu.Unlock()
	if found == nil {
		return settled
	}
	a := answer{devices: f.Devices}
	if !f.Success {
		refused := &protocol.Error{Code: f.Code, Text: f.Text}
		a.err = refused
		if found.again {
			r.c.subs.refusedAgain(found.about, refused)
		}
	}
	found.done <- a
	return settled
}

// fail ends all requests, and all that come.
func (r *requests) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return
	}
	r.err = err
	for _, q := range r.list {
		q.done <- answer{err: err}
	}
	r.list = nil
}
