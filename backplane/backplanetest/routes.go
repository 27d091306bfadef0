package backplanetest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fastport/fastport/backplane"
)

var channel = backplane.Channel{Session: "0123456789abcdef0123456789abcdef", Topic: "a/b:c"}

func oneOrder(t *testing.T, c Cluster) {
	const announcers, each = 6, 200
	nodes := make([]backplane.Backplane, 3)
	recorders := make([]*recorder, len(nodes))
	for i := range nodes {
		nodes[i], recorders[i] = node(t, c, fmt.Sprintf("n%d", i))
		join(t, nodes[i], channel)
	}
	var wg sync.WaitGroup
	answers := make(chan error, announcers*each)
	for a := range announcers {
		wg.Go(func() {
			for i := range each {
				nodes[a%len(nodes)].Announce(&backplane.Copy{
					Channel: channel, MessageID: fmt.Sprintf("%d-%d", a, i), Data: []byte("x"),
				}, i%4 != 3 && i != each-1, func(err error) { answers <- err })
			}
		})
	}
	wg.Wait()
	for range announcers * each {
		select {
		case err := <-answers:
			if err != nil {
				t.Fatalf("announce: %v", err)
			}
		case <-time.After(patience):
			t.Fatal("an announce was not answered")
		}
	}
	first := recorders[0].waitEvents(t, channel, announcers*each)
	for i, r := range recorders[1:] {
		if got := r.waitEvents(t, channel, announcers*each); !slices.Equal(got, first) {
			t.Fatalf("node %d got another order than node 0", i+1)
		}
	}
	if len(first) != announcers*each {
		t.Fatalf("copies = %d, want %d", len(first), announcers*each)
	}
	for a := range announcers {
		prefix := fmt.Sprintf("copy %d-", a)
		next := 0
		for _, event := range first {
			if strings.HasPrefix(event, prefix) {
				if want := fmt.Sprintf("%s%d", prefix, next); event != want {
					t.Fatalf("announcer %d: got %q, want %q: its own order is lost", a, event, want)
				}
				next++
			}
		}
	}
}

func noteBehindCopy(t *testing.T, c Cluster) {
	const announcers, each = 4, 100
	a, recorderA := node(t, c, "a")
	b, recorderB := node(t, c, "b")
	join(t, a, channel)
	join(t, b, channel)
	var wg sync.WaitGroup
	for i := range announcers {
		wg.Go(func() {
			for k := range each {
				id := fmt.Sprintf("%d-%d", i, k)
				a.Announce(&backplane.Copy{Channel: channel, MessageID: id}, false, func(error) {})
				a.Settle(&backplane.Note{Channel: channel, MessageID: id, Seq: uint64(k + 1), Origin: "c:x", Epoch: "e"}, func(error) {})
			}
		})
	}
	wg.Wait()
	for _, r := range []*recorder{recorderA, recorderB} {
		seen := map[string]bool{}
		for _, event := range r.waitEvents(t, channel, 2*announcers*each) {
			words := strings.Fields(event)
			if words[0] == "note" && !seen[words[1]] {
				t.Fatalf("the note of %s came before its copy", words[1])
			}
			seen[words[1]] = true
		}
	}
}

func copyWhole(t *testing.T, c Cluster) {
	a, _ := node(t, c, "a")
	b, r := node(t, c, "b")
	join(t, b, channel)
	want := backplane.Copy{
		Channel: channel, MessageID: "m\"1", Data: []byte{0, 1, 0xff, '\n'}, Hash: strings.Repeat("ab", 32), Timestamp: -5,
		QoS: 1, Retry: true, Node: "a", Conn: 1<<64 - 1, Origin: "c:dév",
	}
	sent := want
	sent.Shared = "the announcer's own"
	must(t, "announce", func(done func(error)) { a.Announce(&sent, false, done) })
	must(t, "settle", func(done func(error)) {
		a.Settle(&backplane.Note{Channel: channel, MessageID: "m2", Seq: 1<<64 - 1, Failed: true, Origin: "u:é", Epoch: "1/2"}, done)
	})
	events := r.waitEvents(t, channel, 2)
	if want := "note m2 18446744073709551615 true u:é 1/2"; events[1] != want {
		t.Errorf("note = %q, want %q", events[1], want)
	}
	r.mu.Lock()
	got := *r.copies[0]
	r.mu.Unlock()
	if got.Issued.IsZero() {
		t.Error("Issued is not set")
	}
	if got.Shared != nil {
		t.Errorf("Shared = %v was carried to another node", got.Shared)
	}
	if !bytes.Equal(got.Data, want.Data) {
		t.Errorf("Data = %q, want %q", got.Data, want.Data)
	}
	got.Issued, got.Data, want.Data = time.Time{}, nil, nil
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("copy = %+v, want %+v", got, want)
	}
}

