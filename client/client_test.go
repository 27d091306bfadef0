package client

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/fastport/fastport/client/e2ee"
	"github.com/fastport/fastport/protocol"
)

func TestOptions_ReportEveryFaultAtOnce(t *testing.T) {
	_, err := Connect(context.Background(), Options{URL: "http://x", Suite: 3, QueueSize: -1})
	for _, want := range []string{"URL", "SessionName", "Password", "key", "Suite", "negative"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Connect = %v, which does not name %s", err, want)
		}
	}
	_, err = Connect(context.Background(), Options{
		URL: "ws://x", SessionName: "s", Password: "p", AESKey: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
	})
	if !errors.Is(err, e2ee.ErrWeakKey) {
		t.Errorf("Connect = %v, want %v", err, e2ee.ErrWeakKey)
	}
}

func TestConnect_FailsWithTheServersCode(t *testing.T) {
	p := newPeer(t)
	p.wg.Go(func() {
		k := <-p.conns
		<-k.frames
		k.send(protocol.ServerFrame{Type: protocol.TypeInitResponse, Code: protocol.Unauthorized, Text: "no"})
		k.close(protocol.CloseNotAuthenticated)
	})
	_, err := Connect(testContext(t), Options{URL: p.url(), SessionName: "s", Password: "p", AESKey: testKey, Wait: true})
	if !IsCode(err, protocol.Unauthorized) {
		t.Fatalf("Connect = %v, want %v", err, protocol.Unauthorized)
	}
}

func TestConnect_FailsOnAnotherKeysCheck(t *testing.T) {
	p := newPeer(t)
	p.keyCheck = e2ee.NewKey().KeyCheck(testSession)
	p.wg.Go(func() { k := <-p.conns; <-k.frames; k.logIn() })
	_, err := Connect(testContext(t), Options{URL: p.url(), SessionName: testSession, Password: "p", AESKey: testKey})
	if !IsCode(err, protocol.KeyMismatch) {
		t.Fatalf("Connect = %v, want %v", err, protocol.KeyMismatch)
	}
	p.keyCheck = rootKey(t).KeyCheck(testSession)
	connect(t, p, nil)
}

func TestConnect_RefusesAVersion1Server(t *testing.T) {
	p := newPeer(t)
	p.wg.Go(func() {
		k := <-p.conns
		<-k.frames
		k.send(protocol.ServerFrame{Type: protocol.TypeInitResponse, Success: true, Protocol: protocol.Version1})
	})
	_, err := Connect(testContext(t), Options{URL: p.url(), SessionName: testSession, Password: "p", AESKey: testKey})
	if !errors.Is(err, errVersion) {
		t.Fatalf("Connect = %v, want %v", err, errVersion)
	}
}

func TestConnect_WaitsForAServerThatComesLater(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := Options{
		URL: "ws://" + ln.Addr().String(), SessionName: testSession, Password: "p", AESKey: testKey,
		BackoffMin: time.Millisecond, BackoffMax: 10 * time.Millisecond,
	}
	ln.Close()
	if _, err := Connect(testContext(t), o); err == nil {
		t.Fatal("connected to nobody")
	}
	o.Wait = true
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := Connect(ctx, o); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Connect = %v, want %v", err, context.DeadlineExceeded)
	}
}

func TestClient_ConnectsAgainAndSubscribesAgain(t *testing.T) {
	p := newPeer(t)
	c, old := connect(t, p, nil)
	got := make(chan Message, 10)
	p.wg.Go(func() { old.subscribe("a"); old.nc.Close() })
	if err := c.Subscribe(testContext(t), "a", collect(got)); err != nil {
		t.Fatal(err)
	}
	k := p.welcome()
	k.subscribe("a")
	k.send(sealed(t, rootKey(t), "a", "1", "hello"))
	if m := receive(t, got); string(m.Payload) != "hello" {
		t.Errorf("payload = %q, want hello", m.Payload)
	}
}

