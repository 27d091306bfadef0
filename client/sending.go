package client

import (
	"errors"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"github.com/fastport/fastport/protocol"
)

const (
	// fileBatch is how many chunks of one file go out before something else may.
	fileBatch = 4
	// fileStall is how long a file may stand still while its connection is up. The server gives up its receivers earlier.
	fileStall = 2 * protocol.ReceiverStall
)

var errDone = errors.New("client: file: done")

// sending is one file on its way out: a window of sealed chunks between the goroutine that reads the source and the one
// that writes the connection.
type sending struct {
	c        *Client
	id       string
	name     string
	size     int64
	total    int64 // chunks
	init     protocol.ClientFrame
	produced chan struct{} // the window or the state has changed
	seekable bool

	mu        sync.Mutex // guards the following
	conn      *conn      // the one that it is on; nil: none yet
	asked     bool       // init_file has gone out on it
	begun     bool       // and was answered: chunks may go
	resumed   bool       // it is not the first
	notBefore time.Time  // for init_file to be sent again
	away      time.Time  // since when it has no connection; zero: it has
	moved     time.Time  // when acked last grew, or the file got its connection
	ring      [protocol.FileWindow][]byte
	first     int64 // the ring holds nothing before it
	sealed    int64 // chunks sealed
	high      int64 // the most that were ever sealed
	cursor    int64 // the chunk to go out next
	acked     int64 // written by every receiver
	kept      keeping
	told      int64 // the last acked that the server sent
	turn      int   // counts goings back beyond the ring
	receivers int
	hash      []byte // end_file's
	ended     bool   // end_file is out
	cancelled bool   // cancel_file is out
	err       error
}

// keeping is what a file that can't be read again holds in its ring for receivers who may be yet to come back. A server
// that has lost the file itself learns of its receivers one by one, and the last to come may be the furthest behind.
type keeping struct {
	receivers int // how many there were, until as many are back; 0: nothing is kept
	from      int64
	until     time.Time // a server waits no longer for one that is away
	sure      bool      // the server has lost the file; else they may have left it
}

// begin keeps what is beyond from for so many receivers, unless something is kept already.
func (k *keeping) begin(receivers int, from int64, sure bool) {
	if k.receivers == 0 {
		k.receivers, k.from = receivers, from
	}
	k.sure = k.sure || sure
	k.until = time.Now().Add(protocol.ReceiverStall)
}

// count takes how many receivers there are now. back: in the same word the file goes back.
func (k *keeping) count(receivers int, back bool) {
	switch {
	case receivers >= k.receivers || time.Now().After(k.until):
		*k = keeping{}
	case back:
		k.sure = true
	case !k.sure:
		*k = keeping{} // those who are gone have left it
	}
}

// least is the first chunk that may be asked for, of a file that is at acked.
func (k *keeping) least(acked int64) int64 {
	if k.receivers > 0 && time.Now().Before(k.until) {
		return min(k.from, acked)
	}
	return acked
}

// sendings are the files on their way out.
type sendings struct {
	c *Client

	mu   sync.Mutex // guards the following
	list map[string]*sending
	err  error // no more are taken
}

func newSendings(c *Client) *sendings { return &sendings{c: c, list: make(map[string]*sending)} }

func (s *sendings) add(t *sending) error {
	s.mu.Lock()
	if err := s.err; err != nil || s.list[t.id] != nil {
		s.mu.Unlock()
		if err == nil {
			err = protocol.Errorf(protocol.Conflict, "this file is being sent already")
		}
		return err
	}
	s.list[t.id] = t
	s.mu.Unlock()
	t.move(s.c.current())
	return nil
}

// remove forgets a file, and cancels it at its receivers where it has failed.
func (s *sendings) remove(t *sending, err error) {
	s.mu.Lock()
	delete(s.list, t.id)
	s.mu.Unlock()
	if err != nil {
		t.cancel()
	}
}

func (s *sendings) all() []*sending {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*sending, 0, len(s.list))
	for _, t := range s.list {
		list = append(list, t)
	}
	return list
}

func (s *sendings) find(id []byte) *sending {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list[string(id)]
}

// move takes the files whose connection is down to the one that is up.
func (s *sendings) move() {
	k := s.c.current()
	for _, t := range s.all() {
		t.move(k)
	}
}

func (s *sendings) cancelAll(err error) {
	s.mu.Lock()
	s.err = err
	s.mu.Unlock()
	for _, t := range s.all() {
		t.fail(err)
		t.cancel()
	}
}

// pull writes a few chunks of each file that is on k.
func (s *sendings) pull(k *conn) {
	more := false
	for _, t := range s.all() {
		more = t.pull(k) || more
	}
	if more {
		k.wake()
	}
}

// progress takes a file_progress.
func (s *sendings) progress(k *conn, f *protocol.ServerFrame) {
	if t := s.find(f.FileID); t != nil {
		t.progress(k, f)
	}
}

// refused takes a file_error. False: it is about no file that goes out.
func (s *sendings) refused(k *conn, f *protocol.ServerFrame, err *protocol.Error) bool {
	t := s.find(f.FileID)
	if t == nil {
		return false
	}
	t.refused(k, err)
	return true
}

// cancel tells the receivers, once.
func (t *sending) cancel() {
	t.mu.Lock()
	k, tell := t.conn, t.asked && !t.cancelled
	t.cancelled = true
	t.mu.Unlock()
	if tell && !k.isDown() {
		k.send(&protocol.ClientFrame{Type: protocol.TypeCancelFile, FileID: []byte(t.id), Topic: t.init.Topic, QoS: 1})
	}
}

