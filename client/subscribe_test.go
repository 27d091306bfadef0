package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/fastport/fastport/client/e2ee"
	"github.com/fastport/fastport/protocol"
)

// subscribed is a client with a handler on topic a.
func subscribed(t *testing.T, change func(*Options), h Handler) (*peer, *Client, *peerConn) {
	t.Helper()
	p := newPeer(t)
	c, k := connect(t, p, change)
	p.wg.Go(func() { k.subscribe("a") })
	if err := c.Subscribe(testContext(t), "a", h); err != nil {
		t.Fatal(err)
	}
	return p, c, k
}

func TestSubscribe_AcksWhatTheHandlerTookAndNothingElse(t *testing.T) {
	got := make(chan Message, 10)
	fail := errors.New("not now")
	log := newErrorLog()
	_, _, k := subscribed(t, func(o *Options) { o.OnError = log.add }, func(_ context.Context, m Message) error {
		got <- m
		if m.ID == "bad" && m.Retry == 0 {
			return fail
		}
		return nil
	})
	bad := sealed(t, rootKey(t), "a", "bad", "x")
	k.send(bad)
	k.send(sealed(t, rootKey(t), "a", "good", "y"))
	if ids := k.acks(1); ids[0] != "good" {
		t.Fatalf("acked %v, want good alone", ids)
	}
	log.wait(t, func(err error) bool { return errors.Is(err, fail) })
	bad.Retry = 1
	k.send(bad) // the server's retry is handed over again
	if ids := k.acks(1); ids[0] != "bad" {
		t.Fatalf("acked %v, want bad", ids)
	}
	if n := len(got); n != 3 {
		t.Errorf("%d calls, want 3", n)
	}
}

func TestSubscribe_DoesNotAckBeforeTheHandlerReturns(t *testing.T) {
	entered, release := make(chan struct{}, 2), make(chan struct{})
	_, c, k := subscribed(t, nil, func(context.Context, Message) error {
		entered <- struct{}{}
		<-release
		return nil
	})
	// Each time sealed anew, as by a publisher that sends again: only the id tells that it is the same.
	repeat := func() {
		m := sealed(t, rootKey(t), "a", "1", "x")
		m.Retry = 1
		k.send(m)
	}
	k.send(sealed(t, rootKey(t), "a", "1", "x"))
	<-entered
	repeat() // of what is in hand
	k.taken(c)
	select {
	case f := <-k.frames:
		t.Fatalf("got %s before the handler returned", f.raw)
	default:
	}
	close(release)
	k.acks(1)
	repeat() // of what was acked
	if ids := k.acks(1); ids[0] != "1" {
		t.Fatalf("acked %v, want 1 again", ids)
	}
	k.send(sealed(t, rootKey(t), "a", "2", "x"))
	if ids := k.acks(1); ids[0] != "2" {
		t.Fatalf("acked %v, want 2", ids)
	}
	if n := len(entered); n != 1 {
		t.Errorf("handed over %d more, want 2 alone", n)
	}
}

func TestSubscribe_HandsOverInOrderAndAcksInBatches(t *testing.T) {
	release := make(chan struct{})
	var order []string
	_, _, k := subscribed(t, nil, func(_ context.Context, m Message) error {
		<-release
		order = append(order, m.ID)
		return nil
	})
	var want []string
	for i := range 1000 {
		id := fmt.Sprint(i)
		want = append(want, id)
		k.send(sealed(t, rootKey(t), "a", id, "x"))
	}
	close(release)
	ids := k.acks(1000)
	slices.Sort(ids)
	sorted := slices.Sorted(slices.Values(want))
	if !slices.Equal(order, want) || !slices.Equal(ids, sorted) {
		t.Error("not handed over in order, or not acked once each")
	}
}

