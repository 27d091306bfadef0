package session

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fastport/fastport/backplane"
	bus "github.com/fastport/fastport/backplane/memory"
	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/storage"
)

// fleetTest is the files of several nodes that share a bus and a network.
type fleetTest struct {
	*testing.T
	bus   *bus.Bus
	net   *network
	nodes []*fleetNode
}

// fleetNode is a node: what a filesTest does, done there.
type fleetNode struct {
	*filesTest
	rig   *fleetTest
	id    string
	plane *faultyPlane
	stop  context.CancelFunc
	wg    sync.WaitGroup
}

func runFleet(t *testing.T, nodes int, test func(ft *fleetTest)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ft := &fleetTest{T: t, bus: bus.NewBus(), net: newNetwork()}
		for range nodes {
			ft.start()
		}
		defer func() {
			for _, n := range ft.nodes {
				n.kill()
			}
		}()
		test(ft)
	})
}

func (ft *fleetTest) start() *fleetNode {
	id := fmt.Sprintf("n%d", len(ft.nodes)+1)
	n := &fleetNode{filesTest: &filesTest{T: ft.T}, rig: ft, id: id, plane: &faultyPlane{Backplane: ft.bus.Node(id)}}
	n.files = newOpenFiles(16, func(session, _ string) (list []*filePeer) {
		for _, p := range n.topic {
			if p.session == session {
				list = append(list, p)
			}
		}
		return list
	})
	n.files.chunks.spoil = true
	ctx, cancel := context.WithCancel(context.Background())
	n.stop = cancel
	self := backplane.Node{ID: id, Started: time.Now(), Address: id}
	n.files.join(ft.net.node(id), n.plane, self, slog.New(slog.DiscardHandler), func(do func(context.Context)) bool {
		if ctx.Err() != nil {
			return false
		}
		n.wg.Go(func() { do(ctx) })
		return true
	})
	n.wg.Go(func() { n.files.run(ctx) })
	n.wg.Go(func() {
		tick := time.NewTicker(leaseChecks)
		defer tick.Stop()
		for ctx.Err() == nil {
			if !n.frozen() {
				n.plane.Heartbeat(ctx, self)
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	})
	ft.nodes = append(ft.nodes, n)
	synctest.Wait()
	return n
}

func (n *fleetNode) frozen() bool {
	n.rig.net.mu.Lock()
	defer n.rig.net.mu.Unlock()
	return n.rig.net.frozen[n.id]
}

// kill ends the node as kill -9 would: its heartbeat's lease lives on for a while, its clients' sockets do not.
func (n *fleetNode) kill() {
	n.stop()
	n.rig.net.kill(n.id)
	n.wg.Wait()
	synctest.Wait()
}

func (n *fleetNode) init(p *filePeer, chunks int) {
	n.Helper()
	n.begin(p, chunks)
	synctest.Wait()
}

// begin hands in an init_file, as a connection does that waits for it.
func (n *fleetNode) begin(p *filePeer, chunks int) {
	f := &protocol.ClientFrame{Type: protocol.TypeInitFile, FileID: []byte(testFile), Topic: []byte("t"), FileName: []byte("n"),
		FileSize: int64(chunks), TotalChunks: int64(chunks)}
	n.wg.Go(func() { n.files.open(context.Background(), p, mustID(testFile), f, false) })
}

// wantWhole fails unless the socket got every chunk of the file once, in order, between its first and its last frame.
func (n *fleetNode) wantWhole(s *memorySocket, chunks int) {
	n.Helper()
	want := "init_file "
	for i := range chunks {
		want += fmt.Sprint(i, " ")
	}
	n.wantGot(s, want+"end_file")
	for i, payload := range s.payload {
		if len(payload) != 1 || payload[0] != byte(i) {
			n.Fatalf("chunk %d = %v", i, payload)
		}
	}
}

func (ft *fleetTest) wantNothingOpen() {
	ft.Helper()
	time.Sleep(2 * transferTick)
	synctest.Wait()
	for _, n := range ft.nodes {
		if f, g := len(n.files.all()), len(n.files.allGuests()); f+g != 0 {
			ft.Errorf("%s: %d files and %d parts of others' are still open", n.id, f, g)
		}
	}
	if up := ft.net.open(); up != 0 {
		ft.Errorf("%d links are still up", up)
	}
}

func TestFleet_EveryReceiverOfTheClusterGetsItInOrder(t *testing.T) {
	for version := 1; version <= 2; version++ {
		runFleet(t, 3, func(ft *fleetTest) {
			a, b, c := ft.nodes[0], ft.nodes[1], ft.nodes[2]
			sender, out := a.receiver(2, "c:s")
			var peers []*filePeer
			var sockets []*memorySocket
			var homes []*fleetNode
			for _, n := range []*fleetNode{a, b, b, c} {
				p, s := n.receiver(version, "")
				peers, sockets, homes = append(peers, p), append(sockets, s), append(homes, n)
			}
			a.init(sender, 40)
			a.wantProgress(out, 4, 0, false)
			a.chunks(sender, 0, 40)
			a.end(sender)
			if version == 2 {
				for i, p := range peers {
					homes[i].ack(p, 16)
				}
				a.wantProgress(out, 4, 16, false)
				for i, p := range peers {
					homes[i].ack(p, 40)
				}
			}
			for _, s := range sockets {
				a.wantWhole(s, 40)
			}
			a.wantProgress(out, 4, 40, true)
			if n := ft.net.count(linkChunk); n != 80 {
				t.Errorf("%d chunks crossed to two nodes, want each once: 80", n)
			}
			ft.wantNothingOpen()
		})
	}
}

func TestFleet_NobodyInTheClusterIsNoReceivers(t *testing.T) {
	runFleet(t, 3, func(ft *fleetTest) {
		a, b := ft.nodes[0], ft.nodes[1]
		sender, out := a.peer(2, "c:s")
		stranger, _ := b.receiver(2, "c:x")
		stranger.session = "other"
		a.init(sender, 3)
		a.wantError(out, protocol.NoReceivers)
		a.chunks(sender, 0, 3)
		a.wantGot(out, "file_error")
		ft.wantNothingOpen()
		_, in := b.receiver(1, "") // the id is free again, through any node
		again, out := ft.nodes[2].peer(2, "c:s")
		ft.nodes[2].init(again, 3)
		a.wantProgress(out, 1, 0, false)
		a.wantGot(in, "init_file")
	})
}

func TestFleet_ReceiverComesBackThroughAnyNode(t *testing.T) {
	for name, subscriber := range map[string]storage.Subscriber{"durable": "c:r", "user": "u:r", "ephemeral": ""} {
		for from := range 3 {
			for to := range 3 {
				t.Run(fmt.Sprintf("%s %d to %d", name, from, to), func(t *testing.T) {
					runFleet(t, 3, func(ft *fleetTest) {
						a, was, is := ft.nodes[0], ft.nodes[from], ft.nodes[to]
						sender, out := a.peer(2, "c:s")
						first, _ := was.receiver(2, subscriber)
						a.init(sender, 30)
						a.chunks(sender, 0, 20)
						was.ack(first, 7)
						was.close(first)
						if n := a.chunks(sender, 20, 30); n != 10 {
							t.Fatalf("%d chunks went out while it was away, want 10", n)
						}
						time.Sleep(20 * time.Second)
						again, in := is.peer(2, subscriber)
						is.resume(again, 9)
						is.wantGot(in, "9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29")
						a.end(sender)
						is.ack(again, 30)
						is.wantGot(in, "end_file")
						a.wantProgress(out, 1, 30, true)
						ft.wantNothingOpen()
					})
				})
			}
		}
	}
}

func TestFleet_StrangersResumeNothing(t *testing.T) {
	runFleet(t, 3, func(ft *fleetTest) {
		a, b := ft.nodes[0], ft.nodes[1]
		sender, _ := a.peer(2, "c:s")
		b.receiver(2, "c:r")
		a.init(sender, 30)
		for _, n := range ft.nodes {
			p, out := n.peer(2, "c:x")
			n.resume(p, 0)
			n.wantError(out, protocol.NotFound)
			p, out = n.peer(2, "c:r")
			p.session = "other"
			n.resume(p, 0)
			n.wantError(out, protocol.NotFound)
			p, out = n.peer(2, "c:x")
			n.init(p, 30)
			n.wantError(out, protocol.Conflict)
		}
		if n := len(b.files.allGuests()); n != 1 {
			t.Errorf("%d parts of the file at the receiver's node, want 1", n)
		}
		if n := len(ft.nodes[2].files.allGuests()); n != 0 {
			t.Errorf("%d parts of the file where nobody receives it", n)
		}
	})
}

func TestFleet_SenderComesBackThroughAnotherNodeAndItsHomeStays(t *testing.T) {
	for name, subscriber := range map[string]storage.Subscriber{"durable": "c:s", "ephemeral": ""} {
		t.Run(name, func(t *testing.T) {
			runFleet(t, 3, func(ft *fleetTest) {
				a, b, c := ft.nodes[0], ft.nodes[1], ft.nodes[2]
				sender, _ := a.peer(2, subscriber)
				p, in := b.receiver(2, "")
				_, here := a.receiver(1, "")
				a.init(sender, 150)
				a.chunks(sender, 0, 64)
				b.ack(p, 60)
				a.close(sender)
				time.Sleep(protocol.SenderAway - 5*time.Second)
				again, out := c.peer(2, subscriber)
				c.init(again, 150)
				c.wantProgress(out, 2, 60, false)
				n := c.chunks(again, 60, 150)
				if most := protocol.FileWindow + senderCredit; n+1 > most || out.resumes() != 0 {
					t.Fatalf("%d chunks before the wait, want a window and %d that are on their way at most", n+1, senderCredit)
				}
				b.ack(p, 124)
				if out.resumes() != 1 {
					t.Fatalf("resumed %d times, want once", out.resumes())
				}
				if from := 60 + n + 1; c.chunks(again, from, 150) != 150-from {
					t.Fatal("held back with room in the window")
				}
				c.end(again)
				b.ack(p, 150)
				b.wantWhole(in, 150)
				a.wantWhole(here, 150)
				c.wantProgress(out, 2, 150, true)
				ft.wantNothingOpen()
				c.init(again, 150) // it missed the word that it was done
				c.wantProgress(out, 2, 150, true)
				ft.wantNothingOpen()
			})
		})
	}
}

// newLinks cuts the links of a transfer and gives its guests the time to open others.
func (ft *fleetTest) relink(a, b *fleetNode) {
	ft.net.cut(a.id, b.id)
	synctest.Wait()
}

func TestFleet_LostLinkLosesAndRepeatsNothing(t *testing.T) {
	for version := 1; version <= 2; version++ {
		runFleet(t, 2, func(ft *fleetTest) {
			a, b := ft.nodes[0], ft.nodes[1]
			sender, _ := a.peer(2, "c:s")
			p, in := b.receiver(version, "c:r")
			_, stuck := b.receiver(version, "")
			stuck.stuck = true
			a.init(sender, 60)
			a.chunks(sender, 0, 30)
			if version == 2 {
				b.ack(p, 8)
			}
			ft.relink(a, b)
			a.chunks(sender, 30, 60)
			ft.relink(a, b)
			a.end(sender)
			for range 10 {
				stuck.take(maxFeed)
				time.Sleep(time.Second)
			}
			b.wantWhole(in, 60)
			b.wantWhole(stuck, 60)
			if version == 2 {
				b.ack(p, 60)
				b.ack(b.topic[1], 60)
			}
			ft.wantNothingOpen()
		})
	}
}

// wantTurnedBack fails unless acked went down to where the sender is to go on from: else it does not go back.
func wantTurnedBack(t *testing.T, s *memorySocket, to int64) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range len(s.frames) - 1 {
		if s.frames[i].Acked > to && s.frames[i+1].Acked == to {
			return
		}
	}
	t.Fatalf("acked never goes down to %d: %+v", to, s.frames)
}

func TestFleet_LostLinkTurnsASenderElsewhereBack(t *testing.T) {
	runFleet(t, 2, func(ft *fleetTest) {
		a, b := ft.nodes[0], ft.nodes[1]
		sender, _ := a.peer(2, "c:s")
		p, in := a.receiver(2, "c:r")
		a.init(sender, 60)
		a.close(sender)
		again, out := b.peer(2, "c:s")
		b.init(again, 60)
		b.chunks(again, 0, 20)
		a.ack(p, 10)
		ft.net.freeze("n1", true)
		b.chunks(again, 20, 30) // are lost
		ft.net.cut(a.id, b.id)
		ft.net.freeze("n1", false)
		time.Sleep(2 * time.Second)
		b.wantProgress(out, 1, 10, false)
		wantTurnedBack(t, out, 10)
		b.chunks(again, 10, 60)
		b.end(again)
		a.ack(p, 60)
		a.wantWhole(in, 60)
		b.wantProgress(out, 1, 60, true)
		ft.wantNothingOpen()
	})
}

func TestFleet_HomeIsKilledAndItsSenderComesBack(t *testing.T) {
	for version := 1; version <= 2; version++ {
		for name, gap := range map[string]time.Duration{"at once": 0, "after 50 s": 50 * time.Second} {
			t.Run(fmt.Sprintf("version %d, %s", version, name), func(t *testing.T) {
				runFleet(t, 3, func(ft *fleetTest) {
					a, b, c := ft.nodes[0], ft.nodes[1], ft.nodes[2]
					sender, _ := a.peer(2, "c:s")
					p, in := b.receiver(version, "")
					q, there := c.receiver(version, "c:q")
					a.init(sender, 100)
					a.chunks(sender, 0, 40)
					if version == 2 {
						b.ack(p, 16)
						c.ack(q, 32)
					}
					a.kill()
					time.Sleep(gap)
					again, out := b.peer(2, "c:s")
					b.begin(again, 100)
					time.Sleep(3 * time.Second)
					from := 16
					if version == 1 {
						from = 40
					}
					b.wantProgress(out, 2, int64(from), false)
					b.chunks(again, from, from+50)
					if version == 2 {
						b.ack(p, from+50)
						c.ack(q, from+50)
					}
					b.chunks(again, from+50, 100)
					b.end(again)
					b.wantWhole(in, 100)
					c.wantWhole(there, 100)
					if version == 2 {
						b.ack(p, 100)
						c.ack(q, 100)
					}
					time.Sleep(protocol.ReceiverStall)
					b.wantProgress(out, 2, 100, true)
					ft.nodes = ft.nodes[1:]
					ft.wantNothingOpen()
				})
			})
		}
	}
}

func TestFleet_HomeIsKilledWithReceiversOnIt(t *testing.T) {
	runFleet(t, 3, func(ft *fleetTest) {
		a, b, c := ft.nodes[0], ft.nodes[1], ft.nodes[2]
		sender, _ := a.peer(2, "c:s")
		p, _ := a.receiver(2, "c:r")
		a.init(sender, 100)
		a.chunks(sender, 0, 50)
		a.ack(p, 40)
		a.kill()
		p, in := c.peer(2, "c:r")
		c.resume(p, 45)
		again, out := b.peer(2, "c:s")
		b.begin(again, 100)
		time.Sleep(3 * time.Second)
		b.wantProgress(out, 1, 45, false)
		b.chunks(again, 45, 100)
		b.end(again)
		c.ack(p, 100)
		b.wantProgress(out, 1, 100, false)  // not done: another one may come
		late, lateIn := c.peer(2, "c:late") // had been away when the home died
		c.resume(late, 40)
		b.wantProgress(out, 2, 40, false)
		b.chunks(again, 40, 100)
		b.end(again)
		for n, s := range map[*filePeer]*memorySocket{p: in, late: lateIn} {
			if len(s.payload) < 55 {
				t.Errorf("%s got %d chunks", n.subscriber, len(s.payload))
			}
			c.ack(n, 100)
		}
		time.Sleep(protocol.ReceiverStall)
		b.wantProgress(out, 2, 100, true)
	})
}

func TestFleet_HomeIsKilledWhileItsSenderIsElsewhere(t *testing.T) {
	runFleet(t, 3, func(ft *fleetTest) {
		a, b, c := ft.nodes[0], ft.nodes[1], ft.nodes[2]
		sender, _ := a.peer(2, "c:s")
		p, in := b.receiver(2, "c:r")
		_, one := c.receiver(1, "")
		a.init(sender, 100)
		a.chunks(sender, 0, 40)
		a.close(sender)
		again, out := c.peer(2, "c:s")
		c.init(again, 100)
		b.ack(p, 40)
		c.chunks(again, 40, 60)
		b.ack(p, 48)
		a.kill()
		c.chunks(again, 60, 70) // are lost
		time.Sleep(3 * time.Second)
		c.wantProgress(out, 2, 48, false)
		wantTurnedBack(t, out, 48)
		c.chunks(again, 48, 100)
		c.end(again)
		b.wantWhole(in, 100)
		c.wantWhole(one, 100)
		b.ack(p, 100)
		time.Sleep(protocol.ReceiverStall)
		c.wantProgress(out, 2, 100, true)
		ft.nodes = ft.nodes[1:]
		ft.wantNothingOpen()
	})
}

func TestFleet_HomeIsGoneForGood(t *testing.T) {
	runFleet(t, 3, func(ft *fleetTest) {
		a, b, c := ft.nodes[0], ft.nodes[1], ft.nodes[2]
		sender, _ := a.peer(2, "c:s")
		_, one := b.receiver(1, "")
		p, two := c.receiver(2, "c:r")
		a.init(sender, 100)
		a.chunks(sender, 0, 40)
		a.kill()
		c.close(p)
		p, again := b.peer(2, "c:r")
		b.resume(p, 30)
		time.Sleep(protocol.SenderAway - 5*time.Second)
		for _, s := range []*memorySocket{one, two, again} {
			if last := s.last(); last.Type == protocol.TypeFileError {
				t.Fatalf("given up too early: %+v", last)
			}
		}
		time.Sleep(8 * time.Second)
		b.wantError(one, protocol.Unavailable)
		b.wantError(again, protocol.Unavailable)
		ft.nodes = ft.nodes[1:]
		ft.wantNothingOpen()
	})
}

func TestFleet_HomeIsOutOfReachForGood(t *testing.T) {
	runFleet(t, 2, func(ft *fleetTest) {
		a, b := ft.nodes[0], ft.nodes[1]
		sender, out := a.peer(2, "c:s")
		_, in := b.receiver(2, "c:r")
		a.init(sender, 100)
		ft.net.mu.Lock()
		ft.net.apart = true
		ft.net.mu.Unlock()
		ft.net.cut(a.id, b.id)
		time.Sleep(protocol.SenderAway + 3*time.Second) // while it visits in vain each second
		b.wantError(in, protocol.Unavailable)
		a.wantError(out, protocol.NoReceivers)
		ft.wantNothingOpen()
	})
}

func TestFleet_NodeWithReceiversIsKilled(t *testing.T) {
	runFleet(t, 3, func(ft *fleetTest) {
		a, b, c := ft.nodes[0], ft.nodes[1], ft.nodes[2]
		sender, out := a.peer(2, "c:s")
		b.receiver(2, "c:back")
		b.receiver(1, "")
		here, _ := a.receiver(2, "c:here")
		a.init(sender, 200)
		a.chunks(sender, 0, 20)
		b.kill()
		time.Sleep(10 * time.Second)
		back, in := c.peer(2, "c:back")
		c.resume(back, 10)
		c.wantGot(in, "10 11 12 13 14 15 16 17 18 19")
		c.ack(back, 20)
		a.ack(here, 20)
		if n := a.chunks(sender, 20, 200); n != protocol.FileWindow {
			t.Fatalf("%d chunks before the wait for the one that is away, want %d", n, protocol.FileWindow)
		}
		a.wantProgress(out, 3, 20, false)
		time.Sleep(protocol.ReceiverStall - 9*time.Second)
		a.wantProgress(out, 2, 20, false)
	})
}

func TestFleet_NodeThatFallsSilentHoldsTheSenderForThirtySeconds(t *testing.T) {
	runFleet(t, 2, func(ft *fleetTest) {
		a, b := ft.nodes[0], ft.nodes[1]
		sender, out := a.peer(2, "c:s")
		b.receiver(2, "c:r")
		here, _ := a.receiver(2, "c:here")
		a.init(sender, 200)
		a.chunks(sender, 0, 64)
		a.ack(here, 64)
		ft.net.freeze(b.id, true)
		time.Sleep(protocol.ReceiverStall + 3*time.Second)
		a.wantProgress(out, 1, 64, false)
	})
}

func TestFleet_CancelsCrossNodes(t *testing.T) {
	runFleet(t, 3, func(ft *fleetTest) {
		a, b, c := ft.nodes[0], ft.nodes[1], ft.nodes[2]
		sender, out := a.peer(2, "c:s")
		_, one := b.receiver(1, "")
		p, two := c.receiver(2, "c:r")
		a.init(sender, 10)
		c.send(p, protocol.ClientFrame{Type: protocol.TypeCancelFile})
		a.wantProgress(out, 1, 0, false)
		a.chunks(sender, 0, 2)
		a.close(sender)
		again, _ := c.peer(2, "c:s")
		c.init(again, 10)
		c.send(again, protocol.ClientFrame{Type: protocol.TypeCancelFile})
		b.wantGot(one, "init_file 0 1 cancel_file file_error")
		c.wantGot(two, "init_file")
		ft.wantNothingOpen()
	})
}

func TestFleet_AFileErrorCrossesNodes(t *testing.T) {
	runFleet(t, 2, func(ft *fleetTest) {
		a, b := ft.nodes[0], ft.nodes[1]
		sender, out := a.peer(2, "c:s")
		_, in := b.receiver(2, "c:r")
		a.init(sender, 10)
		a.files.chunk(sender, protocol.AppendChunk(nil, protocol.Chunk{FileID: []byte(testFile), Payload: make([]byte, maxChunk+1)}))
		b.wantError(in, protocol.TooLarge)
		a.wantError(out, protocol.TooLarge)
		ft.wantNothingOpen()
	})
}

func TestFleet_AStuckReceiverElsewhereHoldsTheSenderAndLeaves(t *testing.T) {
	for version := 1; version <= 2; version++ {
		runFleet(t, 2, func(ft *fleetTest) {
			a, b := ft.nodes[0], ft.nodes[1]
			sender, out := a.peer(version, "")
			p, in := b.receiver(version, "")
			_, stuck := b.receiver(version, "")
			stuck.stuck = true
			a.init(sender, 1000)
			if n := a.chunks(sender, 0, 1000); n != protocol.FileWindow {
				t.Fatalf("version %d: %d chunks before the wait, want %d", version, n, protocol.FileWindow)
			}
			if n := len(stuck.queue); n != maxFeed {
				t.Errorf("version %d: %d chunks wait in a stuck socket, want %d", version, n, maxFeed)
			}
			g := b.files.allGuests()[0]
			g.mu.Lock()
			held := len(g.chunks.chunks)
			g.mu.Unlock()
			if held > protocol.FileWindow {
				t.Errorf("version %d: the guest holds %d chunks", version, held)
			}
			if version == 2 {
				b.ack(p, protocol.FileWindow)
			}
			time.Sleep(protocol.ReceiverStall + 2*time.Second)
			b.wantError(stuck, protocol.TooSlow)
			if out.resumes() != 1 {
				t.Errorf("version %d: resumed %d times, want once", version, out.resumes())
			}
			if got := len(in.payload); got != protocol.FileWindow+1 {
				t.Errorf("version %d: the other receiver got %d chunks", version, got)
			}
		})
	}
}

func TestFleet_AFileIdIsNeverAnotherFileOnAnyNode(t *testing.T) {
	runFleet(t, 3, func(ft *fleetTest) {
		a, b := ft.nodes[0], ft.nodes[1]
		sender, _ := a.peer(2, "c:s")
		p, in := b.receiver(2, "c:r")
		a.init(sender, 1)
		for _, n := range ft.nodes {
			other, out := n.peer(2, "c:s")
			n.init(other, 2)
			n.wantError(out, protocol.Conflict)
		}
		a.chunks(sender, 0, 1)
		a.end(sender)
		b.ack(p, 1)
		b.wantWhole(in, 1)
		time.Sleep(spentLease - time.Minute)
		for _, n := range ft.nodes {
			other, out := n.peer(2, "c:s")
			n.init(other, 2)
			n.wantError(out, protocol.Conflict)
		}
		b.resume(p, 1) // it missed end_file
		b.wantGot(in, "end_file")
		ft.wantNothingOpen()
	})
}

func TestFleet_FrozenHomeLetsGoOfWhatWentOn(t *testing.T) {
	runFleet(t, 3, func(ft *fleetTest) {
		a, b, c := ft.nodes[0], ft.nodes[1], ft.nodes[2]
		sender, _ := a.peer(2, "c:s")
		p, in := b.receiver(2, "c:r")
		own, here := a.receiver(2, "c:own")
		a.init(sender, 100)
		a.chunks(sender, 0, 40)
		b.ack(p, 40)
		a.ack(own, 40)
		ft.net.freeze(a.id, true)
		time.Sleep(12 * time.Second) // its heartbeat's lease ends
		again, out := c.peer(2, "c:s")
		c.begin(again, 100)
		time.Sleep(2 * time.Second)
		c.wantProgress(out, 1, 40, false)
		c.chunks(again, 40, 60)
		ft.net.freeze(a.id, false)
		time.Sleep(homeRenewal + 2*time.Second)
		c.wantProgress(out, 2, 40, false)
		c.chunks(again, 60, 100)
		c.end(again)
		b.wantWhole(in, 100)
		a.wantWhole(here, 100)
		b.ack(p, 100)
		a.ack(own, 100)
		time.Sleep(protocol.ReceiverStall)
		c.wantProgress(out, 2, 100, true)
		ft.wantNothingOpen()
	})
}

func TestFleet_WithoutTheBackplaneWhatRunsGoesOn(t *testing.T) {
	runFleet(t, 2, func(ft *fleetTest) {
		a, b := ft.nodes[0], ft.nodes[1]
		sender, out := a.peer(2, "c:s")
		p, in := b.receiver(2, "c:r")
		a.init(sender, 100)
		for _, n := range ft.nodes {
			n.plane.set(func(p *faultyPlane) { p.leaseless = true })
		}
		a.chunks(sender, 0, 40)
		b.ack(p, 40)
		time.Sleep(2 * homeLease)
		a.chunks(sender, 40, 100)
		a.end(sender)
		b.ack(p, 100)
		b.wantWhole(in, 100)
		a.wantProgress(out, 1, 100, true)
		other, refused := b.peer(2, "c:s")
		f := &protocol.ClientFrame{Type: protocol.TypeInitFile, FileID: []byte("1" + testFile[1:]), Topic: []byte("t"), FileName: []byte("n"), FileSize: 1, TotalChunks: 1}
		b.files.open(context.Background(), other, mustID("1"+testFile[1:]), f, false)
		if last := refused.last(); last.Code != protocol.Unavailable {
			t.Errorf("a new file: %+v, want unavailable", last)
		}
		ft.wantNothingOpen()
	})
}

func TestFleet_DroppedSessionEndsItsPartsWithoutAWord(t *testing.T) {
	runFleet(t, 2, func(ft *fleetTest) {
		a, b := ft.nodes[0], ft.nodes[1]
		sender, _ := a.peer(2, "c:s")
		_, in := b.receiver(2, "c:r")
		a.init(sender, 10)
		b.files.drop("s")
		a.files.drop("s")
		b.wantGot(in, "init_file")
		ft.wantNothingOpen()
	})
}

// A version 1 sender knows nothing of going on, or back: it sends all of it again, is held until all have come who may,
// and nobody gets twice what he had.
func TestFleet_HomeIsKilledAndItsVersion1SenderBeginsAgain(t *testing.T) {
	runFleet(t, 3, func(ft *fleetTest) {
		a, b, c := ft.nodes[0], ft.nodes[1], ft.nodes[2]
		sender, _ := a.peer(1, "c:s")
		_, in := b.receiver(1, "")
		p, two := c.receiver(2, "c:r")
		a.init(sender, 100)
		a.chunks(sender, 0, 40)
		c.ack(p, 32)
		a.kill()
		again, out := b.peer(1, "c:s")
		b.begin(again, 100)
		time.Sleep(100 * time.Millisecond)
		sent := b.chunks(again, 0, 100) + 1 // does not wait for an answer
		time.Sleep(protocol.ReceiverStall + 2*time.Second)
		if out.resumes() == 0 {
			t.Fatal("held for longer than any receiver may be away")
		}
		c.ack(p, 40)
		if n := b.chunks(again, sent, 100); n != 100-sent {
			t.Fatalf("%d chunks before the wait, want all", n)
		}
		b.end(again)
		c.ack(p, 100)
		b.wantWhole(in, 100)
		c.wantWhole(two, 100)
	})
}
