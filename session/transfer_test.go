package session

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/storage"
	"pgregory.net/rapid"
)

// memorySocket is a connection whose far end is the test: it keeps what was sent, and takes chunks at once or, where
// stuck, not at all.
type memorySocket struct {
	mu      sync.Mutex
	log     []string // "init_file", "3", "end_file", …, in the order sent
	frames  []protocol.ServerFrame
	payload map[int][]byte
	queue   []func()
	stuck   bool // the peer reads nothing
	full    bool // the outbox refuses
	closed  bool
	resumed int
}

func (s *memorySocket) SendAll(l Lane, r *Run, from, to int) int { return sendEach(s, l, r, from, to) }

func (s *memorySocket) Send(_ Lane, p *Packet) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.full || s.closed {
		return false
	}
	var f protocol.ServerFrame
	if err := f.Parse(bytes.Clone(p.Payload())); err != nil {
		panic(err)
	}
	s.frames = append(s.frames, f)
	s.log = append(s.log, f.Type.String())
	return true
}

func (s *memorySocket) SendChunk(p *Packet, sent func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.full || s.closed {
		return false
	}
	c, err := protocol.ParseChunk(p.Payload())
	if err != nil {
		panic(err)
	}
	s.log = append(s.log, fmt.Sprint(c.Index))
	take := func() {
		s.record(p) // as late as may be
		sent()
	}
	if s.stuck {
		s.queue = append(s.queue, take)
	} else {
		go take()
	}
	return true
}

func (s *memorySocket) record(p *Packet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.payload == nil {
		s.payload = make(map[int][]byte)
	}
	c, err := protocol.ParseChunk(bytes.Clone(p.Payload()))
	if err != nil {
		panic(err)
	}
	s.payload[int(c.Index)] = c.Payload
}

func (s *memorySocket) Ping()                                {}
func (s *memorySocket) Close(_ protocol.CloseCode, _ string) {}

func (s *memorySocket) Resume() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resumed++
}

func (s *memorySocket) resumes() int {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.resumed
}

// take lets the peer read n of the chunks that are queued.
func (s *memorySocket) take(n int) {
	s.mu.Lock()
	batch := s.queue[:min(n, len(s.queue))]
	s.queue = s.queue[len(batch):]
	s.mu.Unlock()
	for _, sent := range batch {
		sent()
	}
}

// filesTest is a node's transfers and one topic.
type filesTest struct {
	*testing.T
	files *openFiles
	topic []*filePeer
}

const testFile = "0b5e3d2c-1f00-4a6b-9c8d-7e6f5a4b3c2d"

func runFiles(t *testing.T, test func(*filesTest)) {
	synctest.Test(t, func(t *testing.T) {
		ft := &filesTest{T: t}
		ft.files = newOpenFiles(2, func(string, string) []*filePeer { return ft.topic })
		ft.files.chunks.spoil = true
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { ft.files.run(ctx) })
		test(ft)
		synctest.Wait()
		cancel()
		wg.Wait()
	})
}

func (ft *filesTest) peer(version int, subscriber storage.Subscriber) (*filePeer, *memorySocket) {
	s := &memorySocket{}
	return &filePeer{session: "s", subscriber: subscriber, version: version, socket: s}, s
}

func (ft *filesTest) receiver(version int, subscriber storage.Subscriber) (*filePeer, *memorySocket) {
	p, s := ft.peer(version, subscriber)
	ft.topic = append(ft.topic, p)
	return p, s
}

// close is what the engine does when a connection has gone.
func (ft *filesTest) close(p *filePeer) {
	p.socket.(*memorySocket).closed = true
	ft.topic = slices.DeleteFunc(ft.topic, func(other *filePeer) bool { return other == p })
	ft.files.closed(p)
}

func (ft *filesTest) send(p *filePeer, f protocol.ClientFrame) {
	ft.Helper()
	if f.FileID == nil {
		f.FileID = []byte(testFile)
	}
	if err := ft.files.text(p, &f); err != nil {
		ft.Fatalf("%v: %v", f.Type, err)
	}
	synctest.Wait()
}

func (ft *filesTest) init(p *filePeer, chunks int) {
	ft.Helper()
	ft.send(p, protocol.ClientFrame{Type: protocol.TypeInitFile, Topic: []byte("t"), FileName: []byte("n"), FileSize: int64(chunks), TotalChunks: int64(chunks)})
}

