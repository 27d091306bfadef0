package backplanetest

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fastport/fastport/backplane"
)

func commands(t *testing.T, c Cluster) {
	a, recorderA := node(t, c, "a")
	_, recorderB := node(t, c, "b")
	_, recorderC := node(t, c, "c")
	want := backplane.Command{
		Kind: backplane.TakeOver, Session: channel.Session, Name: "s", Subscriber: "c:x", Token: 1<<64 - 1,
		To: "b", Body: `{"of":"` + strings.Repeat("é", 40<<10) + `"}`,
	}
	if err := a.Tell(t.Context(), want); err != nil {
		t.Fatalf("tell: %v", err)
	}
	want.Node = "a"
	for name, r := range map[string]*recorder{"b": recorderB, "c": recorderC} {
		r.wait(t, "the command", func() bool { return len(r.commands) > 0 })
		r.mu.Lock()
		if len(r.commands) != 1 || r.commands[0] != want {
			t.Errorf("node %s got %+v, want one %+v", name, r.commands, want)
		}
		r.mu.Unlock()
	}
	recorderA.mu.Lock()
	defer recorderA.mu.Unlock()
	if len(recorderA.commands) != 0 {
		t.Errorf("the sender got its own command")
	}
}

func beat(t *testing.T, n backplane.Backplane, id string) {
	t.Helper()
	if err := n.Heartbeat(t.Context(), backplane.Node{ID: id, Started: time.UnixMilli(1000), Figures: []byte(`{"of":"` + id + `"}`)}); err != nil {
		t.Fatalf("heartbeat of %s: %v", id, err)
	}
}

func setPresence(t *testing.T, n backplane.Backplane, session, user string, connections int) {
	t.Helper()
	if err := n.SetPresence(t.Context(), session, user, connections); err != nil {
		t.Fatalf("set presence: %v", err)
	}
}

func wantOnline(t *testing.T, n backplane.Backplane, session string, users []string, want ...bool) {
	t.Helper()
	got, err := n.Online(t.Context(), session, users)
	if err != nil {
		t.Fatalf("online: %v", err)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("online %q = %v, want %v", users, got, want)
	}
}

func presenceNodes(t *testing.T, c Cluster) {
	a, _ := node(t, c, "a")
	b, _ := node(t, c, "b")
	beat(t, a, "a")
	beat(t, b, "b")
	users := []string{"u", "v", "w"}
	wantOnline(t, a, "s", users, false, false, false)
	setPresence(t, a, "s", "u", 2)
	setPresence(t, b, "s", "u", 1)
	setPresence(t, b, "s", "w", 1)
	wantOnline(t, a, "s", users, true, false, true)
	setPresence(t, a, "s", "u", 0)
	wantOnline(t, a, "s", users, true, false, true)
	setPresence(t, b, "s", "u", 0)
	wantOnline(t, b, "s", users, false, false, true)
	wantOnline(t, b, "s", nil)
}

func presenceElsewhere(t *testing.T, c Cluster) {
	a, _ := node(t, c, "a")
	b, _ := node(t, c, "b")
	beat(t, a, "a")
	beat(t, b, "b")
	setPresence(t, a, "s", "u", 1)
	setPresence(t, a, "s", "v", 2)
	setPresence(t, b, "s", "v", 1)
	setPresence(t, b, "s", "w", 1)
	want := func(n backplane.Backplane, want ...bool) {
		t.Helper()
		got, err := n.Elsewhere(t.Context(), "s", []string{"u", "v", "w", "x"})
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("elsewhere = %v (%v), want %v", got, err, want)
		}
	}
	want(a, false, true, true, false)
	want(b, true, true, false, false)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	want(a, false, false, false, false)
}

func presenceLease(t *testing.T, c Cluster) {
	a, _ := node(t, c, "a")
	b, _ := node(t, c, "b")
	setPresence(t, a, "s", "u", 1)
	wantOnline(t, b, "s", []string{"u"}, false) // no lease yet
	beat(t, a, "a")
	wantOnline(t, b, "s", []string{"u"}, true)
	c.Pass(backplane.Lease + time.Second)
	wantOnline(t, b, "s", []string{"u"}, false)
	beat(t, a, "a") // a node that hung: its users are still connected
	setPresence(t, a, "s", "u", 1)
	wantOnline(t, b, "s", []string{"u"}, true)
}

