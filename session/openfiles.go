package session

import (
	"context"
	"encoding/hex"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fastport/fastport/metrics"
	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/storage"
)

// Limits of transfers that no client is told.
const (
	maxChunk     = protocol.ChunkSize + 32 // suite 1 adds an IV and up to a block of padding
	maxSpent     = 8192                    // files of the past that are remembered
	transferTick = time.Second             // how late a timeout may be
)

// openFiles are the files under way through this node. A file lives from its init_file until every receiver has it or
// has left, its sender gave up, or its session went. No goroutine belongs to it: frames and the sockets' callbacks
// move it on, and one sweep keeps all the timeouts.
type openFiles struct {
	maxOpen int // of a session
	// receivers are the connections that get what is published on a topic now, the sender's too.
	receivers func(session, topic string) []*filePeer
	fleet     *fleet // nil: this node is alone

	bytesIn, bytesOut atomic.Uint64 // payloads of chunks taken and handed on
	chunks            chunks

	mu     sync.RWMutex // guards the following; taken after a transfer's own, and a guest's
	files  map[string]map[fileID]*transfer
	guests map[string]map[fileID]*guest // files under way here whose home is elsewhere
	spent  spentFiles
}

// filePeer is a connection as transfers see it. One per connection: it is compared by address.
type filePeer struct {
	session    string             // storage.Session.ID
	subscriber storage.Subscriber // "": ephemeral
	version    int
	socket     Socket
	errors     *metrics.Labels

	refused atomic.Pointer[fileID] // the last file it was told is none: what is still on its way is dropped quietly
}

// fileID is a fileId without its spelling: files of one id in two spellings would share a key.
type fileID [16]byte

func parseFileID(text []byte) (id fileID, ok bool) {
	if !protocol.ValidFileID(text) {
		return id, false
	}
	digits := make([]byte, 0, 32)
	for _, part := range [][]byte{text[:8], text[9:13], text[14:18], text[19:23], text[24:]} {
		digits = append(digits, part...)
	}
	_, err := hex.Decode(id[:], digits)
	return id, err == nil
}

var errFileID = protocol.Errorf(protocol.BadRequest, "fileId: takes a UUID in its 36 characters")

func newOpenFiles(maxOpen int, receivers func(session, topic string) []*filePeer) *openFiles {
	return &openFiles{maxOpen: maxOpen, receivers: receivers, files: make(map[string]map[fileID]*transfer),
		guests: make(map[string]map[fileID]*guest)}
}

// run keeps the timeouts until ctx ends.
func (ts *openFiles) run(ctx context.Context) {
	tick := time.NewTicker(transferTick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			ts.sweep(now)
		}
	}
}

// sweep keeps the timeouts of files and links.
func (ts *openFiles) sweep(now time.Time) {
	for _, t := range ts.all() {
		t.sweep(now)
	}
	if ts.fleet == nil {
		return
	}
	for _, g := range ts.allGuests() {
		g.sweep(now)
	}
	ts.fleet.check(now)
}

// text takes one of the five frames about files. An error is of the frame's form; all else is answered by file_error
// or file_progress.
func (ts *openFiles) text(p *filePeer, f *protocol.ClientFrame) *protocol.Error {
	id, ok := parseFileID(f.FileID)
	if !ok {
		return errFileID
	}
	if f.Type == protocol.TypeInitFile {
		ts.begin(p, id, f)
		return nil
	}
	if g := ts.guest(p.session, id); g != nil && g.said(p, f) {
		return nil
	}
	ts.home(p, id, f)
	return nil
}

// home takes a frame about a file that is under way here or that nobody knows of.
func (ts *openFiles) home(p *filePeer, id fileID, f *protocol.ClientFrame) {
	t := ts.find(p.session, id)
	if t == nil {
		ts.late(p, id, f)
		return
	}
	switch f.Type {
	case protocol.TypeEndFile:
		t.finish(p, f)
	case protocol.TypeCancelFile:
		t.cancel(p)
	case protocol.TypeFileAck:
		t.ack(p, f.Next)
	case protocol.TypeFileResume:
		t.resume(p, f.Next)
	}
}

// chunk takes a binary frame. wait: the sender is ahead of its window, and its Socket's Resume will be called.
func (ts *openFiles) chunk(p *filePeer, frame []byte) (wait bool, refused *protocol.Error) {
	c, err := protocol.ParseChunk(frame)
	if err != nil {
		return false, protocol.Errorf(protocol.BadRequest, "binary frame: takes 0x02, a fileId of 36 bytes, an index of 4 and the payload")
	}
	id, _ := parseFileID(c.FileID)
	if g := ts.guest(p.session, id); g != nil && len(c.Payload) <= maxChunk {
		if wait, taken := g.chunkOf(p, frame); taken {
			return wait, nil
		}
	}
	t := ts.find(p.session, id)
	if t == nil {
		ts.refuse(p, id, c.FileID, protocol.NotFound, "no such file is under way: send its init_file first")
		return false, nil
	}
	if len(c.Payload) > maxChunk {
		t.fail(p, protocol.TooLarge, "a chunk takes 64 KiB and 32 bytes at most")
		return false, nil
	}
	return t.chunk(p, int64(c.Index), frame), nil
}

// closed tells that p's connection is gone. Before it, p must have left what receivers returns.
func (ts *openFiles) closed(p *filePeer) {
	for _, t := range ts.of(p.session) {
		t.closed(p)
	}
	for _, g := range ts.guestsOf(p.session) {
		g.closed(p)
	}
}

