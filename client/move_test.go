package client

import (
	"context"
	"errors"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/fastport/fastport/protocol"
)

// message is what a device publishes for others.
func (k *peerConn) message(id string) {
	k.p.t.Helper()
	k.send(sealed(k.p.t, rootKey(k.p.t), "a", id, id))
}

func (k *peerConn) askToMove() {
	k.send(protocol.ServerFrame{Type: protocol.TypeReconnect, AfterMs: 1, Reason: "test"})
}

// moving is a client in the midst of a move, subscribed to a over both connections.
func moving(t *testing.T, h Handler, change func(*Options)) (p *peer, c *Client, old, next *peerConn) {
	t.Helper()
	p, c, old = subscribed(t, change, h)
	old.askToMove()
	next = p.welcome()
	next.subscribe("a")
	return p, c, old, next
}

func TestMove_OrderHoldsThoughTheOldNodeIsBehind(t *testing.T) {
	for name, user := range map[string]string{"ephemeral": "", "user": "ann"} {
		t.Run(name, func(t *testing.T) {
			got := make(chan Message, 10)
			_, c, old, next := moving(t, collect(got), func(o *Options) { o.UserID = user })
			next.message("2")
			next.message("3")
			next.taken(c)
			old.message("1")
			old.message("2")
			for _, want := range []string{"1", "2", "3"} {
				if m := receive(t, got); m.ID != want {
					t.Fatalf("got %s, want %s", m.ID, want)
				}
			}
			if old.next(); len(got) != 0 { // acks or the goodbye
				t.Errorf("%v came again", receive(t, got))
			}
		})
	}
}

func TestMove_AcksGoOverBothConnections(t *testing.T) {
	got := make(chan Message, 10)
	_, _, old, next := moving(t, collect(got), nil)
	old.message("1")
	next.message("1")
	receive(t, got)
	for _, k := range []*peerConn{old, next} {
		if ids := k.acks(1); ids[0] != "1" {
			t.Errorf("acks = %v, want 1", ids)
		}
	}
}

func TestMove_WhatItPublishesOverOneDoesNotComeBackOverTheOther(t *testing.T) {
	got := make(chan Message, 10)
	_, c, old, next := moving(t, collect(got), nil)
	r, err := c.PublishAsync(testContext(t), "a", []byte("mine"))
	if err != nil {
		t.Fatal(err)
	}
	f := next.expect(protocol.TypePublish)
	next.ack(f)
	<-r.Done()
	old.message(string(f.MessageID))
	old.message("another's")
	if m := receive(t, got); m.ID != "another's" {
		t.Errorf("got %q", m.Payload)
	}
	if ids := old.acks(2); !slices.Contains(ids, string(f.MessageID)) { // else it would be sent again and again
		t.Errorf("acks = %v", ids)
	}
}

func TestMove_WaitsForTheAnswersToWhatIsOut(t *testing.T) {
	p := newPeer(t)
	c, old := connect(t, p, func(o *Options) { o.ClientID = "me" })
	ctx := testContext(t)
	first, err := c.PublishAsync(ctx, "a", nil)
	if err != nil {
		t.Fatal(err)
	}
	f := old.expect(protocol.TypePublish)
	old.askToMove()
	until(t, func() bool { return c.pausing() })
	second, err := c.PublishAsync(ctx, "a", nil)
	if err != nil {
		t.Fatal(err)
	}
	old.ack(f)
	next := p.welcome()
	g := next.expect(protocol.TypePublish)
	if string(g.MessageID) != second.MessageID() || g.Retry {
		t.Errorf("got %s, want what was published since, for the first time", g.raw)
	}
	next.ack(g)
	for _, r := range []*Receipt{first, second} {
		if <-r.Done(); r.Err() != nil {
			t.Error(r.Err())
		}
	}
}

// pausing reports whether publishes wait for a move.
func (c *Client) pausing() bool {
	k := c.current()
	k.feeding.Lock()
	defer k.feeding.Unlock()
	return k.paused
}

func TestMove_SendsAgainWhatTheOldNodeDoesNotAnswer(t *testing.T) {
	p := newPeer(t)
	c, old := connect(t, p, func(o *Options) { o.ClientID = "me" })
	r, err := c.PublishAsync(testContext(t), "a", nil)
	if err != nil {
		t.Fatal(err)
	}
	old.expect(protocol.TypePublish)
	old.askToMove()
	next := p.welcome()
	g := next.expect(protocol.TypePublish)
	if string(g.MessageID) != r.MessageID() || !g.Retry {
		t.Errorf("got %s, want the same, flagged", g.raw)
	}
}

