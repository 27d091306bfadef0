package verify

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

// show is a run shown to a Checker event by event: one session, one topic, times in seconds.
type show struct {
	t *testing.T
	c *Checker
}

func newShow(t *testing.T, expiries ...time.Duration) *show {
	return &show{t, NewChecker("run", 64, append(expiries, 0, 0)...)}
}

func at(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// durable is a subscriber that was there from the beginning.
func (s *show) durable(name string) *Mailbox {
	b := s.c.NewMailbox(name, 0, Durable, false)
	b.Subscribing(0)
	b.Subscribed(0, 0)
	return b
}

// publish publishes the next message of publisher p; ack 0: it is not acked.
func (s *show) publish(p int, sent, ack float64) (id ID, messageID string) {
	id, messageID, _ = s.c.Publish(Publisher{Number: p}, 0, at(sent))
	if ack > 0 {
		s.c.Acked(id, 1, 0, at(ack))
	}
	return id, messageID
}

// give hands a message over.
func (s *show) give(r *Reader, messageID string, when float64, change ...func(*Delivery)) {
	d := Delivery{Topic: topicName(0), MessageID: messageID, At: at(when)}
	if id, ok := s.c.names.parse(messageID); ok {
		d.Payload = s.c.names.payload(id)
	}
	for _, c := range change {
		c(&d)
	}
	r.Deliver(d)
}

func replayed(d *Delivery)         { d.Replay = true }
func retried(d *Delivery)          { d.Retry = 1 }
func seq(n uint64) func(*Delivery) { return func(d *Delivery) { d.Seq = n } }

// want finishes the run and holds what was found against what is wanted.
func (s *show) want(breaches ...Breach) {
	s.t.Helper()
	s.c.Tick(at(1000))
	s.c.Finish(at(1000))
	want := map[Breach]int{}
	for _, b := range breaches {
		want[b]++
	}
	for _, b := range Breaches {
		if got := s.c.found.counts[b]; got != want[b] {
			s.t.Errorf("%s: %d found, want %d\n%v", b, got, want[b], s.c.found.list)
		}
	}
}

func TestChecker_FindsNothingInAnOrderlyRun(t *testing.T) {
	s := newShow(t)
	one, two := s.durable("one").NewReader(true, 0), s.durable("two").NewReader(false, 0)
	for i := range 3 * chunkSize {
		_, id := s.publish(i%3, float64(i), float64(i)+0.5)
		s.give(one, id, float64(i)+0.1, seq(uint64(i+1)))
		s.give(two, id, float64(i)+0.2)
		if i%7 == 0 {
			s.give(two, id, float64(i)+0.3, retried)
		}
		s.c.Tick(at(float64(i)))
	}
	if owed, unacked := s.c.Outstanding(); owed != 0 || unacked != 0 {
		t.Errorf("Outstanding = %d, %d, want 0, 0", owed, unacked)
	}
	s.want()
}

func TestChecker_ForgetsTheDetailsOfWhatIsOver(t *testing.T) {
	s := newShow(t)
	r := s.durable("a").NewReader(true, 0)
	var first string
	for i := range 8 * chunkSize {
		_, id := s.publish(0, float64(i), float64(i)+0.5)
		s.give(r, id, float64(i)+0.1)
		if i == 0 {
			first = id
		}
		s.c.Tick(at(float64(i)))
	}
	kept := 0
	for _, st := range s.c.streams {
		st.each(func(int, *record) { kept++ })
	}
	if most := chunkSize + int(retireAfter/time.Second) + 1; kept > most {
		t.Errorf("%d records are kept, want at most %d", kept, most)
	}
	s.give(r, first, 9*chunkSize, replayed)
	s.want(Duplicate)
}

func TestChecker_CatchesALoss(t *testing.T) {
	s := newShow(t)
	r := s.durable("a").NewReader(true, 0)
	s.durable("b")
	_, id := s.publish(0, 1, 1.5)
	s.give(r, id, 1.1)
	if owed, _ := s.c.Outstanding(); owed != 1 {
		t.Errorf("owed = %d, want 1", owed)
	}
	s.want(Lost)
}

func TestChecker_OwesWhatWasAckedAfterTheSubscriptionAlone(t *testing.T) {
	s := newShow(t)
	late := s.c.NewMailbox("late", 0, Durable, false)
	late.Subscribing(0)
	s.publish(0, 1, 2)
	late.Subscribed(0, at(3))
	s.publish(0, 2.5, 4) // published before, acked after
	s.want(Lost)
}

func TestChecker_AUsersConnectionsShareWhatIsOwed(t *testing.T) {
	s := newShow(t)
	user := s.c.NewMailbox("user", 0, User, false)
	user.Subscribing(0)
	user.Subscribed(0, 0)
	one, two := user.NewReader(true, 0), user.NewReader(true, 1)
	_, m1 := s.publish(0, 1, 1.5)
	s.give(one, m1, 1.1)
	s.give(two, m1, 1.2) // live to both
	_, m2 := s.publish(0, 2, 2.5)
	s.give(two, m2, 2.2) // owed to one of them
	s.want()
}

func TestChecker_CatchesADuplicateToAnApplication(t *testing.T) {
	s := newShow(t)
	r := s.durable("a").NewReader(true, 0)
	_, id := s.publish(0, 1, 1.5)
	s.give(r, id, 2)
	s.give(r, id, 3, retried)
	s.want(Duplicate)
}

func TestChecker_CatchesARepeatThatDoesNotSaySo(t *testing.T) {
	s := newShow(t)
	r := s.durable("a").NewReader(false, 0)
	_, id := s.publish(0, 1, 1.5)
	s.give(r, id, 2)
	s.give(r, id, 2.5, retried)
	s.give(r, id, 3)
	s.want(Unflagged)
}

func TestChecker_APublisherThatCannotSayThatItSendsAgainMayCauseAnUnflaggedRepeatInTrouble(t *testing.T) {
	for _, trouble := range []bool{true, false} {
		s := newShow(t)
		r := s.durable("a").NewReader(false, 0)
		if trouble {
			s.c.Trouble(Store, at(1))(at(2))
		}
		id, name, _ := s.c.Publish(Publisher{Unsaid: true}, 0, at(1))
		s.c.Acked(id, 2, 0, at(2))
		s.give(r, name, 2)
		s.give(r, name, 3)
		if trouble {
			s.want()
		} else {
			s.want(Unflagged)
		}
	}
}

func TestChecker_CatchesAMessageThatOvertakesWhatWasAckedBefore(t *testing.T) {
	s := newShow(t)
	r := s.durable("a").NewReader(true, 0)
	_, m1 := s.publish(0, 1, 2)
	_, m2 := s.publish(1, 3, 4) // another publisher, after m1's ack
	s.give(r, m2, 3.5)
	s.give(r, m1, 5)
	s.want(Disorder)
}

func TestChecker_WhatWasUnderWayTogetherMayComeInEitherOrder(t *testing.T) {
	s := newShow(t)
	r := s.durable("a").NewReader(true, 0)
	_, m1 := s.publish(0, 1, 3)
	_, m2 := s.publish(1, 2, 4)
	s.give(r, m2, 3.5)
	s.give(r, m1, 3.6)
	s.want()
}

func TestChecker_WhereRedisIsOutMessagesMayComeLateIfTheySaySo(t *testing.T) {
	for _, flags := range [][]func(*Delivery){{replayed}, nil} {
		s := newShow(t)
		r := s.durable("a").NewReader(true, 0)
		s.c.Trouble(Backplane, at(1))(at(4))
		_, m1 := s.publish(0, 1, 2)
		_, m2 := s.publish(1, 3, 4)
		s.give(r, m2, 3.5)
		s.give(r, m1, 5, flags...)
		if flags != nil {
			s.want()
		} else {
			s.want(Disorder)
		}
	}
}

func TestChecker_CatchesAPublishersMessagesInAnotherOrder(t *testing.T) {
	for name, flags := range map[string][]func(*Delivery){"live": nil, "replayed": {replayed}} {
		t.Run(name, func(t *testing.T) {
			s := newShow(t)
			r := s.durable("a").NewReader(true, 0)
			id1, m1 := s.publish(0, 1, 0)
			id2, m2 := s.publish(0, 1, 0)
			s.give(r, m2, 1.5, flags...)
			s.give(r, m1, 1.6, flags...)
			s.c.Acked(id2, 1, 0, at(2))
			s.c.Acked(id1, 1, 0, at(2))
			s.want(Disorder)
		})
	}
}

func TestChecker_AMessageThatWentOutTwiceMayStandBehindLaterOnes(t *testing.T) {
	s := newShow(t)
	r := s.durable("a").NewReader(true, 0)
	id1, m1 := s.publish(0, 1, 0)
	id2, m2 := s.publish(0, 1, 0)
	s.give(r, m2, 1.5)
	s.give(r, m1, 1.6)
	s.c.Acked(id1, 2, 0, at(2))
	s.c.Acked(id2, 1, 0, at(2))
	s.want()
}

func TestChecker_CatchesTwoSubscribersWithDifferentOrders(t *testing.T) {
	for _, who := range []string{"abab", "aabb", "baab"} {
		t.Run(who, func(t *testing.T) {
			s := newShow(t)
			readers := map[rune]*Reader{'a': s.durable("a").NewReader(true, 0), 'b': s.durable("b").NewReader(true, 0)}
			_, m1 := s.publish(0, 1, 3)
			_, m2 := s.publish(1, 1, 3) // under way together: either order is well for itself
			orders := map[rune][]string{'a': {m1, m2}, 'b': {m2, m1}}
			for i, r := range who {
				s.give(readers[r], orders[r][0], 2+float64(i)/10)
				orders[r] = orders[r][1:]
			}
			s.want(Disorder)
		})
	}
}

func TestLiveOrder_WhoMissesSomeStillAgreesWithTheOthers(t *testing.T) {
	o := newLiveOrder()
	for i := range 5000 {
		for reader := 1; reader <= 3; reader++ {
			if i%(reader+1) == 0 {
				continue // not live to this one
			}
			if other := o.add(liveKey{0, i}, reader, i); other != 0 {
				t.Fatalf("message %d: reader %d differs from %d, want none to", i, reader, other)
			}
		}
	}
	if len(o.index) > maxRecent {
		t.Errorf("%d messages are known, want at most %d", len(o.index), maxRecent)
	}
}

func TestChecker_CatchesWhatIsDeliveredAfterItsExpiry(t *testing.T) {
	s := newShow(t, at(3))
	r := s.durable("a").NewReader(true, 0)
	_, m1 := s.publish(0, 1, 2)
	_, m2 := s.publish(0, 2, 3)
	s.publish(0, 3, 4) // expired unseen: owed to nobody
	s.give(r, m1, 6, replayed)
	s.give(r, m2, 3+3+2.5, replayed)
	s.want(Stale)
}

func TestChecker_CatchesWhatComesAgainThoughItWasSettled(t *testing.T) {
	for _, c := range []struct {
		name    string
		again   float64
		trouble bool
		want    []Breach
	}{
		{"long after", 9, false, []Breach{Stale}},
		{"at once, on a new connection", 4, false, nil},
		{"acked in the midst of a fault", 9, true, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newShow(t)
			box := s.durable("a")
			if c.trouble {
				s.c.Trouble(Nodes, at(2))(at(3))
			}
			_, m1 := s.publish(0, 1, 2)
			r := box.NewReader(true, 0)
			s.give(r, m1, 2)
			r.Settled(m1, at(3))
			s.give(box.NewReader(true, 0), m1, c.again, replayed)
			s.want(c.want...)
		})
	}
}

