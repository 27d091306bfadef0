package storagetest

import (
	"fmt"
	"slices"
	"sync"

	"github.com/fastport/fastport/storage"
)

var subscriptionClaims = []claim{
	{"Subscribe_StartsAtTheHeadAndKeepsItsPlace", storage.Options{}, func(r *rig) {
		at := r.topic()
		first := r.subscribe("c:old", at)
		if first.Head != 0 || len(first.Settled) != 0 || first.Attach < 1 || first.Subscriber != "c:old" || first.Topic != at || first.Epoch == "" {
			r.t.Fatalf("first subscription = %+v", first)
		}
		r.append(entry(at, "a"), entry(at, "b"))
		late := r.subscribe("c:new", at)
		if late.Head != 2 || !slices.Equal(late.Settled, storage.Span(1, 2)) {
			r.t.Fatalf("subscription = %+v, want it positioned at head 2", late)
		}
		r.append(entry(at, "c"))
		if again := r.subscribe("c:new", at); again.Head != 3 || !slices.Equal(again.Settled, storage.Span(1, 2)) || again.Attach != late.Attach {
			r.t.Fatalf("subscribed again = %+v, want the position of before, head 3, attach %d", again, late.Attach)
		}
		bumped, err := r.st.Subscribe(r.ctx(), "c:new", at, true)
		r.ok(err, "subscribe")
		if bumped.Attach != late.Attach+1 {
			r.t.Fatalf("attach = %d, want %d", bumped.Attach, late.Attach+1)
		}
		if same := r.subscribe("u:new", at); !slices.Equal(same.Settled, storage.Span(1, 3)) {
			r.t.Fatalf("u:new = %+v, want one of its own", same)
		}
	}},
	{"Subscribe_NeedsASessionAndASubscriber", storage.Options{}, func(r *rig) {
		_, err := r.st.Subscribe(r.ctx(), "c:me", storage.Topic{Session: randomID(), Name: "news"}, true)
		if !is(err, storage.ErrNoSession) {
			r.t.Fatalf("error = %v, want ErrNoSession", err)
		}
		over := r.session(func(ss *storage.Session) { ss.ExpiresAt = r.now() })
		if _, err = r.st.Subscribe(r.ctx(), "c:me", storage.Topic{Session: over.ID, Name: "news"}, true); !is(err, storage.ErrNoSession) {
			r.t.Fatalf("expired session: error = %v, want ErrNoSession", err)
		}
		if _, err = r.st.Subscribe(r.ctx(), "", r.topic(), true); !is(err, storage.ErrInvalid) {
			r.t.Fatalf("subscriber nobody: error = %v, want ErrInvalid", err)
		}
	}},
	{"Subscribe_HoldsASessionToItsQuota", storage.Options{DurableSubscribers: 2}, func(r *rig) {
		at, other := r.topic(), r.topic()
		r.subscribe("c:1", at)
		r.subscribe("c:2", at)
		if _, err := r.st.Subscribe(r.ctx(), "c:3", at, true); !is(err, storage.ErrQuota) {
			r.t.Fatalf("third: error = %v, want ErrQuota", err)
		}
		r.subscribe("c:1", at) // held already
		r.subscribe("c:3", other)
		r.unsubscribe("c:1", at)
		r.subscribe("c:3", at)
	}},
	{"Subscribe_HoldsASessionToItsTopics", storage.Options{Topics: 2}, func(r *rig) {
		at := r.topic()
		named := func(name string) storage.Topic { return storage.Topic{Session: at.Session, Name: name} }
		r.subscribe("c:1", named("a"))
		r.stored(entry(named("a"), "m"))
		r.subscribe("c:1", named("b"))
		if _, err := r.st.Subscribe(r.ctx(), "c:1", named("c"), true); !is(err, storage.ErrQuota) {
			r.t.Fatalf("third: error = %v, want ErrQuota", err)
		}
		r.subscribe("c:2", named("b"))
		r.unsubscribe("c:1", named("b"))
		r.unsubscribe("c:2", named("b")) // never had a message: leaves nothing
		r.subscribe("c:1", named("c"))
		r.subscribe("c:1", storage.Topic{Session: r.session().ID, Name: "a"}) // another session's quota
	}},
	{"Subscribe_RacingWithAppendOwesWhatIsBehindIt", storage.Options{}, raceSubscribe},
	{"Unsubscribe_ForgetsTheSubscription", storage.Options{}, func(r *rig) {
		at := r.topic()
		r.unsubscribe("c:nobody", at)
		r.subscribe("c:me", at)
		r.stored(entry(at, "a"))
		r.unsubscribe("c:me", at)
		r.unsubscribe("c:me", at)
		if got := r.ack("c:me", at, 1, 1); got.Attach != 0 || got.Subscriber != "c:me" || got.Topic != at {
			r.t.Fatalf("settle of one that is gone = %+v, want attach 0 and its names", got)
		}
		if got := r.subscribe("c:me", at); !slices.Equal(got.Settled, storage.Span(1, 1)) {
			r.t.Fatalf("settled = %v, want a new start at the head", got.Settled)
		}
	}},
	{"Attach_GivesAllThatASubscriberHolds", storage.Options{}, func(r *rig) {
		ss, other := r.session(), r.session()
		for _, name := range []string{"b", "é", "a", "B"} {
			at := storage.Topic{Session: ss.ID, Name: name}
			r.subscribe("c:me", at)
			r.subscribe("u:me", at)
			r.stored(entry(at, "m"))
		}
		r.subscribe("c:me", storage.Topic{Session: other.ID, Name: "a"})
		plain, err := r.st.Attach(r.ctx(), ss.ID, "c:me", false)
		r.ok(err, "attach")
		bumped, err := r.st.Attach(r.ctx(), ss.ID, "c:me", true)
		r.ok(err, "attach")
		if len(plain) != 4 || len(bumped) != 4 {
			r.t.Fatalf("attach gave %d and %d subscriptions, want 4", len(plain), len(bumped))
		}
		for i, name := range []string{"B", "a", "b", "é"} {
			p, b := plain[i], bumped[i]
			if p.Topic.Name != name || p.Head != 1 || len(p.Settled) != 0 || p.Subscriber != "c:me" || p.Topic.Session != ss.ID || p.Epoch == "" {
				r.t.Fatalf("subscription %d = %+v, want topic %q at head 1, nothing settled", i, p, name)
			}
			if b.Attach != p.Attach+1 {
				r.t.Fatalf("attach = %d, want %d", b.Attach, p.Attach+1)
			}
		}
		none, err := r.st.Attach(r.ctx(), ss.ID, "c:nobody", true)
		if r.ok(err, "attach"); len(none) != 0 {
			r.t.Fatalf("attach of nobody = %v, want none", none)
		}
	}},
	{"Settle_TakesNothingOfAnotherHistory", storage.Options{}, func(r *rig) {
		at := r.topic()
		now := r.subscribe("c:me", at)
		r.append(entry(at, "a"), entry(at, "b"), entry(at, "c"))
		got, err := r.st.Settle(r.ctx(), []storage.Settlement{
			{Subscriber: "c:me", Topic: at, Acked: storage.Span(1, 1), GivenUp: storage.Span(2, 2), Attach: now.Attach, Epoch: now.Epoch + "x"},
			{Subscriber: "c:me", Topic: at, Acked: storage.Span(3, 3), Epoch: now.Epoch},
		})
		r.ok(err, "settle")
		for _, sub := range got {
			if !slices.Equal(sub.Settled, storage.Span(3, 3)) && !(len(sub.Settled) == 0 && sub.Epoch == now.Epoch) {
				r.t.Fatalf("settled = %v in %s, want 3 alone in %s", sub.Settled, sub.Epoch, now.Epoch)
			}
		}
		if again := r.subscribe("c:me", at); !slices.Equal(again.Settled, storage.Span(3, 3)) {
			r.t.Fatalf("settled = %v, want 3 alone: the rest speaks of other messages", again.Settled)
		}
	}},
	{"Settle_MergesAndGivesWhatItMerged", storage.Options{}, func(r *rig) {
		a := r.topic()
		b := storage.Topic{Session: a.Session, Name: "other"}
		r.subscribe("c:me", a)
		r.subscribe("c:me", b)
		for i := range 9 {
			r.append(entry(a, fmt.Sprint(i)), entry(b, fmt.Sprint(i)))
		}
		r.ack("c:me", a, 2, 3)
		got, err := r.st.Settle(r.ctx(), []storage.Settlement{
			{Subscriber: "c:me", Topic: b, Acked: storage.Span(1, 1)},
			{Subscriber: "c:nobody", Topic: b, Acked: storage.Span(1, 9)},
			{Subscriber: "c:me", Topic: a, Acked: storage.Ranges{{Lo: 1, Hi: 1}, {Lo: 7, Hi: 8}}},
			{Subscriber: "c:me", Topic: b, Acked: storage.Span(5, 5)}, // the same one twice in a batch
			{Subscriber: "c:me", Topic: a},
		})
		r.ok(err, "settle")
		for i, want := range []storage.Ranges{
			{{Lo: 1, Hi: 1}}, nil, {{Lo: 1, Hi: 3}, {Lo: 7, Hi: 8}}, {{Lo: 1, Hi: 1}, {Lo: 5, Hi: 5}}, {{Lo: 1, Hi: 3}, {Lo: 7, Hi: 8}},
		} {
			// The row may be read once for the whole batch: then the first of two shows the second's, too.
			ok := slices.Equal(got[i].Settled, want) || i == 0 && slices.Equal(got[0].Settled, got[3].Settled)
			if !ok || want != nil && (got[i].Head != 9 || got[i].Attach < 1) || want == nil && got[i].Attach != 0 {
				r.t.Fatalf("settle %d gave %+v, want settled %v", i, got[i], want)
			}
		}
	}},
	{"Settle_NeverReachesBeyondTheHead", storage.Options{}, func(r *rig) {
		at := r.topic()
		r.subscribe("c:me", at)
		r.stored(entry(at, "a"))
		if got := r.ack("c:me", at, 1, 1<<40); !slices.Equal(got.Settled, storage.Span(1, 1)) {
			r.t.Fatalf("settled = %v, want 1 alone", got.Settled)
		}
		r.stored(entry(at, "b"))
		r.sweep()
		if got := r.seqs(at); !slices.Equal(got, []uint64{2}) {
			r.t.Fatalf("stored = %v, want 2: it is still owed", got)
		}
	}},
	{"Settle_CountsAGiveUpOnlyUnderTheCurrentAttach", storage.Options{}, func(r *rig) {
		at := r.topic()
		old := r.subscribe("c:me", at)
		r.append(entry(at, "a"), entry(at, "b"), entry(at, "c"))
		now, err := r.st.Attach(r.ctx(), at.Session, "c:me", true)
		r.ok(err, "attach")
		got := r.settle(storage.Settlement{Subscriber: "c:me", Topic: at, Acked: storage.Span(1, 1), GivenUp: storage.Span(2, 2), Attach: old.Attach})
		if !slices.Equal(got.Settled, storage.Span(1, 1)) || got.Attach != now[0].Attach {
			r.t.Fatalf("under a stale attach: %+v, want the ack alone and attach %d", got, now[0].Attach)
		}
		got = r.settle(storage.Settlement{Subscriber: "c:me", Topic: at, GivenUp: storage.Span(3, 3), Attach: now[0].Attach})
		if !slices.Equal(got.Settled, storage.Ranges{{Lo: 1, Hi: 1}, {Lo: 3, Hi: 3}}) {
			r.t.Fatalf("settled = %v, want 1 and 3", got.Settled)
		}
	}},
	{"Settle_LosesNothingToAnother", storage.Options{}, func(r *rig) {
		at := r.topic()
		r.subscribe("c:me", at)
		const n = 40
		for i := range n {
			r.stored(entry(at, fmt.Sprint(i)))
		}
		var wg sync.WaitGroup
		for w := range 4 {
			wg.Go(func() {
				for seq := uint64(w + 1); seq <= n; seq += 4 {
					_, err := r.st.Settle(r.ctx(), []storage.Settlement{{Subscriber: "c:me", Topic: at, Acked: storage.Span(seq, seq)}})
					if err != nil {
						r.t.Errorf("settle: %v", err)
					}
				}
			})
		}
		wg.Wait()
		if got := r.subscribe("c:me", at).Settled; !slices.Equal(got, storage.Span(1, n)) {
			r.t.Fatalf("settled = %v, want 1 to %d", got, n)
		}
	}},
}
