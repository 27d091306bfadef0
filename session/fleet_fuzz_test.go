package session

import (
	"bytes"
	"context"
	"encoding/binary"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/fastport/fastport/backplane"
	bus "github.com/fastport/fastport/backplane/memory"
	"github.com/fastport/fastport/protocol"
)

// quietLink is a link that takes everything.
type quietLink struct{}

func (quietLink) Send(_, _ []byte, _ func()) bool { return true }
func (quietLink) Close()                          {}

// fullSocket takes no chunk, and nothing else either.
type fullSocket struct{}

func (fullSocket) Send(Lane, *Packet) bool          { return false }
func (fullSocket) SendAll(Lane, *Run, int, int) int { return 0 }
func (fullSocket) SendChunk(*Packet, func()) bool   { return false }
func (fullSocket) Ping()                            {}
func (fullSocket) Resume()                          {}
func (fullSocket) Close(protocol.CloseCode, string) {}

// quietLinks opens links that nobody answers.
type quietLinks struct{ accept func(Link) LinkEnd }

func (l *quietLinks) Listen(accept func(Link) LinkEnd) { l.accept = accept }
func (l *quietLinks) Open(string, LinkEnd) Link        { return quietLink{} }

// FuzzLink hands a node whatever another may send on a link, as home and as guest: it neither panics nor holds more
// than a file's window.
func FuzzLink(f *testing.F) {
	frames := func(list ...[]byte) (all []byte) {
		for _, b := range list {
			all = append(binary.AppendUvarint(all, uint64(len(b))), b...)
		}
		return all
	}
	id, session := []byte(testFile), []byte("s")
	invite := appendLink(nil, linkInvite, nil, session, id, []byte("t"), []byte("x/1"))
	chunk := append([]byte{byte(linkChunk)}, chunkFrame(0)...)
	f.Add(frames(invite, appendLink(nil, linkBegin, []uint64{1}), chunk, appendLink(nil, linkGive, []uint64{1, 0}), appendLink(nil, linkOver, nil)))
	visit := appendLink(nil, linkVisit, nil, session, id, []byte("me/0"), []byte("x/1"))
	f.Add(frames(visit, appendLink(nil, linkPlace, []uint64{1, placeRejoin, 2, 1, 9, 2, 7}, []byte("c:r")), appendLink(nil, linkAck, []uint64{1, 3}),
		appendLink(nil, linkSender, []uint64{2, flagName, 2, 10, 1}, []byte("c:s"), []byte("t"), []byte("n"), nil), append(appendLink(nil, linkPart, []uint64{2}), chunkFrame(0)...)))
	f.Fuzz(func(t *testing.T, b []byte) {
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()
		socket := fullSocket{}
		ts := newOpenFiles(4, func(string, string) []*filePeer { return []*filePeer{{session: "s", version: 2, socket: socket}} })
		links := &quietLinks{}
		ts.join(links, bus.NewBus().Node("me"), backplane.Node{ID: "me", Started: time.UnixMilli(0)}, slog.New(slog.DiscardHandler),
			func(do func(context.Context)) bool {
				wg.Go(func() { do(ctx) })
				return true
			})
		end := links.accept(quietLink{})
		for len(b) > 0 {
			n, size := binary.Uvarint(b)
			if size <= 0 || n > uint64(len(b)-size) {
				break
			}
			frame := bytes.Clone(b[size : size+int(n)])
			b = b[size+int(n):]
			if end.Frame(frame) != nil {
				break
			}
			clear(frame)
		}
		for _, g := range ts.allGuests() {
			g.mu.Lock()
			if n := len(g.chunks.chunks); n > 64 {
				t.Errorf("a guest holds %d chunks", n)
			}
			for _, pl := range g.places {
				if len(pl.queue) > maxQueued {
					t.Errorf("%d frames wait for one socket", len(pl.queue))
				}
			}
			g.mu.Unlock()
		}
		end.Lost(false)
	})
}