// A fresh client moves to a node to which what the one before it acked is not known yet.
func TestChecker_WhatWasSettledHasNoPlaceInTheOrder(t *testing.T) {
	for _, settled := range []bool{true, false} {
		s := newShow(t)
		box := s.durable("a")
		_, m1 := s.publish(0, 1, 2)
		_, m2 := s.publish(1, 3, 4)
		before := box.NewReader(true, 0)
		s.give(before, m1, 2.5)
		if settled {
			before.Settled(m1, at(2.6))
		}
		fresh := box.NewReader(true, 0)
		s.give(fresh, m2, 4)
		s.give(fresh, m1, 4.5, replayed)
		if settled {
			s.want()
		} else {
			s.want(Disorder)
		}
	}
}

func TestChecker_CatchesWhatIsForeign(t *testing.T) {
	s := newShow(t)
	r := s.durable("a").NewReader(true, 0)
	_, other, payload := s.c.Publish(Publisher{Session: 1}, 0, at(1))
	otherID, _ := s.c.names.parse(other)
	s.c.Acked(otherID, 1, 0, at(1.5))
	s.give(r, other, 2, func(d *Delivery) { d.Payload = payload })
	s.give(r, "yesterday's", 2)
	s.give(r, s.c.names.messageID(ID{N: 7}), 2)
	_, m1 := s.publish(0, 1, 2)
	s.give(r, m1, 2, func(d *Delivery) { d.Topic = topicName(1) })
	s.give(r, m1, 3)
	r.Unopened(errors.New("another key"), at(3))
	s.want(Foreign, Foreign, Foreign, Foreign, Foreign)
}

