package redis

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/fastport/fastport/backplane"
)

// maxAsked bounds a subscriber's queue of joins and fences, about the topics that a node can hold; what is beyond is
// refused with ErrUnavailable. Leaves always fit: each ends a join.
const maxAsked = 1 << 20

// namesPerCommand bounds one SUBSCRIBE: Redis serves nobody else meanwhile.
const namesPerCommand = 512

var errNotJoined = fmt.Errorf("redis: fence: the channel is not joined: %w", backplane.ErrUnavailable)

// ask is something that Redis confirms on the subscribing connection.
type ask struct {
	verb verb
	name string
	seat *seat
	turn uint64 // of the seat, or of the ping that carries a fence
	done func(error)
}

type verb uint8

const (
	subscribe verb = iota
	unsubscribe
	ping
)

// seat is a channel that the connection subscribes to, or did a moment ago.
type seat struct {
	channel backplane.Channel
	take    func(payload []byte) // of a channel of our own; nil: a topic's
	open    bool                 // messages are passed on: joined, and not left since
	turn    uint64               // of the last join or leave; a confirmation of an older one changes nothing
}

// subscriber is the receiving connection to one Redis. Redis answers what it is asked in order, between the messages,
// so one queue says what each answer is to; that order is what makes a ping a fence.
type subscriber struct {
	conn    *conn
	verbs   [2]string // SUBSCRIBE and UNSUBSCRIBE, or the sharded ones
	perName bool      // sharded: names of different slots do not go into one command
	take    func(ch backplane.Channel, payload []byte)
	other   func() // what comes next is for no take
	counts  *counts

	wake chan struct{}

	mu    sync.Mutex // guards the following
	seats map[string]*seat
	asked []ask // unanswered from first on, unsent from unsent on
	first int
	sent  int
	pings uint64
	tick  uint64
	since uint64 // tick of the last answer, or of the first question with nothing due
	dead  error
}

func newSubscriber(c *conn, sharded bool, take func(backplane.Channel, []byte), counts *counts) *subscriber {
	s := &subscriber{conn: c, verbs: [2]string{"SUBSCRIBE", "UNSUBSCRIBE"}, perName: sharded, take: take, other: func() {}, counts: counts,
		wake: make(chan struct{}, 1), seats: map[string]*seat{}}
	if sharded {
		s.verbs = [2]string{"SSUBSCRIBE", "SUNSUBSCRIBE"}
	}
	return s
}

// join subscribes to name; take is nil for a topic's channel.
func (s *subscriber) join(name string, ch backplane.Channel, take func([]byte), done func(error)) {
	s.mu.Lock()
	err := s.room()
	if err == nil {
		at := s.seats[name]
		if at == nil {
			at = &seat{channel: ch, take: take}
			s.seats[name] = at
		}
		at.turn++
		s.queue(ask{verb: subscribe, name: name, seat: at, turn: at.turn, done: done})
	}
	s.mu.Unlock()
	if err != nil {
		done(err)
	}
}

// leave unsubscribes from name. Nothing of it is passed on from now: what Redis sends until it knows is late.
func (s *subscriber) leave(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.seats[name]
	if at == nil || s.dead != nil {
		return
	}
	at.open = false
	at.turn++
	s.queue(ask{verb: unsubscribe, name: name, seat: at, turn: at.turn})
}

// fence calls at behind everything that Redis has sent so far.
func (s *subscriber) fence(name string, at func(error)) {
	s.mu.Lock()
	err := s.room()
	if on := s.seats[name]; err == nil && (on == nil || !on.open) {
		err = errNotJoined
	}
	if err == nil {
		s.queue(ask{verb: ping, done: at})
	}
	s.mu.Unlock()
	if err != nil {
		at(err)
	}
}

// room says why nothing more can be asked. mu is held.
func (s *subscriber) room() error {
	switch {
	case s.dead != nil:
		return unavailable("subscribe", s.dead)
	case len(s.asked)-s.first >= maxAsked:
		s.counts.refused.Add(1)
		return errOverflow
	}
	return nil
}

func (s *subscriber) queue(a ask) {
	if s.first == len(s.asked) {
		s.since = s.tick
	}
	s.asked = append(s.asked, a)
	signal(s.wake)
}

// write sends what is asked, until the connection breaks or stop is closed.
func (s *subscriber) write(stop <-chan struct{}) error {
	var batch []byte
	for {
		select {
		case <-s.wake:
		case <-stop:
			return errClosed
		}
		for {
			if batch = s.batch(batch[:0]); len(batch) == 0 {
				break
			}
			s.conn.SetWriteDeadline(time.Now().Add(answerPatience))
			if _, err := s.conn.Write(batch); err != nil {
				return err
			}
			if cap(batch) > keepBytes {
				batch = nil
			}
		}
	}
}

