package verify

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/fastport/fastport/client"
	"github.com/fastport/fastport/client/e2ee"
)

// closeTime bounds the good-bye of a client.
const closeTime = 5 * time.Second

// connect makes a client of the SDK, which goes from one URL to another as it must.
func (l *load) connect(ctx context.Context, t *tenant, change func(*client.Options)) (*client.Client, error) {
	urls := make([]string, len(l.o.URLs))
	for i, u := range l.o.URLs {
		urls[i] = socketURL(u)
	}
	o := client.Options{
		URLs: urls, SessionName: t.name, Password: t.password, Keys: t.keys, Suite: l.o.Suite,
		AllowLegacy: l.o.Suite == 1, TLS: l.o.TLS, Wait: true, BackoffMax: 2 * time.Second, DedupeSize: l.o.dedupe,
	}
	change(&o)
	return client.Connect(ctx, o)
}

// handler hands over to a reader; handed is told of each.
func (l *load) handler(r *Reader, handed func(id string)) client.Handler {
	return func(_ context.Context, m client.Message) error {
		r.Deliver(Delivery{
			Topic: m.Topic, MessageID: m.ID, Payload: string(m.Payload), Retry: m.Retry, Replay: m.Replay, Seq: m.Seq, Once: m.QoS == 0, At: l.now(),
		})
		if handed != nil {
			handed(m.ID)
		}
		return nil
	}
}

// onError tells a reader of what could not be opened.
func (l *load) onError(r *Reader) func(error) {
	return func(err error) {
		var m *client.MessageError
		if errors.As(err, &m) && !errors.Is(err, e2ee.ErrReplay) {
			r.Unopened(err, l.now())
		}
	}
}

// watch reports a client that ended though nobody closed it.
func (l *load) watch(ctx context.Context, name string, c *client.Client) {
	select {
	case <-c.Done():
		if !errors.Is(c.Err(), client.ErrClosed) {
			l.check.Broken(Refused, l.now(), "%s was ended for good: %v", name, c.Err())
		}
	case <-ctx.Done():
	}
}

// subscriber is a client of the SDK that reads until ctx ends. started is told once, when it is subscribed.
type subscriber struct {
	l       *load
	tenant  *tenant
	box     *Mailbox
	seat    int
	topics  []int
	options func(*client.Options)
}

func (s *subscriber) run(ctx context.Context, started func(error)) {
	r := s.box.NewReader(true, s.seat)
	c, err := s.open(ctx, r, nil, nil)
	started(err)
	if err != nil {
		return
	}
	s.l.watch(ctx, s.box.name, c)
	hangUp(ctx, c)
}

// open connects and subscribes.
func (s *subscriber) open(ctx context.Context, r *Reader, handed func(string), lost func()) (*client.Client, error) {
	for _, t := range s.topics {
		s.box.Subscribing(t)
	}
	c, err := s.l.connect(ctx, s.tenant, func(o *client.Options) {
		s.options(o)
		o.OnError = s.l.onError(r)
		o.OnState = func(up bool) {
			switch {
			case !up && lost != nil:
				lost()
			case s.box.kind != Ephemeral:
			case up:
				for _, t := range s.topics {
					s.box.Subscribed(t, s.l.now()) // for one that is there again, once its margin is over
				}
			default:
				s.box.Gone(s.l.now())
			}
		}
	})
	if err != nil {
		return nil, err
	}
	for _, t := range s.topics {
		if err := c.Subscribe(ctx, topicName(t), s.l.handler(r, handed)); err != nil {
			hangUp(ctx, c)
			return nil, err
		}
		s.box.Subscribed(t, s.l.now())
	}
	return c, nil
}

// hangUp closes a client, also where ctx has ended.
func hangUp(ctx context.Context, c *client.Client) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
	defer cancel()
	return c.Close(ctx)
}

// visitor is a durable subscriber that goes and comes, each time as a fresh client that remembers nothing. stay and away
// are the most it does of either; once the load has ended it comes to stay.
type visitor struct {
	subscriber
	stay, away time.Duration
}

func (v *visitor) run(ctx context.Context, started func(error)) {
	for first := true; ctx.Err() == nil; first = false {
		err := v.visit(ctx, first, started)
		if first && err != nil {
			return
		}
		select {
		case <-v.l.ended:
		default:
			pause(ctx, v.l.jitter(v.away))
		}
	}
}

func (v *visitor) visit(ctx context.Context, first bool, started func(error)) error {
	var ids []string
	var broken atomic.Bool
	handed := make(chan string, 1024)
	r := v.box.NewReader(true, v.seat)
	c, err := v.open(ctx, r, func(id string) {
		select {
		case handed <- id:
		default: // not judged, then
		}
	}, func() { broken.Store(true) })
	if first {
		started(err)
	}
	if err != nil {
		return err
	}
	stay := time.NewTimer(v.stay/2 + v.l.jitter(v.stay/2))
	defer stay.Stop()
	leave := stay.C
	for done := false; !done; {
		select {
		case id := <-handed:
			ids = append(ids, id)
		case <-leave:
			select {
			case <-v.l.ended:
				leave = nil
			default:
				done = true
			}
		case <-v.l.ended:
			leave = nil
			v.l.watch(ctx, v.box.name, c)
			done = true
		case <-c.Done():
			v.l.watch(ctx, v.box.name, c)
			done = true
		case <-ctx.Done():
			done = true
		}
	}
	// Whoever says good-bye on a sound connection has acked all that it was handed.
	if hangUp(ctx, c) == nil && !broken.Load() {
		for _, id := range ids {
			r.Settled(id, v.l.now())
		}
	}
	return nil
}

// publisher is a client of the SDK that publishes.
type publisher struct {
	l      *load
	client *client.Client
	as     Publisher
}

// publish sends a new message, waiting where the queue is full. False: nothing can be queued now.
func (p *publisher) publish(ctx context.Context, topic int) bool {
	id, messageID, payload := p.l.check.Publish(p.as, topic, p.l.now())
	r, err := p.client.PublishAsync(ctx, topicName(topic), []byte(payload), client.WithMessageID(messageID))
	if err != nil {
		p.l.check.Withdrawn(id)
		if !errors.Is(err, client.ErrQueueFull) && ctx.Err() == nil {
			p.l.check.Broken(Refused, p.l.now(), "%s was not taken: %v", messageID, err)
		}
		return false
	}
	p.l.receipts.Go(func() {
		select {
		case <-r.Done():
		case <-p.l.over:
			return
		}
		if err := r.Err(); err != nil {
			p.l.check.Failed(id, Refused, err, p.l.now())
			return
		}
		p.l.check.Acked(id, r.Tries(), 0, p.l.now())
	})
	return true
}