// drop forgets a session and its files.
func (ts *openFiles) drop(session string) {
	for _, t := range ts.of(session) {
		t.abandon()
	}
	for _, g := range ts.guestsOf(session) {
		g.abandon()
	}
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.spent.drop(session)
}

// begin opens a file where this node is alone.
func (ts *openFiles) begin(p *filePeer, id fileID, f *protocol.ClientFrame) {
	t := newTransfer(ts, p, id, f)
	t.mu.Lock() // whoever finds it from now on waits until it has its receivers
	defer t.mu.Unlock()
	if ts.enter(t, p, false) {
		t.start(ts.receivers(p.session, t.topic))
	}
}

// enter gives t its id. False: it is taken, and p is answered, or the file is its again.
func (ts *openFiles) enter(t *transfer, p *filePeer, again bool) bool {
	for {
		old, past, full := ts.claim(t)
		switch {
		case old != nil:
			back, over := old.takeBack(p, t.print, again)
			if over {
				continue // it ended just now: ask again
			}
			if !back {
				ts.refuse(p, t.id, t.text, protocol.Conflict, "this fileId is another file's: take a new UUID")
			}
		case past != nil && past.print == t.print:
			sendProgress(p, t.text, past.receivers, t.total, true)
		case past != nil:
			ts.refuse(p, t.id, t.text, protocol.Conflict, "this fileId was another file's: take a new UUID")
		case full:
			ts.refuse(p, t.id, t.text, protocol.QuotaExceeded, "the session has too many files under way: try again when one is done")
		default:
			return true
		}
		return false
	}
}

// claim gives t its id, or says why not: a file under way has it, one of the past had it (the same file may begin again
// where it had failed), or the session has its full number.
func (ts *openFiles) claim(t *transfer) (old *transfer, past *spentFile, full bool) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	files := ts.files[t.session]
	if old := files[t.id]; old != nil {
		return old, nil, false
	}
	if past, known := ts.spent.find(t.session, t.id); known && (past.done || past.print != t.print) {
		return nil, &past, false
	}
	if len(files)+len(ts.guests[t.session]) >= ts.maxOpen && ts.guests[t.session][t.id] == nil {
		return nil, nil, true
	}
	if files == nil {
		files = make(map[fileID]*transfer)
		ts.files[t.session] = files
	}
	files[t.id] = t
	return nil, nil, false
}

// late answers a frame about a file that is not under way.
func (ts *openFiles) late(p *filePeer, id fileID, f *protocol.ClientFrame) {
	switch f.Type {
	case protocol.TypeFileAck: // crossed with the end
	case protocol.TypeFileResume:
		ts.mu.RLock()
		past, known := ts.spent.find(p.session, id)
		ts.mu.RUnlock()
		if known && past.done && f.Next >= past.total {
			p.socket.Send(LaneFile, past.end) // all that it can have missed
			return
		}
		if _, visits := p.socket.(*lent); !known && !visits && ts.fleet != nil {
			ts.returning(p, id, f)
			return
		}
		sendFileError(p, f.FileID, protocol.NotFound, "the file is no longer under way: ask its sender for it again")
	default:
		ts.refuse(p, id, f.FileID, protocol.NotFound, "no such file is under way")
	}
}

// refuse tells p once that a file is not to be: a sender that goes on is not answered chunk by chunk.
func (ts *openFiles) refuse(p *filePeer, id fileID, text []byte, code protocol.Code, why string) {
	if last := p.refused.Swap(&id); last != nil && *last == id && code == protocol.NotFound {
		return
	}
	sendFileError(p, text, code, why)
}

func (ts *openFiles) find(session string, id fileID) *transfer {
	ts.mu.RLock()
	defer ts.mu.RUnlock()
	return ts.files[session][id]
}

// of lists the files of a session.
func (ts *openFiles) of(session string) []*transfer {
	ts.mu.RLock()
	defer ts.mu.RUnlock()
	return slices.Collect(maps.Values(ts.files[session]))
}

// all lists every file.
func (ts *openFiles) all() []*transfer {
	ts.mu.RLock()
	defer ts.mu.RUnlock()
	var list []*transfer
	for _, files := range ts.files {
		list = slices.AppendSeq(list, maps.Values(files))
	}
	return list
}

// guestsOf lists this node's parts in files of a session.
func (ts *openFiles) guestsOf(session string) []*guest {
	ts.mu.RLock()
	defer ts.mu.RUnlock()
	return slices.Collect(maps.Values(ts.guests[session]))
}

func (ts *openFiles) allGuests() []*guest {
	ts.mu.RLock()
	defer ts.mu.RUnlock()
	var list []*guest
	for _, parts := range ts.guests {
		list = slices.AppendSeq(list, maps.Values(parts))
	}
	return list
}

// remove ends a file's place here, and remembers its id where it was once used.
func (ts *openFiles) remove(t *transfer, past *spentFile) {
	if past != nil && ts.fleet != nil {
		ts.fleet.spawn(func(ctx context.Context) { ts.fleet.claim(ctx, t, spentLease) })
	}
	ts.mu.Lock()
	defer ts.mu.Unlock()
	delete(ts.files[t.session], t.id)
	if len(ts.files[t.session]) == 0 {
		delete(ts.files, t.session)
	}
	if past != nil {
		ts.spent.add(t.session, t.id, *past)
	}
}