func TestSubscribe_LeavesAnUnknownKeyUnackedAndAcksWhatCannotBeRight(t *testing.T) {
	got := make(chan Message, 10)
	log := newErrorLog()
	_, _, k := subscribed(t, func(o *Options) { o.OnError = log.add }, collect(got))
	k.send(sealed(t, e2ee.NewKey(), "a", "unknown", "x"))
	forged := sealed(t, rootKey(t), "a", "forged", "x")
	forged.Timestamp++
	k.send(forged)
	malformed := sealed(t, rootKey(t), "a", "malformed", "x")
	malformed.Data = []byte("2.x")
	k.send(malformed)
	legacy := sealed(t, rootKey(t), "a", "legacy", "x")
	legacy.Data = []byte("AAAA:AAAA")
	k.send(legacy)
	k.send(sealed(t, rootKey(t), "a", "good", "x"))
	if ids := k.acks(4); !slices.Equal(ids, []string{"forged", "malformed", "legacy", "good"}) {
		t.Errorf("acked %v, want all but the unknown key's", ids)
	}
	if m := receive(t, got); m.ID != "good" || len(got) != 0 {
		t.Errorf("handed over %s and %d more, want good alone", m.ID, len(got))
	}
	for id, want := range map[string]error{"forged": e2ee.ErrAuthentication, "malformed": e2ee.ErrMalformed, "legacy": ErrLegacy} {
		log.wait(t, func(err error) bool {
			var m *MessageError
			return errors.As(err, &m) && m.MessageID == id && errors.Is(err, want)
		})
	}
	log.wait(t, func(err error) bool { var u *e2ee.UnknownKeyError; return errors.As(err, &u) })
}

func TestSubscribe_LegacyIsAckedWhateverBecomesOfIt(t *testing.T) {
	entered, release := make(chan string, 10), make(chan struct{})
	_, c, k := subscribed(t, func(o *Options) { o.AllowLegacy = true }, func(_ context.Context, m Message) error {
		entered <- m.ID
		<-release
		if !m.Legacy {
			t.Errorf("%s is not marked as legacy", m.ID)
		}
		return errors.New("the handler fails")
	})
	defer close(release)
	frame := func(id string, change func(*protocol.ServerFrame)) protocol.ServerFrame {
		f := sealed(t, rootKey(t), "a", id, "x")
		var err error
		if f.Data, err = c.o.Keys.SealLegacy([]byte("x")); err != nil {
			t.Fatal(err)
		}
		f.Hash = []byte(e2ee.Hash(f.Data))
		change(&f)
		return f
	}
	k.send(frame("bad padding", func(f *protocol.ServerFrame) {
		f.Data = []byte("AAAAAAAAAAAAAAAAAAAAAA==:AAAAAAAAAAAAAAAAAAAAAA==")
		f.Hash = []byte(e2ee.Hash(f.Data))
	}))
	k.send(frame("bad hash", func(f *protocol.ServerFrame) { f.Hash = []byte(e2ee.Hash(nil)) }))
	k.send(frame("opens", func(*protocol.ServerFrame) {}))
	// All three are acked while the handler of the one that opens is still at work, and it will fail.
	if ids := k.acks(3); !slices.Equal(ids, []string{"bad padding", "bad hash", "opens"}) {
		t.Errorf("acked %v", ids)
	}
	if id := receive(t, entered); id != "opens" {
		t.Errorf("handed over %s, want opens", id)
	}
}

func TestSubscribe_RefusesAReplayThatDedupeHasForgotten(t *testing.T) {
	got := make(chan Message, 10)
	log := newErrorLog()
	_, _, k := subscribed(t, func(o *Options) { o.DedupeSize = 1; o.OnError = log.add }, collect(got))
	old := sealed(t, rootKey(t), "a", "old", "x")
	k.send(old)
	k.send(sealed(t, rootKey(t), "a", "new", "x"))
	k.acks(2)
	k.send(old)
	if ids := k.acks(1); ids[0] != "old" {
		t.Errorf("acked %v, want old", ids)
	}
	if len(got) != 2 {
		t.Errorf("handed over %d, want 2", len(got))
	}
	log.wait(t, func(err error) bool { return errors.Is(err, e2ee.ErrReplay) })
}