func (ft *filesTest) end(p *filePeer) {
	ft.Helper()
	ft.send(p, protocol.ClientFrame{Type: protocol.TypeEndFile, Topic: []byte("t"), Hash: []byte("h")})
}

func (ft *filesTest) ack(p *filePeer, next int) {
	ft.Helper()
	ft.send(p, protocol.ClientFrame{Type: protocol.TypeFileAck, Next: int64(next)})
}

func (ft *filesTest) resume(p *filePeer, next int) {
	ft.Helper()
	ft.send(p, protocol.ClientFrame{Type: protocol.TypeFileResume, Next: int64(next)})
}

// chunks sends chunks from up to before to, and returns how many went out before the sender had to wait.
func (ft *filesTest) chunks(p *filePeer, from, to int) int {
	ft.Helper()
	for i := from; i < to; i++ {
		wait, err := ft.files.chunk(p, chunkFrame(i))
		if err != nil {
			ft.Fatalf("chunk %d: %v", i, err)
		}
		synctest.Wait()
		if wait {
			return i - from
		}
	}
	return to - from
}

// chunkFrame is a chunk of the test's file.
func chunkFrame(i int) []byte {
	return protocol.AppendChunk(nil, protocol.Chunk{FileID: []byte(testFile), Index: uint32(i), Payload: []byte{byte(i)}})
}

// got waits and returns what was sent on a socket since the last call.
func (ft *filesTest) got(s *memorySocket) string {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	text := fmt.Sprint(s.log)
	s.log = nil
	return text
}

func (ft *filesTest) wantGot(s *memorySocket, want string) {
	ft.Helper()
	if got := ft.got(s); got != "["+want+"]" {
		ft.Fatalf("sent %s, want [%s]", got, want)
	}
}

func (ft *filesTest) wantError(s *memorySocket, code protocol.Code) {
	ft.Helper()
	synctest.Wait()
	if f := s.last(); f.Type != protocol.TypeFileError || f.Code != code || string(f.FileID) != testFile {
		ft.Fatalf("last frame = %v %s %s, want file_error %s", f.Type, f.Code, f.FileID, code)
	}
}

func (ft *filesTest) wantProgress(s *memorySocket, receivers int, acked int64, done bool) {
	ft.Helper()
	synctest.Wait()
	if f := s.last(); f.Type != protocol.TypeFileProgress || f.Receivers != receivers || f.Acked != acked || f.Done != done {
		ft.Fatalf("last frame = %v of %d, acked %d, done %t, want progress of %d, %d, %t", f.Type, f.Receivers, f.Acked, f.Done, receivers, acked, done)
	}
}

func (s *memorySocket) last() protocol.ServerFrame {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.frames) == 0 {
		return protocol.ServerFrame{}
	}
	return s.frames[len(s.frames)-1]
}

func TestTransfer_EveryReceiverButTheSenderGetsItInOrder(t *testing.T) {
	runFiles(t, func(ft *filesTest) {
		sender, out := ft.receiver(1, "") // subscribed to the topic itself
		_, one := ft.receiver(1, "")
		two, twoOut := ft.receiver(2, "c:two")
		ft.send(sender, protocol.ClientFrame{Type: protocol.TypeInitFile, Topic: []byte("t/ü"), FileName: []byte("a \"b\".pdf"), Meta: []byte("bWV0YQ"), FileSize: 3, TotalChunks: 3})
		ft.chunks(sender, 0, 3)
		ft.end(sender)
		ft.wantGot(one, "init_file 0 1 2 end_file")
		ft.wantGot(twoOut, "init_file 0 1 2 end_file")
		ft.ack(two, 3)
		ft.wantGot(out, "") // version 1 is told nothing of a file that goes well
		f := one.frames[0]
		if string(f.Topic) != "t/ü" || string(f.FileName) != `a "b".pdf` || string(f.Meta) != "bWV0YQ" || f.FileSize != 3 || f.TotalChunks != 3 || string(f.FileID) != testFile {
			t.Errorf("init_file = %+v", f)
		}
		if f := one.last(); string(f.Hash) != "h" || string(f.Topic) != "t" {
			t.Errorf("end_file = %+v", f)
		}
		if n := len(ft.files.files); n != 0 {
			t.Errorf("%d sessions have files after the end", n)
		}
	})
}