func TestClient_ResumedDoesNotSubscribeAgainToWhatIsHeld(t *testing.T) {
	p := newPeer(t)
	c, old := connect(t, p, func(o *Options) { o.ClientID = "me" })
	p.wg.Go(func() { old.subscribe("a"); old.subscribe("b"); old.nc.Close() })
	ctx := testContext(t)
	if err := c.Subscribe(ctx, "a", collect(nil)); err != nil {
		t.Fatal(err)
	}
	if err := c.Subscribe(ctx, "b", collect(nil)); err != nil {
		t.Fatal(err)
	}
	k := p.welcome("a")
	k.subscribe("b")
	if _, err := c.PublishAsync(ctx, "x", nil); err != nil {
		t.Fatal(err)
	}
	k.expect(protocol.TypePublish) // and no subscribe to a before it
}

func TestClient_EndsWhereTryingAgainCannotHelp(t *testing.T) {
	for code, is := range map[protocol.CloseCode]func(error) bool{
		protocol.CloseTakenOver:        func(err error) bool { return errors.Is(err, ErrTakenOver) },
		protocol.CloseSessionGone:      func(err error) bool { return closedWith(err, protocol.CloseSessionGone) },
		protocol.CloseNotAuthenticated: func(err error) bool { return closedWith(err, protocol.CloseNotAuthenticated) },
	} {
		p := newPeer(t)
		c, k := connect(t, p, nil)
		r, err := c.PublishAsync(testContext(t), "t", nil)
		if err != nil {
			t.Fatal(err)
		}
		k.expect(protocol.TypePublish)
		k.close(code)
		<-c.Done()
		if !is(c.Err()) {
			t.Errorf("after %d: Err = %v", code, c.Err())
		}
		<-r.Done()
		if !is(r.Err()) {
			t.Errorf("after %d: a publish under way ended with %v", code, r.Err())
		}
		if err := c.Publish(testContext(t), "t", nil); !is(err) {
			t.Errorf("after %d: Publish = %v", code, err)
		}
		select {
		case <-p.conns:
			t.Errorf("connected again after %d", code)
		default:
		}
	}
}

func TestClient_ConnectsAgainAfterTheOtherCloses(t *testing.T) {
	p := newPeer(t)
	_, k := connect(t, p, nil)
	for _, code := range []protocol.CloseCode{protocol.CloseDraining, protocol.CloseGoingAway, protocol.CloseSlowConsumer} {
		k.close(code)
		k = p.welcome()
	}
}

func TestClient_OpensTheNewConnectionBeforeItLeavesTheOld(t *testing.T) {
	p := newPeer(t)
	states := make(chan bool, 10)
	c, old := connect(t, p, func(o *Options) { o.ClientID = "me"; o.OnState = func(up bool) { states <- up } })
	got := make(chan Message, 10)
	p.wg.Go(func() { old.subscribe("a") })
	if err := c.Subscribe(testContext(t), "a", collect(got)); err != nil {
		t.Fatal(err)
	}
	old.send(protocol.ServerFrame{Type: protocol.TypeReconnect, AfterMs: 1, Reason: "draining"})
	k := p.accept()
	// The old one works until the new one is there, and to be taken over by it is no end.
	old.send(sealed(t, rootKey(t), "a", "1", "over the old"))
	receive(t, got)
	old.acks(1)
	old.close(protocol.CloseTakenOver)
	k.logIn("a")
	k.send(sealed(t, rootKey(t), "a", "2", "over the new"))
	receive(t, got)
	k.acks(1)
	if err := c.Err(); err != nil {
		t.Fatalf("the client ended: %v", err)
	}
	if up := receive(t, states); !up || len(states) != 0 {
		t.Error("a change of connection was told as a loss")
	}
}

func TestClient_LeavesTheOldConnectionOnceSubscribedOnTheNew(t *testing.T) {
	p := newPeer(t)
	c, old := connect(t, p, nil)
	p.wg.Go(func() { old.subscribe("a") })
	if err := c.Subscribe(testContext(t), "a", collect(make(chan Message, 1))); err != nil {
		t.Fatal(err)
	}
	old.send(protocol.ServerFrame{Type: protocol.TypeReconnect})
	k := p.welcome()
	if f := k.expect(protocol.TypeSubscribe); string(f.Topic) != "a" {
		t.Fatalf("subscribe to %s, want a", f.Topic)
	}
	select {
	case f := <-old.frames:
		t.Fatalf("the old connection got %q (closed: %d) before the new one was subscribed", f.raw, f.close)
	case <-time.After(20 * time.Millisecond): // what comes later than that is missed, never invented
	}
	k.send(protocol.ServerFrame{Type: protocol.TypeSubscribeResponse, Success: true, Topic: []byte("a")})
	if f := old.next(); f.close != protocol.CloseNormal {
		t.Fatalf("got %q, want a close", f.raw)
	}
}