func TestSubscribe_GetsWhatCameBeforeTheHandler(t *testing.T) {
	p := newPeer(t)
	c, k := connect(t, p, func(o *Options) { o.ClientID = "me" }, "a")
	for i := range 100 {
		k.send(sealed(t, rootKey(t), "a", fmt.Sprint(i), "x"))
	}
	k.send(sealed(t, rootKey(t), "not held", "x", "x"))
	k.taken(c)
	if n := c.inHand(); n != 100 {
		t.Fatalf("%d in hand, want 100", n)
	}
	got := make(chan Message, 200)
	p.wg.Go(func() { k.subscribe("a") })
	if err := c.Subscribe(testContext(t), "a", collect(got)); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		if m := receive(t, got); m.ID != fmt.Sprint(i) {
			t.Fatalf("got %s, want %d", m.ID, i)
		}
	}
	k.acks(100)
	if n := c.inHand(); n != 0 {
		t.Errorf("%d in hand, want 0", n)
	}
}

func TestSubscribe_ReturnsTheServersRefusalAndMayBeTriedAgain(t *testing.T) {
	p := newPeer(t)
	c, k := connect(t, p, nil)
	p.wg.Go(func() {
		k.expect(protocol.TypeSubscribe)
		k.send(protocol.ServerFrame{Type: protocol.TypeSubscribeResponse, Topic: []byte("a"), Code: protocol.QuotaExceeded, Text: "no"})
		k.subscribe("a")
	})
	if err := c.Subscribe(testContext(t), "a", collect(nil)); !IsCode(err, protocol.QuotaExceeded) {
		t.Fatalf("Subscribe = %v, want %v", err, protocol.QuotaExceeded)
	}
	if err := c.Subscribe(testContext(t), "a", collect(nil)); err != nil {
		t.Fatal(err)
	}
	if err := c.Subscribe(testContext(t), "a", collect(nil)); !errors.Is(err, ErrSubscribed) {
		t.Errorf("Subscribe = %v, want %v", err, ErrSubscribed)
	}
}

func TestSubscribe_GivenUpIsTakenBack(t *testing.T) {
	p := newPeer(t)
	c, k := connect(t, p, nil)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- c.Subscribe(ctx, "a", collect(nil)) }()
	k.expect(protocol.TypeSubscribe)
	cancel()
	if err := receive(t, done); !errors.Is(err, context.Canceled) {
		t.Errorf("Subscribe = %v, want %v", err, context.Canceled)
	}
	k.expect(protocol.TypeUnsubscribe)
}

func TestUnsubscribe_StopsTheHandlerAndTellsTheServer(t *testing.T) {
	got := make(chan Message, 10)
	p, c, old := subscribed(t, nil, collect(got))
	p.wg.Go(func() {
		old.expect(protocol.TypeUnsubscribe)
		old.send(sealed(t, rootKey(t), "a", "late", "x"))
		old.send(protocol.ServerFrame{Type: protocol.TypeUnsubscribeResponse, Success: true, Topic: []byte("a")})
		old.nc.Close()
	})
	if err := c.Unsubscribe(testContext(t), "a"); err != nil {
		t.Fatal(err)
	}
	k := p.welcome()
	go c.Publish(testContext(t), "t", nil)
	k.expect(protocol.TypePublish) // and no subscribe to a before it
	if len(got) != 0 {
		t.Error("a message was handed over after Unsubscribe")
	}
}

func TestSubscribe_HoldsABoundedNumberInHand(t *testing.T) {
	entered, release := make(chan struct{}, 1), make(chan struct{})
	_, c, k := subscribed(t, nil, func(context.Context, Message) error {
		select {
		case entered <- struct{}{}:
		default:
		}
		<-release
		return nil
	})
	for i := range maxInHand + 100 {
		k.send(sealed(t, rootKey(t), "a", fmt.Sprint(i), "x"))
	}
	<-entered
	k.taken(c)
	close(release)
	// Those beyond are neither handed over nor acked; sent again, they are.
	k.acks(maxInHand)
	k.send(sealed(t, rootKey(t), "a", fmt.Sprint(maxInHand+99), "x"))
	k.acks(1)
	if n := c.inHand(); n != 0 {
		t.Errorf("%d in hand, want 0", n)
	}
}

func (c *Client) inHand() int {
	c.subs.mu.Lock()
	defer c.subs.mu.Unlock()
	return c.subs.count
}