func sharedIsOnesOwn(t *testing.T, c Cluster) {
	a, recorderA := node(t, c, "a")
	b, recorderB := node(t, c, "b")
	for name, r := range map[string]*recorder{"a": recorderA, "b": recorderB} {
		r.onCopy = func(c *backplane.Copy) {
			if c.Shared != nil {
				t.Errorf("node %s found %v in Shared", name, c.Shared)
			}
			c.Shared = name
		}
	}
	join(t, a, channel)
	join(t, b, channel)
	announce(t, a, channel, "m")
	recorderA.waitEvents(t, channel, 1)
	recorderB.waitEvents(t, channel, 1)
}

func announceToNobody(t *testing.T, c Cluster) {
	a, _ := node(t, c, "a")
	announce(t, a, channel, "m")
	must(t, "settle", func(done func(error)) { a.Settle(&backplane.Note{Channel: channel, MessageID: "m"}, done) })
}

func callBack(t *testing.T, c Cluster) {
	a, r := node(t, c, "a")
	other := backplane.Channel{Session: channel.Session, Topic: "other"}
	r.onCopy = func(c *backplane.Copy) {
		if c.MessageID != "first" {
			return
		}
		a.Announce(&backplane.Copy{Channel: channel, MessageID: "second"}, false, func(error) {})
		a.Announce(&backplane.Copy{Channel: other, MessageID: "third"}, false, func(error) {})
		a.Settle(&backplane.Note{Channel: channel, MessageID: "first", Seq: 1}, func(error) {})
		a.SendHeads([]backplane.Heads{{Channel: other, Seq: 7}})
	}
	join(t, a, channel)
	join(t, a, other)
	announce(t, a, channel, "first")
	if got, want := r.waitEvents(t, channel, 3), []string{"copy first", "copy second", "note first 1 false  "}; !slices.Equal(got, want) {
		t.Errorf("events = %q, want %q", got, want)
	}
	r.waitEvents(t, other, 2)
}

func joinThenEverything(t *testing.T, c Cluster) {
	a, _ := node(t, c, "a")
	b, r := node(t, c, "b")
	stop, started := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	var sent int
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				sent = i
				return
			default:
			}
			announce(t, a, channel, fmt.Sprint(i))
			if i == 20 {
				close(started)
			}
		}
	})
	<-started
	join(t, b, channel)
	announce(t, b, channel, "joined") // from the joining node: behind its join
	r.wait(t, "its own copy", func() bool { return slices.Contains(r.events[channel], "copy joined") })
	close(stop)
	wg.Wait()
	announce(t, a, channel, "end")
	r.wait(t, "the end", func() bool { return slices.Contains(r.events[channel], "copy end") })

	next := -1
	for _, event := range r.of(channel) {
		var i int
		if _, err := fmt.Sscanf(event, "copy %d", &i); err != nil {
			continue
		}
		if next >= 0 && i != next {
			t.Fatalf("after the join: got %d, want %d", i, next)
		}
		next = i + 1
	}
	if next >= 0 && next != sent {
		t.Fatalf("last copy = %d, want %d", next-1, sent-1)
	}
}