func presenceSessions(t *testing.T, c Cluster) {
	a, _ := node(t, c, "a")
	beat(t, a, "a")
	setPresence(t, a, "s:a", "b", 1)
	wantOnline(t, a, "s", []string{"b", "a:b"}, false, false)
	wantOnline(t, a, "s:a", []string{"b"}, true)
}

func nodes(t *testing.T, c Cluster) {
	a, _ := node(t, c, "a")
	b, _ := node(t, c, "b")
	living := func() (ids []string) {
		t.Helper()
		list, err := a.Nodes(t.Context())
		if err != nil {
			t.Fatalf("nodes: %v", err)
		}
		for _, n := range list {
			if want := `{"of":"` + n.ID + `"}`; string(n.Figures) != want {
				t.Errorf("figures of %s = %q, want %q", n.ID, n.Figures, want)
			}
			if !n.Started.Equal(time.UnixMilli(1000)) {
				t.Errorf("started of %s = %v", n.ID, n.Started)
			}
			ids = append(ids, n.ID)
		}
		slices.Sort(ids)
		return ids
	}
	if got := living(); len(got) != 0 {
		t.Errorf("before a heartbeat: nodes = %q, want none", got)
	}
	beat(t, a, "a")
	beat(t, b, "b")
	if got := living(); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("nodes = %q, want a and b", got)
	}
	c.Pass(backplane.Lease / 2)
	beat(t, a, "a")
	c.Pass(backplane.Lease/2 + time.Second)
	if got := living(); !slices.Equal(got, []string{"a"}) {
		t.Errorf("after b's lease: nodes = %q, want a", got)
	}
}

func add(t *testing.T, n backplane.Backplane, key string, count int64, window time.Duration) (int64, time.Duration) {
	t.Helper()
	total, left, err := n.Add(t.Context(), key, count, window)
	if err != nil {
		t.Fatalf("add: %v", err)
	}
	return total, left
}

func countersAcross(t *testing.T, c Cluster) {
	a, _ := node(t, c, "a")
	b, _ := node(t, c, "b")
	if total, left := add(t, a, "k", 0, time.Minute); total != 0 || left != 0 {
		t.Errorf("a read of nothing = %d, %v, want 0, 0", total, left)
	}
	add(t, a, "k", 2, time.Minute)
	add(t, a, "k2", 9, time.Minute)
	total, left := add(t, b, "k", 3, time.Minute)
	if total != 5 {
		t.Errorf("total = %d, want 5", total)
	}
	if left <= 0 || left > time.Minute {
		t.Errorf("left = %v, want within the minute", left)
	}
	if total, _ := add(t, a, "k", 0, time.Minute); total != 5 {
		t.Errorf("a read = %d, want 5", total)
	}
}

func countersWindow(t *testing.T, c Cluster) {
	a, _ := node(t, c, "a")
	const window = 2 * time.Second
	add(t, a, "k", 1, window)
	c.Pass(window / 2)
	if total, left := add(t, a, "k", 1, window); total != 2 || left > window/2 {
		t.Errorf("in the window: %d, %v left, want 2 and at most %v: a later Add must not stretch it", total, left, window/2)
	}
	c.Pass(window/2 + 100*time.Millisecond)
	if total, _ := add(t, a, "k", 0, window); total != 0 {
		t.Errorf("after the window: %d, want 0", total)
	}
	if total, _ := add(t, a, "k", 1, window); total != 1 {
		t.Errorf("in the next window: %d, want 1", total)
	}
}

