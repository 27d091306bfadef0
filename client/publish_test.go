package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fastport/fastport/protocol"
)

func TestPublish_ReturnsOnceAckedAndNotBefore(t *testing.T) {
	p := newPeer(t)
	c, k := connect(t, p, nil)
	done := make(chan error, 1)
	go func() { done <- c.Publish(testContext(t), "t", []byte("hello")) }()
	f := k.expect(protocol.TypePublish)
	if text := opened(t, f); text != "hello" || f.Retry || f.QoS != 1 {
		t.Errorf("got %q retry %v qos %d, want hello, first, 1", text, f.Retry, f.QoS)
	}
	k.send(protocol.ServerFrame{Type: protocol.TypePublishResponse, Success: true, Topic: f.Topic, MessageID: f.MessageID})
	k.send(protocol.ServerFrame{Type: protocol.TypeAckReceived, Topic: []byte("another"), MessageID: f.MessageID})
	k.taken(c)
	select {
	case err := <-done:
		t.Fatalf("Publish = %v before its ack", err)
	default:
	}
	k.ack(f)
	if err := receive(t, done); err != nil {
		t.Errorf("Publish = %v", err)
	}
}

func TestPublish_IsPipelinedInTheOrderOfCalls(t *testing.T) {
	p := newPeer(t)
	c, k := connect(t, p, nil)
	var receipts []*Receipt
	for i := range 500 {
		r, err := c.PublishAsync(testContext(t), "t", fmt.Append(nil, i))
		if err != nil {
			t.Fatal(err)
		}
		receipts = append(receipts, r)
	}
	var frames []peerFrame
	for i := range 500 { // all of them before any ack
		f := k.expect(protocol.TypePublish)
		if text := opened(t, f); text != fmt.Sprint(i) || string(f.MessageID) != receipts[i].MessageID() {
			t.Fatalf("publish %d is %q", i, text)
		}
		frames = append(frames, f)
	}
	for _, f := range frames {
		k.ack(f)
	}
	for i, r := range receipts {
		<-r.Done()
		if r.Err() != nil {
			t.Fatalf("publish %d: %v", i, r.Err())
		}
	}
}

func TestPublish_GoesOutAgainAfterALostConnectionFlaggedAndFresh(t *testing.T) {
	p := newPeer(t)
	c, k := connect(t, p, nil)
	var receipts []*Receipt
	publish := func(n int) {
		r, err := c.PublishAsync(testContext(t), "t", fmt.Append(nil, n))
		if err != nil {
			t.Fatal(err)
		}
		receipts = append(receipts, r)
	}
	var first []peerFrame
	for i := range 10 {
		publish(i)
		first = append(first, k.expect(protocol.TypePublish))
	}
	k.nc.Close()
	k = p.accept()
	publish(10)
	k.logIn()
	for i := range 11 {
		f := k.expect(protocol.TypePublish)
		if text, retry := opened(t, f), i < 10; text != fmt.Sprint(i) || f.Retry != retry {
			t.Errorf("%d: %q retry %v, want retry %v", i, text, f.Retry, retry)
		}
		if i < 10 && (string(f.MessageID) != string(first[i].MessageID) || string(f.Data) == string(first[i].Data) || f.Timestamp < first[i].Timestamp) {
			t.Errorf("%d: want the same id, sealed anew", i)
		}
		k.ack(f)
	}
	for _, r := range receipts {
		<-r.Done()
		if r.Err() != nil {
			t.Error(r.Err())
		}
	}
}

func TestPublish_TriesAgainWhatIsUnavailableOrUnanswered(t *testing.T) {
	p := newPeer(t)
	c, k := connect(t, p, func(o *Options) { o.AckTimeout = 30 * time.Millisecond })
	r, _ := c.PublishAsync(testContext(t), "t", []byte("x"))
	f := k.expect(protocol.TypePublish)
	k.send(protocol.ServerFrame{
		Type: protocol.TypePublishResponse, Topic: f.Topic, MessageID: f.MessageID, Code: protocol.Unavailable, Text: "later", Retryable: true,
	})
	if f = k.expect(protocol.TypePublish); !f.Retry {
		t.Error("sent again without the flag")
	}
	if f = k.expect(protocol.TypePublish); !f.Retry { // unanswered
		t.Error("sent again without the flag")
	}
	k.ack(f)
	<-r.Done()
	if r.Err() != nil {
		t.Error(r.Err())
	}
}

func TestPublish_ReturnsARefusal(t *testing.T) {
	p := newPeer(t)
	c, k := connect(t, p, nil)
	for _, typ := range []protocol.Type{protocol.TypePublishResponse, protocol.TypeError} {
		r, _ := c.PublishAsync(testContext(t), "t", []byte("x"))
		f := k.expect(protocol.TypePublish)
		k.send(protocol.ServerFrame{Type: typ, Topic: f.Topic, MessageID: f.MessageID, Code: protocol.QuotaExceeded, Text: "full"})
		<-r.Done()
		if !IsCode(r.Err(), protocol.QuotaExceeded) {
			t.Errorf("%v: Publish = %v, want %v", typ, r.Err(), protocol.QuotaExceeded)
		}
	}
}