func TestMove_APublisherThatWaitsForRoomIsNotRefused(t *testing.T) {
	p := newPeer(t)
	c, old := connect(t, p, func(o *Options) { o.ClientID, o.QueueSize = "me", 1 })
	ctx := testContext(t)
	if _, err := c.PublishAsync(ctx, "a", nil); err != nil {
		t.Fatal(err)
	}
	old.expect(protocol.TypePublish)
	waited := make(chan error, 1)
	go func() {
		_, err := c.PublishAsync(ctx, "a", nil)
		waited <- err
	}()
	old.askToMove()
	k := p.accept()
	old.close(protocol.CloseTakenOver)
	old.gone()
	k.logIn()
	k.ack(k.expect(protocol.TypePublish))
	if err := receive(t, waited); err != nil {
		t.Error(err)
	}
}

func TestMove_RefusedLeavesTheOldConnectionAsItWas(t *testing.T) {
	p := newPeer(t)
	c, old := connect(t, p, func(o *Options) { o.ClientID = "me" })
	old.askToMove()
	k := p.accept()
	k.send(protocol.ServerFrame{Type: protocol.TypeInitResponse, Code: protocol.RateLimited}) // before anything was taken over
	until(t, func() bool { return !c.pausing() })
	r, err := c.PublishAsync(testContext(t), "a", nil)
	if err != nil {
		t.Fatal(err)
	}
	old.ack(old.expect(protocol.TypePublish))
	<-r.Done()
	// Nobody of its own has taken it over, so this is another.
	old.close(protocol.CloseTakenOver)
	<-c.Done()
	if !errors.Is(c.Err(), ErrTakenOver) {
		t.Errorf("Err = %v, want %v", c.Err(), ErrTakenOver)
	}
}

func TestMove_IsTold(t *testing.T) {
	told := make(chan string, 10)
	_, c, _, _ := moving(t, collect(make(chan Message, 1)), func(o *Options) {
		o.OnMove = func() { told <- "moved" }
		o.OnState = func(up bool) {
			if !up {
				told <- "lost"
			}
		}
	})
	if got := receive(t, told); got != "moved" {
		t.Errorf("told %q, want moved", got)
	}
	if c.Err() != nil {
		t.Error(c.Err())
	}
}

func TestURLs_TheNextOneHasItsTurnWhereOneFails(t *testing.T) {
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead.Close()
	one, two := newPeer(t), newPeer(t)
	c, k := connectTo(t, one, two, "ws://"+dead.Addr().String())
	first := k.p
	other := two
	if first == two {
		other = one
	}
	for _, code := range []protocol.CloseCode{protocol.CloseDraining, protocol.CloseGoingAway} {
		k.close(code)
		k = other.welcome()
		first, other = other, first
	}
	k.askToMove()
	other.welcome()
	if err := c.Err(); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	o := c.o
	o.URL, o.URLs, o.Wait = "", []string{"ws://" + dead.Addr().String(), "ws://" + dead.Addr().String()}, false
	if _, err := Connect(ctx, o); err == nil || ctx.Err() != nil {
		t.Errorf("Connect = %v, want a failure once each has had its turn", err)
	}
}

// connectTo connects to whichever of several servers takes it first.
func connectTo(t *testing.T, one, two *peer, more string) (*Client, *peerConn) {
	t.Helper()
	accepted := make(chan *peerConn, 1)
	go func() {
		var k *peerConn
		select {
		case k = <-one.conns:
		case k = <-two.conns:
		case <-time.After(patience):
			close(accepted)
			return
		}
		<-k.frames
		k.logIn()
		accepted <- k
	}()
	o := Options{
		URLs: []string{more, one.url(), two.url()}, SessionName: testSession, Password: "secret", AESKey: testKey,
		BackoffMin: time.Millisecond, BackoffMax: 20 * time.Millisecond,
	}
	c, err := Connect(testContext(t), o)
	if err != nil {
		t.Fatal(err)
	}
	closeAfter(t, c)
	return c, <-accepted
}
