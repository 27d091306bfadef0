package client

import (
	"errors"
	"sync"
	"time"

	"github.com/fastport/fastport/protocol"
)

const (
	// ackEvery is how many chunks are written between two file_ack: often enough that a sender's window never runs dry.
	ackEvery = protocol.FileAckEvery / 2
	// maxReceived is how many files that are complete are remembered, to say so to a server that sends one again.
	maxReceived = 256
)

var (
	errDeclined = errors.New("client: file: declined")
	errTooMany  = errors.New("client: file: too many at once")
	errAhead    = errors.New("client: file: the server sends beyond the window")
)

// receivings are the files on their way in, at most protocol.MaxOpenFiles.
type receivings struct {
	c *Client

	mu       sync.Mutex // guards the following
	list     map[string]*incoming
	received map[string]int64 // complete files and their chunks
	order    []string         // of received
	err      error            // no more are taken
}

func newReceivings(c *Client) *receivings {
	return &receivings{c: c, list: make(map[string]*incoming), received: make(map[string]int64)}
}

// begin takes an init_file.
func (r *receivings) begin(k *conn, f *protocol.ServerFrame) {
	h := r.c.subs.fileHandler(string(f.Topic))
	r.mu.Lock()
	known, open, err := r.list[string(f.FileID)], len(r.list), r.err
	total, received := r.received[string(f.FileID)]
	r.mu.Unlock()
	switch {
	case known != nil: // its sender came back to a server that did not know it
		if extra := known.restart(k, r.c.current() == k); extra != nil {
			leave(extra, f.FileID, f.Topic)
		}
		return
	case received:
		k.send(&protocol.ClientFrame{Type: protocol.TypeFileResume, FileID: f.FileID, Next: total, QoS: 1})
		return
	case h == nil || err != nil: // not to hold up the sender and the others
		leave(k, f.FileID, f.Topic)
		return
	}
	t, err := r.newIncoming(k, f, h)
	if err == nil && open >= protocol.MaxOpenFiles {
		err = errTooMany
	}
	if err != nil {
		leave(k, f.FileID, f.Topic)
		r.c.fault(&FileError{Topic: t.offer.Topic, FileID: t.offer.FileID, Name: t.offer.Name, Err: err})
		return
	}
	r.mu.Lock()
	r.list[t.offer.FileID] = t
	r.mu.Unlock()
	r.c.wg.Go(t.run) // begin is called by a goroutine that the group waits for
}

// leave takes this receiver out of a file.
func leave(k *conn, fileID, topic []byte) {
	k.send(&protocol.ClientFrame{Type: protocol.TypeCancelFile, FileID: fileID, Topic: topic, QoS: 1})
}

// remove forgets a file that has ended, with err where it failed.
func (r *receivings) remove(t *incoming, err error) {
	r.mu.Lock()
	delete(r.list, t.offer.FileID)
	if err == nil {
		if len(r.order) == maxReceived {
			delete(r.received, r.order[0])
			r.order = r.order[1:]
		}
		r.received[t.offer.FileID] = t.total
		r.order = append(r.order, t.offer.FileID)
	}
	r.mu.Unlock()
	t.mu.Lock()
	k, gone := t.conn, t.err != nil && !errors.Is(t.err, ErrClosed)
	// Of suite 1 the end looks the same whether it opened or not.
	written := err == nil || t.offer.Legacy && t.taken == t.total
	t.mu.Unlock()
	switch {
	case k.isDown():
	case written: // the last file_ack may still be due
		k.send(&protocol.ClientFrame{Type: protocol.TypeFileAck, FileID: []byte(t.offer.FileID), Next: t.total, QoS: 1})
	case !gone:
		leave(k, []byte(t.offer.FileID), []byte(t.offer.Topic))
	}
}

func (r *receivings) all() []*incoming {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]*incoming, 0, len(r.list))
	for _, t := range r.list {
		list = append(list, t)
	}
	return list
}

func (r *receivings) find(id []byte) *incoming {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.list[string(id)]
}

func (r *receivings) chunk(k *conn, c protocol.Chunk) {
	if t := r.find(c.FileID); t != nil {
		t.chunk(k, int64(c.Index), c.Payload)
	}
}

// finish takes an end_file.
func (r *receivings) finish(k *conn, f *protocol.ServerFrame) {
	if t := r.find(f.FileID); t != nil {
		t.end(k, string(f.Hash))
	}
}

// cancelled takes a cancel_file or a file_error.
func (r *receivings) cancelled(k *conn, f *protocol.ServerFrame, err *protocol.Error) {
	if t := r.find(f.FileID); t != nil {
		t.refused(k, f.Type, err)
	}
}