func isolation(t *testing.T, c Cluster) {
	a, _ := node(t, c, "a")
	b, r := node(t, c, "b")
	// Parts that run together where a separator is not escaped or counted.
	mine := backplane.Channel{Session: "s", Topic: "a:b"}
	others := []backplane.Channel{{Session: "s:a", Topic: "b"}, {Session: "s", Topic: "a"}, {Session: "s", Topic: "a:b:"}, {Session: "", Topic: "s:a:b"}, {Session: "s", Topic: "a:*"}}
	join(t, b, mine)
	for i, other := range others {
		announce(t, a, other, fmt.Sprint("other ", i))
	}
	announce(t, a, mine, "mine")
	r.waitEvents(t, mine, 1)
	if got := r.allEvents(); len(got) != 1 || got[0] != "copy mine" {
		t.Errorf("events = %q, want the copy of its own channel only", got)
	}
}

func leave(t *testing.T, c Cluster) {
	a, recorderA := node(t, c, "a")
	b, recorderB := node(t, c, "b")
	join(t, a, channel)
	join(t, b, channel)
	announce(t, a, channel, "1")
	recorderB.waitEvents(t, channel, 1)
	b.Leave(channel)
	b.Leave(channel) // twice is no harm
	// A late copy may arrive, so it is told apart by joining again: behind that, there is only what is new.
	announce(t, a, channel, "2")
	recorderA.waitEvents(t, channel, 2)
	join(t, b, channel)
	announce(t, a, channel, "3")
	recorderB.wait(t, "the copy after the second join", func() bool { return slices.Contains(recorderB.events[channel], "copy 3") })
	if got := recorderB.of(channel); slices.Contains(got, "copy 2") {
		t.Errorf("events = %q: a copy came to a node that had left", got)
	}
}

func fence(t *testing.T, c Cluster) {
	a, r := node(t, c, "a")
	b, _ := node(t, c, "b")
	join(t, a, channel)
	for round := range 20 {
		id := fmt.Sprint(round)
		announce(t, b, channel, id)
		must(t, "fence", func(done func(error)) {
			a.Fence(channel, func(err error) {
				if err == nil && !slices.Contains(r.of(channel), "copy "+id) {
					t.Errorf("round %d: the fence came before what was announced before it", round)
				}
				done(err)
			})
		})
	}
}

func fencesOverlap(t *testing.T, c Cluster) {
	const announcers, each = 4, 100
	a, r := node(t, c, "a")
	b, _ := node(t, c, "b")
	join(t, a, channel)
	passed := make(chan error, announcers*each)
	var wg sync.WaitGroup
	for i := range announcers {
		wg.Go(func() {
			for k := range each {
				id := fmt.Sprintf("%d-%d", i, k)
				announce(t, b, channel, id)
				a.Fence(channel, func(err error) {
					if err == nil && !slices.Contains(r.of(channel), "copy "+id) {
						t.Errorf("the fence behind %s came before it", id)
					}
					passed <- err
				})
			}
		})
	}
	wg.Wait()
	for range announcers * each {
		select {
		case err := <-passed:
			if err != nil {
				t.Fatalf("fence: %v", err)
			}
		case <-time.After(patience):
			t.Fatal("a fence was not answered")
		}
	}
}

func fenceOutside(t *testing.T, c Cluster) {
	a, _ := node(t, c, "a")
	if err := await(t, "fence", func(done func(error)) { a.Fence(channel, done) }); !errors.Is(err, backplane.ErrUnavailable) {
		t.Errorf("fence of a channel that is not joined: %v, want ErrUnavailable", err)
	}
}

func heads(t *testing.T, c Cluster) {
	a, _ := node(t, c, "a")
	b, r := node(t, c, "b")
	other := backplane.Channel{Session: channel.Session, Topic: "other"}
	join(t, b, channel)
	join(t, b, other)
	a.SendHeads([]backplane.Heads{{Channel: channel, Seq: 3, Epoch: "e"}, {Channel: other, Seq: 4, Epoch: "e"}})
	if got := r.waitEvents(t, channel, 1); got[0] != "heads 3 e" {
		t.Errorf("event = %q, want heads 3 e", got[0])
	}
	if got := r.waitEvents(t, other, 1); got[0] != "heads 4 e" {
		t.Errorf("event = %q, want heads 4 e", got[0])
	}
}
