package session

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"sync"
	"time"

	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/storage"
)

// transfer is one file on its way from its sender to the connections that had its topic when it began.
//
// It holds a window of chunks, from the first that some receiver has not written (base) to the newest that came
// (high), at most protocol.FileWindow of them: that is all its memory, whatever the file's size. Each receiver is fed
// from the window as its socket takes it, and again after it came back. So its sender has to go back only where a
// receiver has lost what it had acked before: it is told by a file_progress whose acked is less than the one before.
type transfer struct {
	ts      *openFiles
	session string
	id      fileID
	text    []byte // the fileId as it was sent
	topic   string
	total   int64 // chunks
	print   [32]byte
	init    *Packet

	mu         sync.Mutex // guards the following; taken before openFiles.mu
	over       bool
	sender     *filePeer // nil: away
	subscriber storage.Subscriber
	away       time.Time // since when
	base       int64
	window     []*chunk
	held       *chunk  // the chunk after a full window, while its sender is not read
	end        *Packet // end_file, until the sender goes back
	told       int64   // the acked that the sender last heard
	unheard    bool    // its outbox was full: told again by the sweep
	receivers  []*fileReceiver

	// In a cluster.
	starting   bool       // its receivers are being asked for
	visitors   []*visitor // links to other nodes
	turnBack   bool       // its sender must be made to go back at the next word
	unanswered bool       // its sender is not answered before a receiver has come
	heirUntil  time.Time  // its home was another node: until then old receivers may come, and it is not done; zero: not so
}

func newTransfer(ts *openFiles, p *filePeer, id fileID, f *protocol.ClientFrame) *transfer {
	return &transfer{
		ts: ts, session: p.session, id: id, text: slices.Clone(f.FileID), topic: string(f.Topic), total: f.TotalChunks,
		print: fingerprint(p, f), init: relayed(f), sender: p, subscriber: p.subscriber,
	}
}

// fingerprint tells one file from another under the same id, and one durable sender from another.
func fingerprint(p *filePeer, f *protocol.ClientFrame) [32]byte {
	var b []byte
	for _, part := range [][]byte{[]byte(p.subscriber), f.Topic, f.FileName, f.Meta} {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(part))), part...)
	}
	b = binary.BigEndian.AppendUint64(b, uint64(f.FileSize))
	return sha256.Sum256(binary.BigEndian.AppendUint64(b, uint64(f.TotalChunks)))
}

// start names the receivers. False: there is none, and the file is over. It runs under the lock.
func (t *transfer) start(topic []*filePeer) bool {
	for _, p := range topic {
		if p != t.sender {
			t.add(p)
		}
	}
	if len(t.receivers) == 0 {
		t.over = true
		t.ts.remove(t, nil)
		if t.sender != nil {
			t.ts.refuse(t.sender, t.id, t.text, protocol.NoReceivers, "nobody is subscribed to the topic now")
		}
		t.farewell()
		return false
	}
	t.unanswered = false
	t.progress(true)
	t.advance()
	return true
}

// add makes p a receiver from the file's first frame on.
func (t *transfer) add(p *filePeer) *fileReceiver {
	r := &fileReceiver{t: t, peer: p, subscriber: p.subscriber, version: p.version, moved: time.Now(), place: p.place()}
	t.receivers = append(t.receivers, r)
	if p.isGone() { // while others were asked
		r.part()
	}
	return r
}

// takeBack gives the file to its sender's new connection. Not back: it is another's, or another file.
// again: p was its sender all along and does not know that the link to it was lost.
func (t *transfer) takeBack(p *filePeer, print [32]byte, again bool) (back, over bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over || print != t.print || t.receiver(p) != nil {
		return false, t.over
	}
	if t.sender != p {
		// Of ephemeral connections nobody can say that two are one device: it must at least be missing.
		if t.sender != nil && p.subscriber == "" {
			return false, false
		}
		t.release()
		if t.sender != nil {
			t.sender.dismiss()
		}
		t.sender = p
	}
	if t.turnBack = again; again && p.version < protocol.Version2 {
		t.failLocked(protocol.Unavailable, "a part of the file was lost between nodes")
		return true, false
	}
	t.tell()
	return true, false
}