func TestChecker_CatchesContentThatIsNotItsOwn(t *testing.T) {
	s := newShow(t)
	r := s.durable("a").NewReader(true, 0)
	_, m1 := s.publish(0, 1, 2)
	s.give(r, m1, 2, func(d *Delivery) { d.Payload = "something" })
	s.want(Corrupt)
}

func TestChecker_CatchesAnEcho(t *testing.T) {
	s := newShow(t)
	own := s.durable("a")
	id, m1, _ := s.c.Publish(Publisher{Own: own}, 0, at(1))
	s.c.Acked(id, 1, 0, at(2)) // owed to nobody
	s.give(own.NewReader(true, 0), m1, 2)
	s.want(Echo)
}

func TestChecker_CatchesPositionsThatChange(t *testing.T) {
	s := newShow(t)
	one, two := s.durable("a").NewReader(true, 0), s.durable("b").NewReader(true, 0)
	id1, m1 := s.publish(0, 1, 0)
	s.c.Acked(id1, 1, 5, at(2))
	s.c.Acked(id1, 1, 6, at(2)) // through another node
	_, m2 := s.publish(0, 3, 4)
	for _, r := range []*Reader{one, two} {
		s.give(r, m1, 2, seq(5))
		s.give(r, m2, 3, seq(5))
	}
	s.want(Renumbered, Renumbered)
}