// move takes the files whose connection is down to the one that is up.
func (r *receivings) move() {
	k := r.c.current()
	for _, t := range r.all() {
		t.move(k)
	}
}

func (r *receivings) pull(k *conn) {
	for _, t := range r.all() {
		t.pull(k)
	}
}

func (r *receivings) abortAll(err error) {
	r.mu.Lock()
	r.err = err
	r.mu.Unlock()
	for _, t := range r.all() {
		t.fail(err)
	}
}

func (r *receivings) abortTopic(topic string) {
	for _, t := range r.all() {
		if t.offer.Topic == topic {
			t.fail(ErrClosed)
		}
	}
}

// chunk takes a chunk, if it is the next: a server that sends again sends some twice.
func (t *incoming) chunk(k *conn, index int64, payload []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conn != k || t.resume || index != t.expect || t.err != nil || index >= t.total {
		return
	}
	if len(t.queue) >= protocol.FileWindow {
		t.failLocked(errAhead)
		return
	}
	var buf []byte
	if n := len(t.free); n > 0 {
		buf, t.free = t.free[n-1][:0], t.free[:n-1]
	}
	t.queue = append(t.queue, append(buf, payload...))
	t.expect++
	t.asked, t.moved = false, time.Now()
	t.notify()
}

// next takes the chunk to be written.
func (t *incoming) next() (payload []byte, index int64, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err != nil || len(t.queue) == 0 {
		return nil, 0, t.err
	}
	payload, t.queue = t.queue[0], t.queue[1:]
	return payload, t.expect - int64(len(t.queue)) - 1, nil
}

// wrote tells that a chunk is written.
func (t *incoming) wrote(index int64, buf []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.taken = index + 1
	t.moved = time.Now()
	t.free = append(t.free, buf)
	if t.taken-t.acked >= ackEvery || t.taken == t.total {
		t.due = true
		t.conn.wake()
	}
}

func (t *incoming) end(k *conn, hash string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conn != k || t.resume || t.expect < t.total {
		return
	}
	t.ended, t.hash, t.moved = true, hash, time.Now()
	t.notify()
}

// move gives the file a connection if it has none that is up.
func (t *incoming) move(k *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if k != nil && t.conn.isDown() {
		t.restartLocked(k)
	}
}

// restart puts the file on k. Where it is on another connection that is up, since the client is moving, the newer one
// (current says whether that is k) keeps it, and the other, which would be a receiver that never comes back, is to leave.
func (t *incoming) restart(k *conn, current bool) (extra *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conn != k && !t.conn.isDown() {
		if !current {
			return k
		}
		extra = t.conn
	}
	t.restartLocked(k)
	return extra
}

// restartLocked goes on from what is written, or just being written.
func (t *incoming) restartLocked(k *conn) {
	t.expect -= int64(len(t.queue))
	t.free = append(t.free, t.queue...)
	t.queue = nil
	t.conn, t.resume, t.due = k, true, false
	k.wake()
}

// pull writes what k is to say about the file.
func (t *incoming) pull(k *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conn != k || t.err != nil {
		return
	}
	id := []byte(t.offer.FileID)
	if t.resume && time.Now().After(t.again) {
		// What comes behind this is what was asked for, what came before it is dropped.
		t.resume, t.asked = false, true
		t.acked = t.expect
		k.text(&protocol.ClientFrame{Type: protocol.TypeFileResume, FileID: id, Next: t.expect, QoS: 1})
	}
	if t.due && !t.resume {
		t.due = false
		t.acked = t.taken
		k.text(&protocol.ClientFrame{Type: protocol.TypeFileAck, FileID: id, Next: t.taken, QoS: 1})
	}
}

// refused takes the end that the server declares. To a file_resume it may say that it knows no such file only because the
// old connection is not known to be gone, or the sender is yet to come back: then it is asked again.
func (t *incoming) refused(k *conn, typ protocol.Type, err *protocol.Error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conn != k {
		return
	}
	if typ != protocol.TypeCancelFile && err.Code == protocol.NotFound && t.asked {
		t.resume, t.again = true, time.Now().Add(tick/2)
		return
	}
	t.failLocked(err)
}

func (t *incoming) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failLocked(err)
}

func (t *incoming) failLocked(err error) {
	if t.err == nil {
		t.err = err
	}
	t.notify()
}

// check keeps the timeout, and wakes what waits for a moment.
func (t *incoming) check(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Sub(t.moved) > giveUp {
		t.failLocked(ErrStalled)
	}
	if t.resume {
		t.conn.wake()
	}
}

func (t *incoming) notify() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}