// chunk takes the next chunk. wait: the window is full, so the sender is not read until it has moved.
func (t *transfer) chunk(p *filePeer, index int64, frame []byte) (wait bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over || p != t.sender {
		return false
	}
	high := t.high()
	if index > high && p.version < protocol.Version2 && t.end == nil {
		t.failLocked(protocol.BadRequest, "a chunk is missing: chunks take the order of their index")
		return false
	}
	// Less than high: sent again by a sender that came back. More: on its way before the sender knew that it must go back.
	if index != high || index >= t.total || t.end != nil || t.held != nil {
		return t.held != nil
	}
	c := t.ts.chunks.take(frame)
	t.ts.bytesIn.Add(uint64(len(frame) - protocol.ChunkHeader))
	if len(t.window) == protocol.FileWindow {
		t.held = c
		return true
	}
	t.window = append(t.window, c)
	t.feed()
	return false
}

// finish takes end_file. It goes to each receiver behind its last chunk.
func (t *transfer) finish(p *filePeer, f *protocol.ClientFrame) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over || p != t.sender || t.end != nil {
		return
	}
	if p.version >= protocol.Version2 && t.high() < t.total {
		return // sent before it knew that it must go back
	}
	t.end = relayed(f)
	t.advance()
}

// cancel ends it for all where its sender says so, else for one receiver.
func (t *transfer) cancel(p *filePeer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		return
	}
	if p == t.sender {
		note := relayed(&protocol.ClientFrame{Type: protocol.TypeCancelFile, FileID: t.text, Topic: []byte(t.topic)})
		for _, r := range t.receivers {
			if r.peer != nil {
				r.peer.socket.Send(LaneFile, note)
			}
		}
		t.closeAll(protocol.NotFound, "the sender cancelled the file")
		return
	}
	if r := t.receiver(p); r != nil {
		t.leave(r, "", "")
	}
}

// fail ends the file for its sender's fault.
func (t *transfer) fail(p *filePeer, code protocol.Code, why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.over && p == t.sender {
		t.failLocked(code, why)
	}
}

func (t *transfer) failLocked(code protocol.Code, why string) {
	t.ts.refuse(t.sender, t.id, t.text, code, why)
	t.closeAll(code, why)
}

// closed tells that a connection is gone, the sender's or a receiver's or neither's.
func (t *transfer) closed(p *filePeer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		return
	}
	if p == t.sender {
		t.senderLost(time.Now())
		return
	}
	if r := t.receiver(p); r != nil {
		if r.version < protocol.Version2 {
			t.leave(r, "", "") // it knows no way back
			return
		}
		r.part()
	}
}

// senderLost takes in that its sender was heard last at a time. It runs under the lock.
func (t *transfer) senderLost(heard time.Time) {
	t.dropHeld()
	t.sender, t.away = nil, heard
}

// sweep keeps the timeouts.
func (t *transfer) sweep(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.over && t.sender == nil && now.Sub(t.away) >= protocol.SenderAway {
		t.closeAll(protocol.Unavailable, "the sender did not come back")
	}
	if !t.over && t.unheard {
		t.progress(true)
	}
	t.sweepHeir(now)
	for _, r := range slices.Clone(t.receivers) {
		switch {
		case t.over:
			return
		case r.peer == nil && now.Sub(r.moved) >= protocol.ReceiverStall:
			t.leave(r, "", "")
		case r.peer != nil && !r.owes():
			r.moved = now
		case r.peer != nil && now.Sub(r.moved) >= protocol.ReceiverStall:
			t.leave(r, protocol.TooSlow, "nothing was taken for 30 s")
		default:
			r.feed() // a socket that was full tells nobody when it has room again
		}
	}
}

// abandon ends the file without a word: its session is gone.
func (t *transfer) abandon() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.over {
		t.finishWith(nil)
	}
}

// The rest runs under the lock.

func (t *transfer) high() int64 { return t.base + int64(len(t.window)) }

func (t *transfer) receiver(p *filePeer) *fileReceiver {
	for _, r := range t.receivers {
		if r.peer == p {
			return r
		}
	}
	return nil
}