func TestTransfer_NobodyThereIsToldOnce(t *testing.T) {
	runFiles(t, func(ft *filesTest) {
		sender, out := ft.receiver(1, "")
		ft.init(sender, 3)
		ft.wantError(out, protocol.NoReceivers)
		ft.chunks(sender, 0, 3)
		ft.end(sender)
		ft.wantGot(out, "file_error")
	})
}

func TestTransfer_UnknownFileIsToldOnce(t *testing.T) {
	runFiles(t, func(ft *filesTest) {
		sender, out := ft.peer(2, "")
		ft.chunks(sender, 0, 9)
		ft.wantError(out, protocol.NotFound)
		ft.wantGot(out, "file_error")
	})
}

func TestTransfer_ProgressIsThatOfTheLeast(t *testing.T) {
	runFiles(t, func(ft *filesTest) {
		sender, out := ft.peer(2, "c:s")
		fast, _ := ft.receiver(2, "")
		slow, _ := ft.receiver(2, "")
		ft.init(sender, 40)
		ft.wantProgress(out, 2, 0, false)
		ft.chunks(sender, 0, 40)
		ft.end(sender)
		ft.ack(fast, 40)
		ft.wantProgress(out, 2, 0, false)
		ft.ack(slow, 16)
		ft.wantProgress(out, 2, 16, false)
		ft.ack(slow, 40)
		ft.wantProgress(out, 2, 40, true)
	})
}

func TestTransfer_EmptyFileIsDone(t *testing.T) {
	runFiles(t, func(ft *filesTest) {
		sender, out := ft.peer(2, "")
		_, in := ft.receiver(2, "")
		ft.init(sender, 0)
		ft.end(sender)
		ft.wantGot(in, "init_file end_file")
		ft.wantProgress(out, 1, 0, true)
	})
}

func TestTransfer_WindowBoundsMemoryAndHoldsTheSender(t *testing.T) {
	for version := 1; version <= 2; version++ {
		runFiles(t, func(ft *filesTest) {
			sender, out := ft.peer(version, "")
			p, in := ft.receiver(version, "")
			in.stuck = true
			ft.init(sender, 1000)
			if n := ft.chunks(sender, 0, 1000); n != protocol.FileWindow {
				t.Fatalf("version %d: %d chunks before the wait, want %d", version, n, protocol.FileWindow)
			}
			if n := len(in.queue); n != maxFeed {
				t.Errorf("version %d: %d chunks wait in a stuck socket, want %d", version, n, maxFeed)
			}
			if out.resumes() != 0 {
				t.Errorf("version %d: read on with a full window", version)
			}
			in.take(1)
			if version == 2 {
				ft.ack(p, 1)
			}
			if out.resumes() != 1 {
				t.Errorf("version %d: resumed %d times, want once", version, out.resumes())
			}
			if n := ft.chunks(sender, protocol.FileWindow+1, 1000); n != 0 {
				t.Errorf("version %d: %d chunks went on for room for one, which the held one took", version, n)
			}
			ft.files.drop("s")
			if out.resumes() != 2 {
				t.Errorf("version %d: resumed %d times after the drop, want twice", version, out.resumes())
			}
		})
	}
}

func TestTransfer_AStuckReceiverLeavesAndTheOthersGoOn(t *testing.T) {
	for version := 1; version <= 2; version++ {
		runFiles(t, func(ft *filesTest) {
			sender, out := ft.peer(2, "")
			good, goodOut := ft.receiver(2, "")
			_, stuck := ft.receiver(version, "")
			stuck.stuck = true
			ft.init(sender, 100)
			sent := ft.chunks(sender, 0, 100)
			ft.ack(good, sent)
			time.Sleep(protocol.ReceiverStall - time.Second)
			ft.wantProgress(out, 2, 0, false)
			time.Sleep(3 * time.Second)
			ft.wantError(stuck, protocol.TooSlow)
			ft.ack(good, sent+1)
			ft.wantProgress(out, 1, int64(sent+1), false)
			ft.chunks(sender, sent+1, 100)
			ft.end(sender)
			ft.ack(good, 100)
			ft.wantProgress(out, 1, 100, true)
			if got := len(goodOut.payload); got != 100 {
				t.Errorf("the other receiver got %d chunks, want 100", got)
			}
		})
	}
}

