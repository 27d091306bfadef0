package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/fastport/fastport/internal/daemon"
)

// toServer judges what a client says.
func (r *relay) toServer(l *link, f frame) (client, server []frame) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sent[l.client] = append(r.sent[l.client], f)
	if held := r.late[l.client]; held != nil && held.link == nil && f.typ() == "init" {
		held.link, held.login, l.held = l, f, true
		return nil, nil
	}
	return r.judged(l, f)
}

// judged is what the fault makes of a client's frame.
func (r *relay) judged(l *link, f frame) (client, server []frame) {
	if r.fault.toServer != nil {
		return r.fault.toServer(r, l, f)
	}
	return nil, []frame{f}
}

// toClient judges what a server says.
func (r *relay) toClient(l *link, f frame) (client, server []frame) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch typ := f.typ(); {
	case typ == r.lose[l.client]:
		delete(r.lose, l.client)
		return nil, nil
	case typ == "init_response" && r.late[l.client] != nil && r.late[l.client].link != nil:
		held := r.late[l.client]
		delete(r.late, l.client)
		_, logins := r.judged(held.link, held.login)
		r.wg.Go(func() {
			for _, login := range logins {
				held.link.up.say(login) // a server that has given it up is found out by the scenario
			}
		})
	case typ == "message":
		r.came[l.client+"\n"+f.text("messageId")] = f
	}
	if r.fault.toClient != nil {
		return r.fault.toClient(l, f), nil
	}
	return []frame{f}, nil
}

// chunk counts a file's chunk. True: the client is to be cut now.
func (r *relay) chunk(l *link) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.chunks[l.client]++
	if at := r.cutAt[l.client]; at == 0 || r.chunks[l.client] < at {
		return false
	}
	delete(r.cutAt, l.client)
	return true
}

// of lists a client's connections.
func (r *relay) of(client string) (list []*link) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for l := range r.links {
		if l.client == client && !l.held {
			list = append(list, l)
		}
	}
	return list
}

// cut breaks a client's connections without a word.
func (r *relay) cut(client string) {
	for _, l := range r.of(client) {
		l.cut()
	}
}

// change sets what scenarios set.
func (r *relay) change(set func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	set()
}

// saw waits until a client has sent a frame of this type with these fields.
func (r *relay) saw(ctx context.Context, client, typ string, fields map[string]string) error {
	return r.await(ctx, fmt.Sprintf("%s with %v of %s", typ, fields, client), func() bool {
		return slices.ContainsFunc(r.sent[client], func(f frame) bool {
			for name, value := range fields {
				if !f.is(name, value) {
					return false
				}
			}
			return f.typ() == typ
		})
	})
}

// acked waits until a client has acked a message so many times.
func (r *relay) acked(ctx context.Context, client, id string, times int) error {
	return r.await(ctx, fmt.Sprintf("ack %d of %s by %s", times, id, client), func() bool {
		n := 0
		for _, f := range r.sent[client] {
			var ids []string
			json.Unmarshal(f["messageIds"], &ids) // absent: none
			if f.typ() == "ack" && (f.text("messageId") == id || slices.Contains(ids, id)) {
				n++
			}
		}
		return n >= times
	})
}

// await waits until something has been sent; done is called with the lock held.
func (r *relay) await(ctx context.Context, what string, done func() bool) error {
	for {
		r.mu.Lock()
		is := done()
		r.mu.Unlock()
		if is {
			return nil
		}
		if !daemon.Pause(ctx) {
			return fmt.Errorf("no %s has come", what)
		}
	}
}

// repeat brings a message again that a client had; with another id, it pretends to be another message.
func (r *relay) repeat(client, id, as string) error {
	r.mu.Lock()
	f := r.came[client+"\n"+id]
	r.mu.Unlock()
	links := r.of(client)
	if f == nil || len(links) == 0 {
		return fmt.Errorf("%s had no message %s, or has no connection", client, id)
	}
	if as != "" {
		f = f.with(map[string]any{"messageId": as})
	}
	return links[0].down.say(f)
}
