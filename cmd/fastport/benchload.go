package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/fastport/fastport/client"
	"github.com/fastport/fastport/client/e2ee"
)

// benchLoad is a benchmark's clients, in a session of their own.
type benchLoad struct {
	b           *benchmark
	at          profile        // with a secret key once there is a session
	api         string         // the server of at that makes and drops it
	options     client.Options // of every client
	tally       *tally
	publishers  []*client.Client
	subscribers []*client.Client
}

const (
	benchDials = 16               // clients that connect at once
	benchSpare = 10 * time.Minute // a session that nobody could drop ends so long after its benchmark
)

// open makes the session and connects everybody.
func (b *benchmark) open(ctx context.Context, e *env, told io.Writer) (l *benchLoad, err error) {
	l = &benchLoad{b: b, tally: &tally{stopped: make(chan struct{})}}
	key := e2ee.NewKey()
	l.at = profile{URL: b.url, Session: "bench-" + rand.Text()[:10], Password: newPassword(), Key: key.Base64()}
	l.api = reachable(ctx, b.url)
	defer func() {
		if err != nil {
			err = errors.Join(l.at.explain(err), l.close(ctx))
		}
	}()
	operator, err := operatorOf(ctx, e, l.api)
	if err != nil {
		return l, err
	}
	defer operator.logout(ctx)
	if l.options, err = l.at.options(); err != nil {
		return l, err
	}
	l.at.SecretKey, err = client.CreateSession(ctx, l.api, client.SessionSpec{
		SessionName: l.at.Session, Password: l.at.Password, Key: key, Suite: 2, AdminToken: operator.adminToken(),
		SessionExpiry: b.warmup + b.duration + benchSpare,
	})
	if err != nil {
		return l, l.at.explainCreate(err)
	}
	topics, each := b.pairs, 1
	if b.fanout > 0 {
		topics, each = 1, b.fanout
	}
	fmt.Fprintf(told, "%s at %s, session %s\n", b.shape(), l.at.URL, l.at.Session)
	l.publishers, l.subscribers = make([]*client.Client, topics), make([]*client.Client, topics*each)
	for i := range l.subscribers {
		l.tally.streams = append(l.tally.streams, &stream{})
		if i < topics {
			l.tally.sources = append(l.tally.sources, &source{})
		}
	}
	return l, l.connect(ctx, func(ctx context.Context, i int) error {
		if i < topics {
			return l.dial(ctx, &l.publishers[i], nil)
		}
		i -= topics
		return l.subscribe(ctx, i, benchTopic(i/each))
	}, topics+topics*each)
}

func benchTopic(i int) string { return "bench/" + strconv.Itoa(i) }

// connect runs n connections, a few at once, until one fails.
func (l *benchLoad) connect(ctx context.Context, one func(ctx context.Context, i int) error, n int) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	next := make(chan int)
	var work sync.WaitGroup
	for range min(n, benchDials) {
		work.Go(func() {
			for i := range next {
				if err := one(ctx, i); err != nil {
					stop(err)
				}
			}
		})
	}
	for i := 0; i < n && ctx.Err() == nil; i++ {
		select {
		case next <- i:
		case <-ctx.Done():
		}
	}
	close(next)
	work.Wait()
	return context.Cause(ctx)
}

func (l *benchLoad) dial(ctx context.Context, at **client.Client, change func(*client.Options)) (err error) {
	o := l.options
	if change != nil {
		change(&o)
	}
	*at, err = client.Connect(ctx, o)
	return err
}

func (l *benchLoad) subscribe(ctx context.Context, i int, topic string) error {
	err := l.dial(ctx, &l.subscribers[i], func(o *client.Options) {
		if l.b.durable {
			o.ClientID = "bench-" + strconv.Itoa(i)
		}
	})
	if err != nil {
		return err
	}
	s := l.tally.streams[i]
	return l.subscribers[i].Subscribe(ctx, topic, func(_ context.Context, m client.Message) error {
		l.tally.take(s, m.Payload)
		return nil
	})
}