// advance moves the window up to what every receiver has written, lets the sender and the receivers go on, and ends
// the file when all have it.
func (t *transfer) advance() {
	if t.starting || len(t.receivers) == 0 {
		return // they are yet to come
	}
	least := t.total
	for _, r := range t.receivers {
		least = min(least, r.acked)
	}
	if !t.heirUntil.IsZero() && t.sender != nil && t.sender.version < protocol.Version2 {
		least = t.base // it cannot go back for whoever is yet to come
	}
	switch {
	case least > t.high(): // all came back with more than the sender had sent this time
		t.release()
		t.empty()
		t.base = least
	case least > t.base:
		letGoOf(t.window[:least-t.base])
		t.window = slices.Delete(t.window, 0, int(least-t.base))
		t.base = least
	}
	if t.held != nil && len(t.window) < protocol.FileWindow {
		t.held.hold()
		t.window = append(t.window, t.held)
		t.release()
	}
	t.feed()
	for _, r := range t.receivers {
		if !r.ended || r.acked < t.high() {
			t.progress(false)
			return
		}
	}
	if !t.heirUntil.IsZero() {
		t.progress(false)
		return // there may be more of them
	}
	if t.sender != nil && t.sender.version >= protocol.Version2 {
		sendProgress(t.sender, t.text, len(t.receivers), t.total, true)
	}
	t.finishWith(&spentFile{print: t.print, done: true, receivers: len(t.receivers), total: t.total, end: t.end})
}

func (t *transfer) feed() {
	for _, r := range t.receivers {
		r.feed()
	}
}

// release lets the sender be read again. What was held is in the window, or will be sent again.
func (t *transfer) release() {
	if t.held != nil {
		t.dropHeld()
		t.sender.socket.Resume()
	}
}

func (t *transfer) dropHeld() {
	if t.held != nil {
		t.held.letGo()
		t.held = nil
	}
}

// empty lets go of the window.
func (t *transfer) empty() {
	letGoOf(t.window)
	t.window = nil
}

// goBack makes next the chunk that is expected, for a receiver that has lost what it had acked.
func (t *transfer) goBack(next int64) {
	if t.told != t.base {
		t.progress(true) // so that the one after it is seen to go down
	}
	t.release()
	t.empty()
	t.base, t.end = next, nil
	t.progress(true)
}

// progress tells a version 2 sender how far all have come: each time there is nothing else it could wait for, else
// often enough that its window does not run dry.
func (t *transfer) progress(now bool) {
	if t.sender == nil || t.sender.version < protocol.Version2 {
		return
	}
	if moved := t.base - t.told; now || moved >= protocol.FileAckEvery/2 || moved > 0 && t.base == t.high() {
		t.tell()
	}
}

// tell tells the sender, whatever its version, unless the receivers are yet to come.
func (t *transfer) tell() {
	if t.starting || t.unanswered {
		return
	}
	t.told = t.base
	n, acked := len(t.receivers), t.base
	if t.turnBack && t.total > 0 {
		// It goes back where acked goes down. From the end it goes back by a chunk, for its end_file.
		above := min(acked+1, t.total)
		sendProgress(t.sender, t.text, n, above, false)
		acked = above - 1
	}
	t.unheard = !sendProgress(t.sender, t.text, n, acked, false)
	t.turnBack = t.turnBack && t.unheard
}

// leave takes a receiver out, telling it why where there is a code. The last one takes the file along.
func (t *transfer) leave(r *fileReceiver, code protocol.Code, why string) {
	t.receivers = slices.DeleteFunc(t.receivers, func(other *fileReceiver) bool { return other == r })
	if r.peer != nil {
		if code != "" {
			sendFileError(r.peer, t.text, code, why)
		}
		r.peer.dismiss()
	}
	r.part()
	if len(t.receivers) == 0 && !t.heirUntil.IsZero() {
		return
	}
	if len(t.receivers) == 0 {
		if t.sender != nil {
			t.ts.refuse(t.sender, t.id, t.text, protocol.NoReceivers, "the last receiver has left")
		}
		t.finishWith(&spentFile{print: t.print})
		return
	}
	t.progress(true)
	t.advance()
}

// closeAll ends it for every receiver.
func (t *transfer) closeAll(code protocol.Code, why string) {
	for _, r := range t.receivers {
		if r.peer != nil {
			sendFileError(r.peer, t.text, code, why)
		}
	}
	t.finishWith(&spentFile{print: t.print})
}

func (t *transfer) finishWith(past *spentFile) {
	t.release()
	if t.sender != nil {
		t.sender.refused.Store(&t.id)
	}
	t.empty()
	t.over, t.receivers = true, nil
	t.ts.remove(t, past)
	t.farewell()
}