func TestPublish_RefusesByItselfWhatTheServerWould(t *testing.T) {
	p := newPeer(t)
	p.limits.MaxPayload = 10_000
	c, _ := connect(t, p, nil)
	for _, err := range []error{
		c.Publish(testContext(t), "", nil),
		c.Publish(testContext(t), "a\nb", nil),
		c.Publish(testContext(t), "t", nil, WithMessageID(strings.Repeat("x", 65))),
	} {
		if !IsCode(err, protocol.BadRequest) {
			t.Errorf("Publish = %v, want %v", err, protocol.BadRequest)
		}
	}
	if err := c.Publish(testContext(t), "t", make([]byte, 9_000)); !IsCode(err, protocol.TooLarge) {
		t.Errorf("Publish = %v, want %v", err, protocol.TooLarge)
	}
}

func TestPublish_QueuesABoundedNumberWhileTheConnectionIsDown(t *testing.T) {
	p := newPeer(t)
	c, k := connect(t, p, func(o *Options) { o.QueueSize = 3; o.BackoffMin, o.BackoffMax = time.Hour, time.Hour })
	k.nc.Close()
	until(t, func() bool { return c.current() == nil })
	for range 3 {
		if _, err := c.PublishAsync(testContext(t), "t", nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Publish(testContext(t), "t", nil); !errors.Is(err, ErrQueueFull) {
		t.Errorf("Publish = %v, want %v", err, ErrQueueFull)
	}
}

func TestPublish_WaitsForRoomWhileTheConnectionIsUp(t *testing.T) {
	p := newPeer(t)
	c, k := connect(t, p, func(o *Options) { o.QueueBytes = 10; o.BackoffMin, o.BackoffMax = time.Hour, time.Hour })
	if _, err := c.PublishAsync(testContext(t), "t", make([]byte, 1000)); err != nil { // larger than the queue: alone
		t.Fatal(err)
	}
	f := k.expect(protocol.TypePublish)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if err := c.Publish(ctx, "t", []byte("x")); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Publish = %v, want to wait", err)
	}
	done := make(chan error, 2)
	go func() { done <- c.Publish(testContext(t), "t", []byte("x")) }()
	k.ack(f)
	k.ack(k.expect(protocol.TypePublish))
	if err := receive(t, done); err != nil {
		t.Fatal(err)
	}

	if _, err := c.PublishAsync(testContext(t), "t", make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	k.expect(protocol.TypePublish)
	go func() { done <- c.Publish(testContext(t), "t", []byte("x")) }()
	k.nc.Close()
	if err := receive(t, done); !errors.Is(err, ErrQueueFull) {
		t.Errorf("Publish = %v as the connection went down, want %v", err, ErrQueueFull)
	}
}

func TestPublish_EndsWithItsContext(t *testing.T) {
	p := newPeer(t)
	c, k := connect(t, p, nil)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- c.Publish(ctx, "t", []byte("x")) }()
	k.expect(protocol.TypePublish)
	cancel()
	if err := receive(t, done); !errors.Is(err, context.Canceled) {
		t.Errorf("Publish = %v, want %v", err, context.Canceled)
	}
	k.nc.Close()
	k = p.welcome()
	go c.Publish(testContext(t), "t", []byte("next"))
	if f := k.expect(protocol.TypePublish); opened(t, f) != "next" {
		t.Error("what was given up went out again")
	}
}

func TestPublish_AtMostOnceIsNeverSentAgain(t *testing.T) {
	p := newPeer(t)
	c, k := connect(t, p, nil)
	r, _ := c.PublishAsync(testContext(t), "t", []byte("once"), AtMostOnce())
	if f := k.expect(protocol.TypePublish); f.QoS != 0 {
		t.Errorf("qos = %d, want 0", f.QoS)
	}
	k.nc.Close()
	<-r.Done()
	if !errors.Is(r.Err(), ErrLost) {
		t.Errorf("Publish = %v, want %v", r.Err(), ErrLost)
	}
	k = p.welcome()
	go c.Publish(testContext(t), "t", []byte("next"))
	if f := k.expect(protocol.TypePublish); opened(t, f) != "next" {
		t.Error("it went out again")
	}
}

func TestPublish_RefusesAnIdThatIsUnderWay(t *testing.T) {
	p := newPeer(t)
	c, k := connect(t, p, nil)
	ctx := testContext(t)
	r, _ := c.PublishAsync(ctx, "t", nil, WithMessageID("m"))
	if _, err := c.PublishAsync(ctx, "t", nil, WithMessageID("m")); !errors.Is(err, ErrDuplicate) {
		t.Errorf("PublishAsync = %v, want %v", err, ErrDuplicate)
	}
	if _, err := c.PublishAsync(ctx, "other", nil, WithMessageID("m")); err != nil {
		t.Errorf("on another topic: %v", err)
	}
	k.ack(k.expect(protocol.TypePublish))
	<-r.Done()
	if _, err := c.PublishAsync(ctx, "t", nil, WithMessageID("m")); err != nil {
		t.Errorf("after its ack: %v", err)
	}
}

func TestPublish_InSuite1HasAHash(t *testing.T) {
	p := newPeer(t)
	c, k := connect(t, p, func(o *Options) { o.Suite = 1 })
	go c.Publish(testContext(t), "t", []byte("old"))
	f := k.expect(protocol.TypePublish)
	text, err := c.o.Keys.OpenLegacy(f.Data, string(f.Hash))
	if err != nil || string(text) != "old" {
		t.Errorf("OpenLegacy = %q, %v, want old", text, err)
	}
}