// measure publishes until the time is over or ctx ends, waits for what is owed, and shows a line each second.
func (l *benchLoad) measure(ctx context.Context, show func(string)) *tally {
	t := l.tally
	t.started, t.begin = time.Now(), l.b.warmup
	t.end.Store(int64(l.b.warmup + l.b.duration))
	defer context.AfterFunc(ctx, t.stop)()

	lasting, giveUp := context.WithCancel(context.WithoutCancel(ctx)) // what is on its way when somebody interrupts is still waited for
	defer giveUp()
	var work sync.WaitGroup
	for i, c := range l.publishers {
		work.Go(func() { l.publish(lasting, c, i) })
	}
	done := make(chan struct{})
	go func() {
		work.Wait()
		close(done)
	}()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	last, quiet := benchView{}, time.Now()
	for {
		select {
		case <-tick.C:
		case <-done:
			done = nil
			continue
		}
		view := t.view()
		show(view.since(last))
		if view.moved(last) {
			quiet = time.Now()
		}
		// Once all is there, another second shows what comes twice.
		if wait := time.Since(quiet); done == nil && (wait > l.b.linger || t.lost() == 0 && wait >= time.Second) {
			return t
		}
		if t.now() > t.until() && time.Since(quiet) > l.b.linger {
			giveUp()
		}
		last = view
	}
}

var errNoAck = errors.New("no ack came")

// publish is one publisher.
func (l *benchLoad) publish(ctx context.Context, c *client.Client, i int) {
	t := l.tally
	var options []client.PublishOption
	if l.b.qos == 0 {
		options = append(options, client.AtMostOnce())
	}
	type sent struct {
		receipt *client.Receipt
		number  uint64
		due     time.Duration
	}
	room, waiting := make(chan struct{}, l.b.window), make(chan sent, l.b.window)
	var work sync.WaitGroup
	work.Go(func() {
		for s := range waiting {
			var err error
			select {
			case <-s.receipt.Done():
				err = s.receipt.Err()
			case <-ctx.Done():
				err = errNoAck
			}
			if err != nil {
				t.fail(err)
			} else {
				t.ack(t.sources[i], s.number, s.due)
			}
			<-room
		}
	})
	defer work.Wait()
	defer close(waiting)
	for number := uint64(0); ; number++ {
		due := l.due(i, number)
		t.await(min(due, t.until()))
		select {
		case room <- struct{}{}:
		case <-ctx.Done():
		}
		if due < 0 {
			due = t.now()
		}
		// What was due in time goes out however late that is, for a while: its wait is what is measured.
		if due >= t.until() || t.now() >= t.until()+l.b.linger || ctx.Err() != nil {
			t.skip(l.unsent(i, number))
			return
		}
		payload := make([]byte, l.b.size)
		stamp(payload, due, number)
		r, err := c.PublishAsync(ctx, benchTopic(i), payload, options...)
		if err != nil {
			t.fail(err)
			t.skip(l.unsent(i, number+1))
			return
		}
		t.published.Add(1)
		waiting <- sent{r, number, due}
	}
}

// due is when a publisher's message is to go, -1: as soon as there is room. Publishers take turns.
func (l *benchLoad) due(i int, number uint64) time.Duration {
	if l.b.rate == 0 {
		return -1
	}
	turn := number*uint64(len(l.publishers)) + uint64(i)
	return time.Duration(float64(turn) / float64(l.b.rate) * float64(time.Second))
}

// unsent is how many messages of a publisher, from a number on, were due in time.
func (l *benchLoad) unsent(i int, number uint64) (n uint64) {
	for l.b.rate > 0 && l.due(i, number+n) < l.tally.until() {
		n++
	}
	return n
}

// close disconnects everybody and drops the session.
func (l *benchLoad) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), apiTimeout)
	defer cancel()
	var work sync.WaitGroup
	for _, c := range append(l.publishers, l.subscribers...) {
		if c != nil {
			work.Go(func() { c.Close(ctx) })
		}
	}
	work.Wait()
	if l.at.SecretKey == "" {
		return nil
	}
	err := client.DropSession(ctx, l.api, client.SessionAdmin{SessionName: l.at.Session, Password: l.at.Password, SecretKey: l.at.SecretKey})
	if err != nil {
		return fmt.Errorf("session %s was not dropped, and ends by itself: %w", l.at.Session, l.at.explain(err))
	}
	return nil
}