// notify tells the producer to look.
func (t *sending) notify() {
	select {
	case t.produced <- struct{}{}:
	default:
	}
}

// want tells the producer what to do next: seal a chunk where ready, stop where err.
func (t *sending) want() (index int64, turn int, ready bool, p FileProgress, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p = FileProgress{
		FileID: t.id, Name: t.name, Size: t.size, Done: min(t.size, t.acked*protocol.ChunkSize), Receivers: t.receivers,
	}
	ready = t.sealed < min(t.total, t.needed()+protocol.FileWindow)
	return t.sealed, t.turn, ready, p, t.err
}

// needed is the first chunk that may still be asked for.
func (t *sending) needed() int64 {
	if t.seekable {
		return t.acked
	}
	return t.kept.least(t.acked)
}

// put takes a sealed chunk, and gives back a buffer for the next.
func (t *sending) put(index int64, turn int, frame, hash []byte) (spare []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if turn != t.turn {
		return frame // asked for before the file went back
	}
	if hash != nil {
		t.hash = hash
	}
	slot := &t.ring[index%protocol.FileWindow]
	spare, *slot = *slot, frame
	t.sealed++
	t.high = max(t.high, t.sealed)
	if t.conn != nil {
		t.conn.wake()
	}
	return spare
}

// move gives the file a connection if it has none that is up.
func (t *sending) move(k *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conn != nil && !t.conn.isDown() {
		return
	}
	if t.conn != nil && t.away.IsZero() {
		t.away = time.Now()
	}
	if k == nil || k.isDown() {
		return
	}
	t.resumed = t.asked || t.resumed
	t.kept.begin(t.receivers, t.acked, true)
	t.conn, t.asked, t.begun, t.ended, t.moved = k, false, false, false, time.Now()
	k.wake()
}

// pull writes what k is to send of it. True: there is more.
func (t *sending) pull(k *conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conn != k || t.err != nil {
		return false
	}
	if !t.asked && time.Now().After(t.notBefore) {
		t.asked = true
		k.text(&t.init)
	}
	if !t.begun {
		return false
	}
	for n := 0; t.cursor < t.sealed; n++ {
		if n == fileBatch {
			return true
		}
		k.out = appendFrame(k.out, ws.OpBinary, t.ring[t.cursor%protocol.FileWindow])
		t.cursor++
	}
	if t.cursor == t.total && !t.ended {
		t.ended = true
		k.text(&protocol.ClientFrame{Type: protocol.TypeEndFile, FileID: []byte(t.id), Topic: t.init.Topic, Hash: t.hash, QoS: 1})
	}
	return false
}

func (t *sending) progress(k *conn, f *protocol.ServerFrame) {
	t.mu.Lock()
	defer t.mu.Unlock()
	defer t.notify()
	if t.conn != k || !t.asked {
		return // an old connection's
	}
	back := f.Acked < t.told
	t.kept.count(f.Receivers, back)
	if f.Receivers < t.receivers && !back {
		t.kept.begin(t.receivers, t.acked, false) // until the next word shows which it is
	}
	t.receivers = f.Receivers
	acked := min(f.Acked, t.high) // nobody has what was never sent
	switch {
	case f.Done:
		t.acked, t.err = t.total, errDone
	case !t.begun && t.resumed && !t.reaches(acked):
		// A server that has lost the file itself learns from the receivers, as they come back, how far they are.
	case !t.begun || back:
		// Answered to init_file, this is where to go on; less than before, where to go back to.
		t.begun, t.away = true, time.Time{}
		t.goTo(acked)
	case acked > t.sealed:
		t.goTo(acked)
	case acked > t.acked:
		t.acked, t.cursor, t.moved = acked, max(t.cursor, acked), time.Now()
	}
	t.told = f.Acked
	k.wake()
}

// held reports whether index can go out next without being sealed again.
func (t *sending) held(index int64) bool {
	return index <= t.sealed && index >= max(t.first, t.sealed-protocol.FileWindow)
}

func (t *sending) reaches(index int64) bool { return t.seekable || t.held(index) }

// goTo makes index the chunk to go out next.
func (t *sending) goTo(index int64) {
	if !t.reaches(index) {
		t.fail1(errGoneBack)
		return
	}
	held := t.held(index)
	t.acked, t.cursor, t.ended, t.moved = index, index, false, time.Now()
	if !held {
		t.turn++
		t.first, t.sealed = index, index
	}
}

// refused takes the server's refusal. Coming back, the file may be found in use for a moment, its old connection not
// being known to be gone, or without its receivers, who are coming back too.
func (t *sending) refused(k *conn, err *protocol.Error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	defer t.notify()
	if t.conn != k || t.err != nil {
		return
	}
	if t.resumed && !t.begun && time.Since(t.away) < protocol.SenderAway {
		switch err.Code {
		case protocol.Conflict, protocol.NoReceivers, protocol.Unavailable, protocol.QuotaExceeded:
			t.asked, t.notBefore = false, time.Now().Add(tick/2)
			return
		}
	}
	t.err = err
}

func (t *sending) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fail1(err)
}

func (t *sending) fail1(err error) {
	if t.err == nil {
		t.err = err
	}
	t.notify()
}

// check keeps the timeouts, and wakes what waits for a moment.
func (t *sending) check(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	owing := !t.begun || t.cursor > t.acked || t.ended
	switch {
	case !t.away.IsZero() && now.Sub(t.away) > protocol.SenderAway:
		t.fail1(ErrStalled)
	case t.away.IsZero() && owing && now.Sub(t.moved) > fileStall:
		t.fail1(ErrStalled)
	case !t.asked && t.conn != nil:
		t.conn.wake()
	}
}