func TestChecker_CatchesPublishesWithoutAnAnswer(t *testing.T) {
	s := newShow(t)
	s.publish(0, 1, 0)
	refused, _ := s.publish(0, 1, 0)
	s.c.Failed(refused, Refused, errors.New("no"), at(2))
	withdrawn, _ := s.publish(0, 1, 0)
	s.c.Withdrawn(withdrawn)
	if _, unacked := s.c.Outstanding(); unacked != 1 {
		t.Errorf("unacked = %d, want 1", unacked)
	}
	s.want(Unanswered, Refused)
}

func TestChecker_AnEphemeralSubscriberIsOwedWhatComesWhileItIsThere(t *testing.T) {
	s := newShow(t)
	b := s.c.NewMailbox("e", 0, Ephemeral, false)
	b.Subscribing(0)
	b.Subscribed(0, 0)
	s.publish(0, 25, 26)             // there all the time
	s.c.Trouble(Nodes, at(1))(at(2)) // over long ago
	s.publish(0, 50, 51)
	b.Gone(at(60))
	s.publish(0, 59, 60) // lost its connection meanwhile
	s.publish(0, 65, 66)
	b.Subscribed(0, at(70))
	s.publish(0, 71, 72) // just back
	s.publish(0, 80, 81)
	over := s.c.Trouble(Backplane, at(100))
	s.publish(0, 101, 102)
	over(at(110))
	s.want(Missed, Missed, Missed)
}

func TestFindings_KeepTheFirstWordsAndCountAll(t *testing.T) {
	var f findings
	for i := range 10 * maxEvidence {
		f.add(Lost, at(float64(i)), "%d", i)
	}
	if f.counts[Lost] != 10*maxEvidence || len(f.list) != maxEvidence || f.list[maxEvidence-1].Text != fmt.Sprint(maxEvidence-1) {
		t.Errorf("%d counted, %d in words, want %d and the first %d", f.counts[Lost], len(f.list), 10*maxEvidence, maxEvidence)
	}
}

func TestHistogram_QuantilesAreWithinAnEighth(t *testing.T) {
	var h Histogram
	for i := 1; i <= 10000; i++ {
		h.Add(time.Duration(i) * 100 * time.Microsecond)
	}
	for _, c := range []struct {
		q    float64
		want time.Duration
	}{{0.5, 500 * time.Millisecond}, {0.99, 990 * time.Millisecond}} {
		if got := h.Quantile(c.q); got < c.want || got > c.want+c.want/7 {
			t.Errorf("Quantile(%v) = %v, want %v to an eighth", c.q, got, c.want)
		}
	}
	if h.Max() != time.Second || h.Count() != 10000 {
		t.Errorf("Max = %v, Count = %d, want 1s, 10000", h.Max(), h.Count())
	}
}

func TestChecker_WhatIsOfQoS0ComesOnceToWhoIsThere(t *testing.T) {
	s := newShow(t)
	b := s.durable("a")
	r := b.NewReader(false, 0)
	publish := func(sent float64) (ID, string) {
		id, name, _ := s.c.Publish(Publisher{Once: true}, 0, at(sent))
		return id, name
	}
	once := func(d *Delivery) { d.Once = true }
	send := func(sent float64) string {
		id, name := publish(sent)
		s.c.Acked(id, 1, 0, at(sent+1))
		return name
	}
	s.give(r, send(10), 10, once)
	send(20) // missed
	again := send(30)
	s.give(r, again, 30, once)
	s.give(r, again, 31, once)              // repeated
	s.give(r, send(40), 40, once, replayed) // repeated
	s.give(r, send(50), 50)                 // corrupt: it does not say so
	b.Gone(at(60))
	send(60) // nobody was there
	id, _ := publish(70)
	s.c.Forgone(id, nil, at(70))
	id, _ = publish(71)
	s.c.Forgone(id, errors.New("no"), at(71)) // refused
	publish(80)                               // unanswered
	over := s.c.Trouble(Backplane, at(90))
	id, _ = publish(91)
	s.c.Forgone(id, errors.New("no"), at(91))
	over(at(92))
	s.want(Missed, Repeated, Repeated, Corrupt, Refused, Unanswered)
	if got := s.c.once; got != (Once{Published: 10, Acked: 6, Delivered: 4}) || s.c.published != 0 {
		t.Errorf("counted %+v and %d others, want 10, 6, 4 and none", got, s.c.published)
	}
}