func TestClient_TakenOverByItsOwnConnectionGoesOn(t *testing.T) {
	p := newPeer(t)
	_, old := connect(t, p, func(o *Options) { o.ClientID = "me" })
	old.send(protocol.ServerFrame{Type: protocol.TypeReconnect})
	k := p.accept()
	old.close(protocol.CloseTakenOver)
	old.gone()
	k.nc.Close() // its login is lost
	p.welcome()
}

// TestClient_TakenOverByItsOwnFailedLoginGoesOn: a server closes the old connection before it asks the store for what the new
// one holds, and the store may be away just then.
func TestClient_TakenOverByItsOwnFailedLoginGoesOn(t *testing.T) {
	p := newPeer(t)
	_, old := connect(t, p, func(o *Options) { o.ClientID = "me" })
	old.send(protocol.ServerFrame{Type: protocol.TypeReconnect})
	k := p.accept()
	k.send(protocol.ServerFrame{Type: protocol.TypeInitResponse, Code: protocol.Unavailable, Text: "the store does not answer"})
	k.gone()
	old.close(protocol.CloseTakenOver)
	p.welcome()
}

// TestClient_TakenOverByItsOwnLateLoginGoesOn: a busy server may deal with a login that was given up behind the next one, which
// it then takes over, though nobody else uses the id.
func TestClient_TakenOverByItsOwnLateLoginGoesOn(t *testing.T) {
	p := newPeer(t)
	c, k := connect(t, p, func(o *Options) { o.ClientID = "me" })
	k.nc.Close()
	p.accept().nc.Close() // no answer to its login
	p.welcome().close(protocol.CloseTakenOver)
	k = p.welcome()
	k.close(protocol.CloseTakenOver) // by somebody else: all logins of this client are answered
	receive(t, c.Done())
	if !errors.Is(c.Err(), ErrTakenOver) {
		t.Errorf("Err = %v, want %v", c.Err(), ErrTakenOver)
	}
}

func TestClient_GivesUpASilentConnection(t *testing.T) {
	p := newPeer(t)
	log := newErrorLog()
	_, k := connect(t, p, func(o *Options) {
		o.PingInterval, o.PongTimeout, o.OnError = 20*time.Millisecond, 20*time.Millisecond, log.add
	})
	if f := receive(t, k.frames); f.Type != protocol.TypePing {
		t.Fatalf("got %q, want a ping", f.raw)
	}
	p.welcome()
	log.wait(t, func(err error) bool { return errors.Is(err, ErrSilent) })
}

func TestClient_StampsByTheServersClock(t *testing.T) {
	p := newPeer(t)
	c, k := connect(t, p, nil)
	far := time.Now().Add(1000 * time.Hour).Truncate(time.Millisecond)
	k.send(protocol.ServerFrame{Type: protocol.TypePong, ServerTime: far.UnixMilli()})
	until(t, func() bool { return !c.Now().Before(far) })
	if _, err := c.PublishAsync(testContext(t), "t", nil); err != nil {
		t.Fatal(err)
	}
	f := k.expect(protocol.TypePublish)
	if d := time.UnixMilli(f.Timestamp).Sub(far); d < 0 || d > patience {
		t.Errorf("timestamp is %v off the server's clock", d)
	}
}