func TestTransfer_SlowButMovingIsNotTooSlow(t *testing.T) {
	runFiles(t, func(ft *filesTest) {
		sender, _ := ft.peer(1, "")
		p, in := ft.receiver(2, "")
		in.stuck = true
		ft.init(sender, 20)
		ft.chunks(sender, 0, 20)
		ft.end(sender)
		for range 20 {
			time.Sleep(25 * time.Second)
			in.take(1)
		}
		time.Sleep(25 * time.Second)
		ft.ack(p, 20)
		ft.wantGot(in, "init_file 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 end_file")
	})
}

func TestTransfer_ASenderThatRestsCostsNobodyTheirPlace(t *testing.T) {
	runFiles(t, func(ft *filesTest) {
		sender, out := ft.peer(2, "")
		p, _ := ft.receiver(2, "")
		ft.init(sender, 20)
		ft.chunks(sender, 0, 10) // fewer than a receiver has to ack
		time.Sleep(5 * time.Minute)
		ft.chunks(sender, 10, 20)
		ft.end(sender)
		ft.ack(p, 20)
		ft.wantProgress(out, 1, 20, true)
	})
}

func TestTransfer_ReceiverComesBackAndGetsWhatItMissed(t *testing.T) {
	for name, subscriber := range map[string]storage.Subscriber{"durable": "c:r", "user": "u:r", "ephemeral": ""} {
		t.Run(name, func(t *testing.T) {
			runFiles(t, func(ft *filesTest) {
				sender, out := ft.peer(1, "")
				first, _ := ft.receiver(2, subscriber)
				ft.init(sender, 30)
				ft.chunks(sender, 0, 20)
				ft.ack(first, 7)
				ft.close(first)
				if n := ft.chunks(sender, 20, 30); n != 10 {
					t.Fatalf("%d chunks went out while it was away, want 10", n)
				}
				time.Sleep(20 * time.Second)
				again, in := ft.peer(2, subscriber)
				ft.resume(again, 9) // two had been written but not acked
				ft.wantGot(in, "9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29")
				ft.end(sender)
				ft.ack(again, 30)
				ft.wantGot(in, "end_file")
				ft.wantGot(out, "")
				if len(ft.files.files) != 0 {
					t.Error("the file is not done")
				}
			})
		})
	}
}

func TestTransfer_AbsentReceiverHoldsTheSenderForThirtySeconds(t *testing.T) {
	runFiles(t, func(ft *filesTest) {
		sender, out := ft.peer(2, "")
		gone, _ := ft.receiver(2, "c:gone")
		here, _ := ft.receiver(2, "c:here")
		ft.init(sender, 200)
		ft.close(gone)
		if n := ft.chunks(sender, 0, 200); n != protocol.FileWindow {
			t.Fatalf("%d chunks before the wait, want %d", n, protocol.FileWindow)
		}
		ft.ack(here, protocol.FileWindow)
		time.Sleep(protocol.ReceiverStall - time.Second)
		if out.resumes() != 0 {
			t.Fatal("not held back")
		}
		time.Sleep(3 * time.Second)
		if out.resumes() != 1 {
			t.Fatal("held back for more than 30 s")
		}
		ft.wantProgress(out, 1, protocol.FileWindow, false)
		again, in := ft.peer(2, "c:gone")
		ft.resume(again, 0)
		ft.wantError(in, protocol.NotFound)
	})
}

func TestTransfer_SenderGoesBackForAReceiverThatLostWhatItAcked(t *testing.T) {
	runFiles(t, func(ft *filesTest) {
		sender, out := ft.peer(2, "c:s")
		first, _ := ft.receiver(2, "c:r")
		other, otherOut := ft.receiver(2, "c:o")
		ft.init(sender, 30)
		ft.chunks(sender, 0, 30)
		ft.end(sender)
		ft.ack(first, 20)
		ft.ack(other, 30)
		ft.wantProgress(out, 2, 20, false)
		ft.close(first)
		again, in := ft.peer(2, "c:r")
		ft.resume(again, 18)
		ft.wantProgress(out, 2, 18, false)
		ft.got(otherOut)
		ft.chunks(sender, 25, 30) // were on their way
		ft.chunks(sender, 18, 30)
		ft.wantGot(in, "18 19 20 21 22 23 24 25 26 27 28 29")
		ft.wantGot(otherOut, "") // a chunk goes only to receivers whose next it is
		ft.end(sender)
		ft.ack(again, 30)
		ft.wantGot(in, "end_file")
		ft.wantProgress(out, 2, 30, true)
	})
}