// batch appends the commands for what is unsent, some at a time: a run of joins or leaves becomes one command, a run
// of fences one ping.
func (s *subscriber) batch(b []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.sent < len(s.asked) && len(b) < flushBytes {
		what := s.asked[s.sent].verb
		limit := namesPerCommand
		if s.perName && what != ping {
			limit = 1
		}
		run := s.asked[s.sent:]
		n := 1
		for n < len(run) && run[n].verb == what && (n < limit || what == ping) {
			n++
		}
		run = run[:n]
		s.sent += n
		if what == ping {
			s.pings++
			for i := range run {
				run[i].turn = s.pings
			}
			b = appendCommand(b, "PING", strconv.FormatUint(s.pings, 10))
			continue
		}
		b = appendBulk(appendHead(b, '*', 1+n), s.verbs[what])
		for i := range run {
			b = appendBulk(b, run[i].name)
		}
	}
	return b
}

// read passes on what arrives, in its order, until the connection breaks.
func (s *subscriber) read() error {
	var p push
	for {
		if err := s.conn.readPush(&p); err != nil {
			return err
		}
		switch string(p.kind) {
		case "message", "smessage":
			s.message(&p)
			continue
		}
		s.other()
		switch string(p.kind) {
		case "subscribe", "ssubscribe":
			if err := s.confirmed(subscribe, p.channel); err != nil {
				return err
			}
		case "unsubscribe", "sunsubscribe":
			if err := s.confirmed(unsubscribe, p.channel); err != nil {
				return err
			}
		case "pong":
			if err := s.ponged(p.payload); err != nil {
				return err
			}
		default:
			return fmt.Errorf("redis: a message of kind %q", p.kind)
		}
	}
}

func (s *subscriber) message(p *push) {
	s.counts.received.Add(1)
	s.counts.receivedBytes.Add(uint64(len(p.payload)))
	s.mu.Lock()
	at := s.seats[string(p.channel)]
	open := at != nil && at.open
	s.mu.Unlock()
	switch {
	case !open:
	case at.take != nil:
		s.other()
		at.take(p.payload)
	default:
		s.take(at.channel, p.payload)
	}
}

// errUnsubscribed: Redis ended a subscription by itself, as it does when a slot moves to another node of a cluster.
var errUnsubscribed = errors.New("redis: a subscription was ended by the server")

func (s *subscriber) confirmed(what verb, name []byte) error {
	s.mu.Lock()
	if s.first == s.sent || s.asked[s.first].verb != what || s.asked[s.first].name != string(name) {
		s.mu.Unlock()
		if what == unsubscribe {
			return errUnsubscribed
		}
		return errors.New("redis: a subscription that was not asked for")
	}
	a := s.pop()
	if a.seat.turn == a.turn {
		if a.seat.open = what == subscribe; !a.seat.open {
			delete(s.seats, a.name)
		}
	}
	s.mu.Unlock()
	if a.done != nil {
		a.done(nil)
	}
	return nil
}

func (s *subscriber) ponged(payload []byte) error {
	number, err := strconv.ParseUint(string(payload), 10, 64)
	if err != nil {
		return fmt.Errorf("redis: a pong that is no number")
	}
	var passed []ask
	s.mu.Lock()
	for s.first < s.sent && s.asked[s.first].verb == ping && s.asked[s.first].turn == number {
		passed = append(passed, s.pop())
	}
	s.mu.Unlock()
	if len(passed) == 0 {
		return fmt.Errorf("redis: a pong that nothing asked for")
	}
	for _, a := range passed {
		a.done(nil)
	}
	return nil
}

// pop takes the oldest of what was sent. mu is held.
func (s *subscriber) pop() ask {
	a := s.asked[s.first]
	s.asked[s.first] = ask{}
	s.first++
	s.since = s.tick
	switch {
	case s.first == len(s.asked):
		s.asked, s.first, s.sent = s.asked[:0], 0, 0
	case s.first >= 1024 && s.first*2 >= len(s.asked):
		s.asked = append(s.asked[:0], s.asked[s.first:]...)
		s.sent -= s.first
		s.first = 0
	}
	return a
}

// pass counts a tick and reports for how many the oldest question has waited for its answer.
func (s *subscriber) pass() (waited uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tick++
	if s.first == len(s.asked) {
		return 0
	}
	return s.tick - s.since
}

// end refuses all that waits and all that comes.
func (s *subscriber) end(err error) {
	s.mu.Lock()
	asked := s.asked[s.first:]
	s.asked, s.first, s.sent, s.dead = nil, 0, 0, err
	clear(s.seats)
	s.mu.Unlock()
	for _, a := range asked {
		if a.done != nil {
			a.done(unavailable("subscribe", err))
		}
	}
}