func TestClient_TakesFragmentsAndSurvivesWhatItDoesNotKnow(t *testing.T) {
	p := newPeer(t)
	c, k := connect(t, p, nil)
	got := make(chan Message, 10)
	p.wg.Go(func() { k.subscribe("a") })
	if err := c.Subscribe(testContext(t), "a", collect(got)); err != nil {
		t.Fatal(err)
	}
	k.write(ws.OpText, []byte(`{"type":"from_the_future","x":1}`))
	k.write(ws.OpText, []byte(`not json`))
	k.write(ws.OpBinary, []byte{9, 9})
	frame := sealed(t, rootKey(t), "a", "1", "in parts")
	text := frame.Append(nil)
	for i, part := range [][]byte{text[:10], text[10:20], text[20:]} {
		op := ws.OpContinuation
		if i == 0 {
			op = ws.OpText
		}
		if err := ws.WriteFrame(k.nc, ws.NewFrame(op, i == 2, part)); err != nil {
			t.Fatal(err)
		}
		k.write(ws.OpPing, []byte("between"))
	}
	if m := receive(t, got); string(m.Payload) != "in parts" {
		t.Errorf("payload = %q, want in parts", m.Payload)
	}
}

func TestClose_SendsTheAcksThatAreDueAndIsIdempotent(t *testing.T) {
	p := newPeer(t)
	c, k := connect(t, p, nil)
	p.wg.Go(func() { k.subscribe("a") })
	entered, release := make(chan struct{}), make(chan struct{})
	if err := c.Subscribe(testContext(t), "a", func(context.Context, Message) error {
		close(entered)
		<-release
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	k.send(sealed(t, rootKey(t), "a", "1", "x"))
	<-entered
	closed := make(chan error)
	go func() { closed <- c.Close(testContext(t)) }()
	until(t, func() bool { return c.open() != nil })
	close(release)
	if ids := k.acks(1); ids[0] != "1" {
		t.Errorf("acked %v, want 1", ids)
	}
	if f := k.next(); f.close != protocol.CloseNormal {
		t.Errorf("got %q, want a close", f.raw)
	}
	if err := receive(t, closed); err != nil {
		t.Errorf("Close = %v", err)
	}
	if err := c.Close(context.Background()); err != nil {
		t.Errorf("Close again = %v", err)
	}
	if !errors.Is(c.Err(), ErrClosed) {
		t.Errorf("Err = %v, want %v", c.Err(), ErrClosed)
	}
	if err := c.Subscribe(testContext(t), "b", collect(nil)); !errors.Is(err, ErrClosed) {
		t.Errorf("Subscribe = %v, want %v", err, ErrClosed)
	}
}

func TestClose_WaitsForPublishesUntilItsContextEnds(t *testing.T) {
	p := newPeer(t)
	c, k := connect(t, p, nil)
	r, err := c.PublishAsync(testContext(t), "t", []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan error)
	go func() { closed <- c.Close(testContext(t)) }()
	f := k.expect(protocol.TypePublish)
	until(t, func() bool { return c.open() != nil })
	k.ack(f)
	if err := receive(t, closed); err != nil || r.Err() != nil {
		t.Errorf("Close = %v, publish = %v, want both nil", err, r.Err())
	}

	c, k = connect(t, p, nil)
	r, err = c.PublishAsync(testContext(t), "t", []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	k.expect(protocol.TypePublish)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	c.Close(ctx)
	<-r.Done()
	if !errors.Is(r.Err(), ErrClosed) {
		t.Errorf("publish = %v, want %v", r.Err(), ErrClosed)
	}
}

func TestBackoff_IsFullJitterUpToItsCap(t *testing.T) {
	b := backoff{min: time.Second, max: 8 * time.Second}
	for i, most := range []time.Duration{1, 2, 4, 8, 8, 8} {
		if d := b.next(0); d < 0 || d >= most*time.Second {
			t.Errorf("pause %d = %v, want less than %v", i, d, most*time.Second)
		}
	}
	b.failures = 1 << 20
	if d := b.next(0); d < 0 || d >= 8*time.Second {
		t.Errorf("pause after many failures = %v", d)
	}
	spread := make(map[time.Duration]bool)
	for range 20 {
		spread[b.next(0)] = true
	}
	if len(spread) < 15 {
		t.Errorf("20 pauses took %d values: not spread", len(spread))
	}
}

func closedWith(err error, code protocol.CloseCode) bool {
	var closed *CloseError
	return errors.As(err, &closed) && closed.Code == code
}