func TestTransfer_ProgressGoesDownEvenFromWhatWasNotToldYet(t *testing.T) {
	runFiles(t, func(ft *filesTest) {
		sender, out := ft.peer(2, "c:s")
		p, _ := ft.receiver(2, "c:r")
		ft.init(sender, 30)
		ft.chunks(sender, 0, 30)
		ft.ack(p, 5) // too little to tell
		ft.wantProgress(out, 1, 0, false)
		ft.resume(p, 3)
		last := out.frames[len(out.frames)-2:]
		if last[0].Acked != 5 || last[1].Acked != 3 {
			t.Errorf("acked = %d, %d, want 5, 3", last[0].Acked, last[1].Acked)
		}
	})
}

func TestTransfer_VersionOneSenderCannotGoBack(t *testing.T) {
	runFiles(t, func(ft *filesTest) {
		sender, out := ft.peer(1, "")
		p, in := ft.receiver(2, "c:r")
		ft.init(sender, 30)
		ft.chunks(sender, 0, 20)
		ft.ack(p, 20)
		ft.resume(p, 3)
		ft.wantError(in, protocol.NotFound)
		ft.wantError(out, protocol.NoReceivers)
	})
}

func TestTransfer_SenderComesBackAndGoesOn(t *testing.T) {
	for name, subscriber := range map[string]storage.Subscriber{"durable": "c:s", "ephemeral": ""} {
		t.Run(name, func(t *testing.T) {
			runFiles(t, func(ft *filesTest) {
				sender, _ := ft.peer(2, subscriber)
				p, in := ft.receiver(2, "")
				ft.init(sender, 100)
				ft.chunks(sender, 0, 100)
				ft.ack(p, 60)
				ft.close(sender)
				time.Sleep(protocol.SenderAway - 5*time.Second)
				again, out := ft.peer(2, subscriber)
				ft.init(again, 100)
				ft.wantProgress(out, 1, 60, false)
				ft.chunks(again, 60, 100)
				ft.end(again)
				ft.ack(p, 100)
				ft.wantProgress(out, 1, 100, true)
				seen := 0
				for _, line := range in.log {
					if line == fmt.Sprint(seen) {
						seen++
					}
				}
				if seen != 100 || len(in.log) != 102 {
					t.Errorf("receiver got %v, want init_file, each chunk once, end_file", in.log)
				}
			})
		})
	}
}

func TestTransfer_SenderThatStaysAwayEndsIt(t *testing.T) {
	runFiles(t, func(ft *filesTest) {
		sender, _ := ft.peer(2, "c:s")
		_, in := ft.receiver(1, "")
		ft.init(sender, 10)
		ft.chunks(sender, 0, 5)
		ft.close(sender)
		time.Sleep(protocol.SenderAway + 2*time.Second)
		ft.wantError(in, protocol.Unavailable)
		again, out := ft.receiver(2, "c:s")
		ft.init(again, 10) // the same content may begin anew
		ft.wantProgress(out, 1, 0, false)
	})
}

func TestTransfer_NobodyTakesAnothersFile(t *testing.T) {
	runFiles(t, func(ft *filesTest) {
		sender, _ := ft.peer(2, "c:s")
		receiver, in := ft.receiver(2, "c:r")
		ft.init(sender, 10)
		for name, thief := range map[string]storage.Subscriber{"other client": "c:x", "user of that name": "u:s", "ephemeral": ""} {
			p, out := ft.peer(2, thief)
			ft.init(p, 10)
			ft.wantError(out, protocol.Conflict)
			ft.resume(p, 0)
			ft.wantError(out, protocol.NotFound)
			if n := ft.chunks(p, 0, 1); n != 1 || len(in.payload) != 0 {
				t.Errorf("%s: its chunk was passed on", name)
			}
			ft.end(p)
			ft.send(p, protocol.ClientFrame{Type: protocol.TypeCancelFile})
		}
		ft.init(receiver, 10)
		ft.wantError(in, protocol.Conflict)
		again, out := ft.peer(2, "c:s")
		ft.init(again, 11)
		ft.wantError(out, protocol.Conflict)
		ft.chunks(sender, 0, 10)
		if len(in.payload) != 10 {
			t.Errorf("receiver got %d chunks, want 10", len(in.payload))
		}
	})
}