func countersReset(t *testing.T, c Cluster) {
	a, _ := node(t, c, "a")
	b, _ := node(t, c, "b")
	add(t, a, "k", 4, time.Minute)
	if err := b.Reset(t.Context(), "k"); err != nil {
		t.Fatalf("reset: %v", err)
	}
	if err := b.Reset(t.Context(), "never"); err != nil {
		t.Fatalf("reset of nothing: %v", err)
	}
	if total, _ := add(t, a, "k", 1, time.Minute); total != 1 {
		t.Errorf("after a reset: %d, want 1", total)
	}
}

func countersConcurrent(t *testing.T, c Cluster) {
	const adders, each = 8, 50
	a, _ := node(t, c, "a")
	b, _ := node(t, c, "b")
	var wg sync.WaitGroup
	var mu sync.Mutex
	seen := map[int64]bool{}
	for i := range adders {
		n := []backplane.Backplane{a, b}[i%2]
		wg.Go(func() {
			for range each {
				total, _, err := n.Add(t.Context(), "k", 1, time.Minute)
				if err != nil {
					t.Errorf("add: %v", err)
					return
				}
				mu.Lock()
				if seen[total] {
					t.Errorf("total %d was answered twice", total)
				}
				seen[total] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(seen) != adders*each {
		t.Errorf("totals = %d, want %d", len(seen), adders*each)
	}
}

func closeNode(t *testing.T, c Cluster) {
	a, recorderA := node(t, c, "a")
	b, recorderB := node(t, c, "b")
	beat(t, b, "b")
	setPresence(t, b, "s", "u", 1)
	join(t, a, channel)
	join(t, b, channel)
	for range 2 {
		if err := b.Close(); err != nil {
			t.Fatalf("close: %v", err)
		}
	}
	announce(t, a, channel, "1")
	recorderA.waitEvents(t, channel, 1)
	if err := a.Tell(t.Context(), backplane.Command{Kind: backplane.SessionChanged}); err != nil {
		t.Fatalf("tell: %v", err)
	}
	wantOnline(t, a, "s", []string{"u"}, false)
	if list, err := a.Nodes(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("nodes = %v, %v, want none", list, err)
	}
	// A node of that name that starts again is a new one.
	again, recorderAgain := node(t, c, "b")
	join(t, again, channel)
	announce(t, a, channel, "2")
	recorderAgain.waitEvents(t, channel, 1)
	if got := recorderB.allEvents(); len(got) != 0 || len(recorderB.commands) != 0 {
		t.Errorf("a closed node got %q and %d commands", got, len(recorderB.commands))
	}
}

func closedRefuses(t *testing.T, c Cluster) {
	a, _ := node(t, c, "a")
	if err := a.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	ctx := t.Context()
	for name, err := range map[string]error{
		"announce": await(t, "announce", func(done func(error)) { a.Announce(&backplane.Copy{Channel: channel}, false, done) }),
		"settle":   await(t, "settle", func(done func(error)) { a.Settle(&backplane.Note{Channel: channel}, done) }),
		"join":     await(t, "join", func(done func(error)) { a.Join(channel, done) }),
		"fence":    await(t, "fence", func(done func(error)) { a.Fence(channel, done) }),
		"tell":     a.Tell(ctx, backplane.Command{Kind: backplane.SessionChanged}),
		"presence": a.SetPresence(ctx, "s", "u", 1),
		"beat":     a.Heartbeat(ctx, backplane.Node{ID: "a"}),
		"online":   second(a.Online(ctx, "s", []string{"u"})),
		"nodes":    second(a.Nodes(ctx)),
		"reset":    a.Reset(ctx, "k"),
		"claim":    second(a.Claim(ctx, "k", "v", time.Second)),
		"holder":   second(a.Holder(ctx, "k")),
		"release":  a.Release(ctx, "k", "v"),
		"add": func() error {
			_, _, err := a.Add(ctx, "k", 1, time.Second)
			return err
		}(),
	} {
		if !errors.Is(err, backplane.ErrUnavailable) {
			t.Errorf("%s on a closed node: %v, want ErrUnavailable", name, err)
		}
	}
	a.Leave(channel)
	a.SendHeads([]backplane.Heads{{Channel: channel}})
}

func second[T any](_ T, err error) error { return err }
