package memory

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fastport/fastport/backplane"
	"github.com/fastport/fastport/backplane/backplanetest"
)

// cluster is a bus on a clock of its own.
type cluster struct {
	bus *Bus

	mu  sync.Mutex // guards the following
	now time.Time
}

func (c *cluster) Node(_ *testing.T, id string) backplane.Backplane { return c.bus.Node(id) }

func (c *cluster) Pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func (c *cluster) clock() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func TestBackplane(t *testing.T) {
	backplanetest.Run(t, func(*testing.T) backplanetest.Cluster {
		c := &cluster{now: time.Unix(1_000_000, 0)}
		c.bus = newBus(c.clock)
		return c
	})
}

// receiver calls a function for each copy.
type receiver struct{ copy func(*backplane.Copy) }

func (r receiver) Copies(cs []*backplane.Copy) {
	for _, c := range cs {
		r.copy(c)
	}
}
func (receiver) Note(*backplane.Note)         {}
func (receiver) Heads(*backplane.Heads)       {}
func (receiver) Command(c *backplane.Command) {}
func (receiver) Link(bool)                    {}

func noted(error) {}

func TestBus_WorksInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var alone *Bus
		n := alone.Node("a")
		got := make(chan time.Time, 1)
		n.Listen(receiver{func(c *backplane.Copy) { got <- c.Issued }})
		ch := backplane.Channel{Session: "s", Topic: "t"}
		n.Join(ch, noted)
		time.Sleep(time.Hour)
		n.Announce(&backplane.Copy{Channel: ch}, false, noted)
		if issued := <-got; !issued.Equal(time.Now()) {
			t.Errorf("issued = %v, want the bubble's %v", issued, time.Now())
		}
		if err := n.Heartbeat(t.Context(), backplane.Node{ID: "a"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(backplane.Lease - time.Millisecond)
		if list, _ := n.Nodes(t.Context()); len(list) != 1 {
			t.Errorf("just before the lease's end: %d nodes, want 1", len(list))
		}
		time.Sleep(time.Millisecond)
		if list, _ := n.Nodes(t.Context()); len(list) != 0 {
			t.Errorf("at the lease's end: %d nodes, want none", len(list))
		}
	})
}

func TestBus_ForgetsChannelsThatNobodyHolds(t *testing.T) {
	bus := NewBus()
	a, b := bus.Node("a"), bus.Node("b")
	for i := range 100 {
		ch := backplane.Channel{Session: "s", Topic: fmt.Sprint(i)}
		a.Join(ch, noted)
		b.Join(ch, noted)
		b.Announce(&backplane.Copy{Channel: ch}, false, noted)
		a.Leave(ch)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if got := len(bus.channels); got != 0 {
		t.Errorf("channels = %d, want 0", got)
	}
}

func TestBus_JoinsRaceWithLeavesAndCloses(t *testing.T) {
	bus := NewBus()
	ch := backplane.Channel{Session: "s", Topic: "t"}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				n := bus.Node("n")
				n.Listen(receiver{func(*backplane.Copy) {}})
				wg.Go(func() { n.Announce(&backplane.Copy{Channel: ch}, false, noted) })
				wg.Go(func() { n.Join(ch, noted) })
				if err := n.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if len(bus.channels) != 0 || len(bus.nodes) != 0 {
		t.Errorf("left behind: %d channels, %d nodes", len(bus.channels), len(bus.nodes))
	}
}

func TestBus_PanicInAReceiverStopsNoChannel(t *testing.T) {
	n := NewBus().Node("a")
	ch := backplane.Channel{Session: "s", Topic: "t"}
	var got []string
	n.Listen(receiver{func(c *backplane.Copy) {
		got = append(got, c.MessageID)
		if c.MessageID == "1" {
			n.Announce(&backplane.Copy{Channel: ch, MessageID: "2"}, false, noted)
			panic("receiver")
		}
	}})
	n.Join(ch, noted)
	func() {
		defer func() { _ = recover() }()
		n.Announce(&backplane.Copy{Channel: ch, MessageID: "1"}, false, noted)
	}()
	n.Announce(&backplane.Copy{Channel: ch, MessageID: "3"}, false, noted)
	if fmt.Sprint(got) != "[1 2 3]" {
		t.Errorf("got %v, want [1 2 3]", got)
	}
}

func TestBus_FullQueueRefuses(t *testing.T) {
	n := NewBus().Node("a")
	ch := backplane.Channel{Session: "s", Topic: "t"}
	refused := 0
	n.Listen(receiver{func(c *backplane.Copy) {
		if c.MessageID != "first" {
			return
		}
		for range maxQueued + 5 { // nothing is delivered while a receiver is at it
			n.Announce(&backplane.Copy{Channel: ch}, false, func(err error) {
				if err != nil {
					refused++
				}
			})
		}
	}})
	n.Join(ch, noted)
	n.Announce(&backplane.Copy{Channel: ch, MessageID: "first"}, false, noted)
	if refused != 5 {
		t.Errorf("refused = %d, want 5", refused)
	}
}

func TestCounters_EndedWindowsAreForgotten(t *testing.T) {
	c := &cluster{now: time.Unix(1_000_000, 0)}
	c.bus = newBus(c.clock)
	for i := range 1000 {
		c.bus.counters.add(fmt.Sprint(i), 1, time.Second)
	}
	c.Pass(2 * time.Minute)
	c.bus.counters.add("new", 1, time.Second)
	if got := len(c.bus.counters.windows); got != 1 {
		t.Errorf("windows = %d, want 1", got)
	}
}

func BenchmarkAnnounce(b *testing.B) {
	n := NewBus().Node("a")
	ch := backplane.Channel{Session: "s", Topic: "t"}
	n.Listen(receiver{func(*backplane.Copy) {}})
	n.Join(ch, noted)
	b.ReportAllocs()
	for b.Loop() {
		n.Announce(&backplane.Copy{Channel: ch}, false, noted)
	}
}

// calls is a receiver that notes which copies came in one call.
type calls struct {
	receiver
	got []string
}

func (c *calls) Copies(cs []*backplane.Copy) {
	ids := ""
	for _, one := range cs {
		ids += one.MessageID
	}
	c.got = append(c.got, ids)
}

func TestAnnounce_WithMoreComesTogetherWithTheNext(t *testing.T) {
	bus := NewBus()
	a, b := bus.Node("a"), bus.Node("b")
	var near, far calls
	a.Listen(&near)
	b.Listen(&far)
	ch := backplane.Channel{Session: "s", Topic: "t"}
	a.Join(ch, noted)
	b.Join(ch, noted)
	answers := 0
	announce := func(id string, more bool) {
		a.Announce(&backplane.Copy{Channel: ch, MessageID: id}, more, func(err error) {
			if err == nil {
				answers++
			}
		})
	}
	announce("1", true)
	announce("2", true)
	if len(near.got)+answers != 0 {
		t.Fatalf("got %q and %d answers while more is to come", near.got, answers)
	}
	announce("3", false)
	announce("4", true)
	b.Announce(&backplane.Copy{Channel: ch, MessageID: "5"}, false, noted) // whoever comes takes along what waits
	announce("6", false)
	want := []string{"123", "45", "6"}
	if !slices.Equal(near.got, want) || !slices.Equal(far.got, want) || answers != 5 {
		t.Fatalf("got %q and %q, %d answers; want %q twice, 5 answers", near.got, far.got, answers, want)
	}
}