func TestTransfer_EphemeralSenderIsReplacedOnlyWhenGone(t *testing.T) {
	runFiles(t, func(ft *filesTest) {
		sender, _ := ft.peer(2, "")
		ft.receiver(2, "")
		ft.init(sender, 10)
		other, out := ft.peer(2, "")
		ft.init(other, 10)
		ft.wantError(out, protocol.Conflict)
		ft.close(sender)
		ft.init(other, 10)
		ft.wantProgress(out, 1, 0, false)
	})
}

func TestTransfer_ReceiversAheadOfANewBeginningSkipWhatTheyHave(t *testing.T) {
	runFiles(t, func(ft *filesTest) { // as after the node's restart
		sender, out := ft.peer(2, "c:s")
		p, in := ft.receiver(2, "c:r")
		ft.init(sender, 200)
		ft.chunks(sender, 0, 100) // one is held
		ft.resume(p, 150)
		ft.wantProgress(out, 1, 150, false)
		if out.resumes() != 1 {
			t.Fatal("the sender is still held")
		}
		ft.got(in)
		ft.chunks(sender, 140, 200)
		want := ""
		for i := 150; i < 200; i++ {
			want += fmt.Sprint(i, " ")
			if in.payload[i] != nil && in.payload[i][0] != byte(i) {
				t.Fatalf("chunk %d holds %d", i, in.payload[i][0])
			}
		}
		ft.wantGot(in, want[:len(want)-1])
	})
}

func TestTransfer_AnOldConnectionsSocketCountsForNothing(t *testing.T) {
	runFiles(t, func(ft *filesTest) {
		sender, _ := ft.peer(2, "c:s")
		old, was := ft.receiver(2, "c:r")
		was.stuck = true
		ft.init(sender, 64)
		ft.chunks(sender, 0, 64)
		ft.close(old)
		p, in := ft.peer(2, "c:r")
		in.stuck = true
		ft.resume(p, 0)
		was.take(maxFeed)
		synctest.Wait()
		if n := len(in.queue); n != maxFeed {
			t.Errorf("%d chunks wait in a stuck socket, want %d", n, maxFeed)
		}
	})
}

func TestTransfer_SessionsShareNoFiles(t *testing.T) {
	runFiles(t, func(ft *filesTest) {
		sender, _ := ft.peer(2, "c:s")
		_, in := ft.receiver(2, "c:r")
		ft.init(sender, 10)
		stranger, out := ft.peer(2, "c:s")
		stranger.session = "other"
		ft.topic = nil
		ft.init(stranger, 10)
		ft.wantError(out, protocol.NoReceivers) // not conflict: that would tell of the other's file
		ft.resume(stranger, 0)
		ft.wantError(out, protocol.NotFound)
		ft.files.drop("other")
		ft.chunks(sender, 0, 10)
		if len(in.payload) != 10 {
			t.Errorf("receiver got %d chunks, want 10", len(in.payload))
		}
	})
}

func TestTransfer_CancelReachesWhomItConcerns(t *testing.T) {
	runFiles(t, func(ft *filesTest) {
		sender, out := ft.peer(2, "")
		one, _ := ft.receiver(2, "")
		_, two := ft.receiver(1, "")
		ft.init(sender, 10)
		ft.send(one, protocol.ClientFrame{Type: protocol.TypeCancelFile})
		ft.wantProgress(out, 1, 0, false)
		ft.chunks(sender, 0, 2)
		ft.got(out)
		ft.send(sender, protocol.ClientFrame{Type: protocol.TypeCancelFile})
		ft.wantGot(two, "init_file 0 1 cancel_file file_error")
		ft.chunks(sender, 2, 9)
		ft.wantGot(out, "") // were on their way
	})
}

func TestTransfer_LastReceiverLeavingEndsIt(t *testing.T) {
	runFiles(t, func(ft *filesTest) {
		sender, out := ft.peer(2, "")
		one, _ := ft.receiver(1, "")
		two, _ := ft.receiver(2, "")
		ft.init(sender, 10)
		ft.close(one)
		ft.wantProgress(out, 1, 0, false)
		ft.send(two, protocol.ClientFrame{Type: protocol.TypeCancelFile})
		ft.wantError(out, protocol.NoReceivers)
		if len(ft.files.files) != 0 {
			t.Error("still open")
		}
	})
}

func TestTransfer_AFileIdIsNeverAnotherFile(t *testing.T) {
	runFiles(t, func(ft *filesTest) {
		sender, out := ft.peer(2, "c:s")
		p, in := ft.receiver(2, "c:r")
		ft.init(sender, 1)
		ft.chunks(sender, 0, 1)
		ft.end(sender)
		ft.ack(p, 1)
		ft.got(in)
		ft.init(sender, 1) // it missed the word that it was done
		ft.wantProgress(out, 1, 1, true)
		ft.init(sender, 2)
		ft.wantError(out, protocol.Conflict)
		ft.send(sender, protocol.ClientFrame{Type: protocol.TypeInitFile, FileID: bytes.ToUpper([]byte(testFile)), Topic: []byte("t"), FileName: []byte("n"), FileSize: 2, TotalChunks: 2})
		if out.last().Code != protocol.Conflict {
			t.Errorf("an id in capitals is another id: %+v", out.last())
		}
		ft.wantGot(in, "")
		ft.resume(p, 1) // it missed end_file
		ft.wantGot(in, "end_file")
	})
}

func TestTransfer_SpentIdsAreBounded(t *testing.T) {
	var s spentFiles
	for i := range maxSpent + 100 {
		s.add(fmt.Sprint(i%7), fileID{byte(i), byte(i >> 8), byte(i >> 16)}, spentFile{})
	}
	n := 0
	for _, files := range s.files {
		n += len(files)
	}
	if n != maxSpent || len(s.order) != maxSpent {
		t.Errorf("%d ids, %d in order, want %d", n, len(s.order), maxSpent)
	}
}

func TestTransfer_SessionHasSoManyFilesOpen(t *testing.T) {
	runFiles(t, func(ft *filesTest) {
		sender, out := ft.peer(2, "")
		ft.receiver(2, "")
		for i := range 3 {
			ft.send(sender, protocol.ClientFrame{Type: protocol.TypeInitFile, FileID: fmt.Appendf(nil, "%d%s", i, testFile[1:]), Topic: []byte("t"), FileName: []byte("n"), TotalChunks: 1})
		}
		if f := out.last(); f.Code != protocol.QuotaExceeded {
			t.Errorf("third file of two: %v %s, want quota_exceeded", f.Type, f.Code)
		}
		ft.files.drop("s")
		ft.init(sender, 1)
		ft.wantProgress(out, 1, 0, false)
	})
}

func TestTransfer_ChunkTooLargeEndsIt(t *testing.T) {
	runFiles(t, func(ft *filesTest) {
		sender, out := ft.peer(1, "")
		_, in := ft.receiver(1, "")
		ft.init(sender, 2)
		for i, size := range []int{maxChunk, maxChunk + 1} {
			if _, err := ft.files.chunk(sender, protocol.AppendChunk(nil, protocol.Chunk{FileID: []byte(testFile), Index: uint32(i), Payload: make([]byte, size)})); err != nil {
				t.Fatal(err)
			}
		}
		ft.wantError(out, protocol.TooLarge)
		ft.wantError(in, protocol.TooLarge)
		if _, err := ft.files.chunk(sender, []byte{2, 'x'}); err == nil || err.Code != protocol.BadRequest {
			t.Errorf("half a frame: %v, want bad_request", err)
		}
	})
}

func TestTransfer_FullOutboxIsTriedAgain(t *testing.T) {
	runFiles(t, func(ft *filesTest) {
		sender, _ := ft.peer(2, "")
		_, in := ft.receiver(2, "")
		in.full = true
		ft.init(sender, 3)
		ft.chunks(sender, 0, 3)
		ft.end(sender)
		in.mu.Lock()
		in.full = false
		in.mu.Unlock()
		time.Sleep(2 * time.Second)
		ft.wantGot(in, "init_file 0 1 2 end_file")
	})
}

// A random history of sends, acks, lost connections and returns: whoever is not told otherwise has every chunk in its
// place in the end, and the window is never passed.
func TestTransfer_AnyHistoryDeliversWholeFiles(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		const total = 150
		synctest.Test(t, func(t *testing.T) {
			ft := &filesTest{T: t}
			ft.files = newOpenFiles(2, func(string, string) []*filePeer { return ft.topic })
			ft.files.chunks.spoil = true

			type device struct {
				peer    *filePeer
				read    int // lines of its socket's log that it has seen
				written int
				ended   bool
			}
			devices := make([]*device, rapid.IntRange(1, 3).Draw(rt, "receivers"))
			for i := range devices {
				p, _ := ft.receiver(2, storage.Subscriber(fmt.Sprint("c:", i)))
				devices[i] = &device{peer: p}
			}
			sender, _ := ft.peer(2, "c:s")
			position, heard, doneAt, waiting := 0, 0, false, 0
			// listen is a sender's rule: go back where acked goes down.
			listen := func() {
				s := sender.socket.(*memorySocket)
				for ; heard < len(s.frames); heard++ {
					f := s.frames[heard]
					if f.Type != protocol.TypeFileProgress {
						rt.Fatalf("sender was sent %v %s", f.Type, f.Code)
					}
					if heard > 0 && f.Acked < s.frames[heard-1].Acked || heard == 0 {
						position = int(f.Acked)
					}
					doneAt = doneAt || f.Done
				}
			}
			ft.init(sender, total)
			listen()
			step := func(kind string) {
				d := devices[rapid.IntRange(0, len(devices)-1).Draw(rt, "device")]
				s, _ := d.peer.socket.(*memorySocket)
				switch kind {
				case "send":
					acked := 0
					if n := len(sender.socket.(*memorySocket).frames); n > 0 {
						acked = int(sender.socket.(*memorySocket).frames[n-1].Acked)
					}
					to := min(total, acked+protocol.FileWindow, position+rapid.IntRange(1, 40).Draw(rt, "n"))
					if n := ft.chunks(sender, position, to); position+n < to {
						waiting++
					}
					position = max(position, to)
					if position == total {
						ft.end(sender)
					}
				case "read", "ack":
					for ; d.read < len(s.log); d.read++ {
						switch line := s.log[d.read]; line {
						case fmt.Sprint(d.written):
							d.written++
						case "end_file":
							d.ended = d.written == total
						case "init_file":
						default:
							rt.Fatalf("device has %d chunks and was sent %s: %v", d.written, line, s.log)
						}
					}
					if kind == "ack" && d.written > 0 {
						ft.ack(d.peer, d.written)
					}
				case "drop", "lose":
					if d.written == 0 || doneAt {
						return // it may not know the fileId yet; or nobody waits for it any more
					}
					ft.close(d.peer)
					if kind == "lose" {
						d.written = rapid.IntRange(0, d.written).Draw(rt, "left")
					}
					d.peer, _ = ft.peer(2, d.peer.subscriber)
					d.read = 0
					ft.resume(d.peer, d.written)
				case "sender":
					if doneAt {
						return
					}
					ft.close(sender)
					sender, _ = ft.peer(2, "c:s")
					heard = 0
					ft.init(sender, total)
				}
				listen()
				if tr := ft.files.find("s", mustID(testFile)); tr != nil && len(tr.window) > protocol.FileWindow {
					rt.Fatalf("window = %d chunks", len(tr.window))
				}
			}
			for range rapid.IntRange(0, 60).Draw(rt, "steps") {
				step(rapid.SampledFrom([]string{"send", "send", "read", "ack", "ack", "drop", "lose", "sender"}).Draw(rt, "step"))
			}
			for range 40 { // then all goes well
				for _, d := range devices {
					s := d.peer.socket.(*memorySocket)
					for ; d.read < len(s.log); d.read++ {
						switch s.log[d.read] {
						case fmt.Sprint(d.written):
							d.written++
						case "end_file":
							d.ended = d.written == total
						}
					}
					ft.ack(d.peer, d.written)
				}
				listen()
				if !doneAt {
					acked := int(sender.socket.(*memorySocket).last().Acked)
					to := min(total, acked+protocol.FileWindow)
					if position < to {
						ft.chunks(sender, position, to)
						position = to
					}
					if position == total {
						ft.end(sender)
					}
					listen()
				}
			}
			if !doneAt {
				rt.Fatalf("not done; sender at %d, %+v", position, devices[0])
			}
			for i, d := range devices {
				if d.written != total {
					rt.Errorf("device %d has %d of %d chunks", i, d.written, total)
				}
			}
			if waiting > 0 {
				rt.Errorf("a sender within its window had to wait %d times", waiting)
			}
			synctest.Wait()
			if n := ft.files.chunks.lent.Load(); n != 0 {
				rt.Errorf("%d chunks are still held", n)
			}
		})
	})
}

func mustID(text string) fileID {
	id, ok := parseFileID([]byte(text))
	if !ok {
		panic(text)
	}
	return id
}
