package storagetest

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/fastport/fastport/storage"
)

var retentionClaims = []claim{
	{"Sweep_KeepsAMessageUntilAllHaveSettledIt", storage.Options{}, func(r *rig) {
		at := r.topic()
		subs := []storage.Subscriber{"c:1", "c:2", "u:3"}
		for _, sub := range subs {
			r.subscribe(sub, at)
		}
		for i := range 4 {
			r.stored(entry(at, fmt.Sprint(i)))
		}
		r.ack("c:1", at, 1, 4)
		r.ack("c:2", at, 2, 3)
		attach := r.subscribe("u:3", at).Attach
		if got := r.sweep(); !reflect.DeepEqual(got, storage.Swept{}) {
			r.t.Fatalf("swept %+v, want nothing: u:3 is owed all", got)
		}
		r.settle(storage.Settlement{Subscriber: "u:3", Topic: at, Acked: storage.Span(3, 3), GivenUp: storage.Span(2, 2), Attach: attach})
		if got := r.sweep(); got.Settled != 2 {
			r.t.Fatalf("swept %+v, want 2 settled", got)
		}
		if got := r.seqs(at); !slices.Equal(got, []uint64{1, 4}) {
			r.t.Fatalf("stored = %v, want 1 and 4", got)
		}
		r.unsubscribe("c:2", at)
		r.unsubscribe("u:3", at)
		if got := r.sweep(); got.Settled != 2 {
			r.t.Fatalf("swept %+v, want the other 2: those who were owed them left", got)
		}
		if got := r.totals(); got.Messages != 0 || got.Bytes != 0 {
			r.t.Fatalf("totals = %+v, want no message", got)
		}
		if got := r.stored(entry(at, "next")); got != 5 {
			r.t.Fatalf("seq = %d, want 5: the head never falls", got)
		}
		r.unsubscribe("c:1", at)
		if got := r.sweep(); got.Settled != 1 {
			r.t.Fatalf("swept %+v, want the last: nobody is left", got)
		}
		r.subscribe("c:1", at)
		if got := r.stored(entry(at, "after")); got != 6 {
			r.t.Fatalf("seq = %d, want 6", got)
		}
	}},
	{"Sweep_TakesMoreThanABite", storage.Options{}, func(r *rig) {
		at := r.topic()
		r.subscribe("c:1", at)
		const n = 3000
		var group []storage.Entry
		for i := range n {
			group = append(group, entry(at, fmt.Sprint(i)))
		}
		r.append(group...)
		r.ack("c:1", at, 1, n-1)
		if got := r.sweep(); got.Settled != n-1 {
			r.t.Fatalf("swept %d, want %d", got.Settled, n-1)
		}
		if got := r.seqs(at); !slices.Equal(got, []uint64{n}) {
			r.t.Fatalf("stored = %v, want %d", got, n)
		}
		if got := r.sweep(); !reflect.DeepEqual(got, storage.Swept{}) {
			r.t.Fatalf("swept again: %+v, want nothing", got)
		}
	}},
	{"Sweep_RemovesSubscriptionsNotSeen", storage.Options{}, func(r *rig) {
		ss := r.session(func(ss *storage.Session) { ss.SubscriptionExpiry = time.Second })
		at := storage.Topic{Session: ss.ID, Name: "news"}
		steady := r.topic()
		r.subscribe("c:gone", steady) // that session's lasts a day
		for _, sub := range []storage.Subscriber{"c:seen", "c:attached", "c:again", "c:gone"} {
			r.subscribe(sub, at)
		}
		r.stored(entry(at, "a"))
		r.pass(600 * time.Millisecond)
		r.ok(r.st.Seen(r.ctx(), ss.ID, []storage.Subscriber{"c:seen", "c:nobody"}), "seen")
		_, err := r.st.Attach(r.ctx(), ss.ID, "c:attached", false)
		r.ok(err, "attach")
		r.subscribe("c:again", at)
		renewed := r.now()
		r.pass(410 * time.Millisecond)
		got := r.sweep()
		if r.now().Before(renewed.Add(time.Second)) && got.Subscriptions != 1 { // else the machine stood still
			r.t.Fatalf("swept %d subscriptions, want c:gone alone", got.Subscriptions)
		}
		if sub := r.ack("c:gone", at, 1, 1); sub.Attach != 0 {
			r.t.Fatalf("c:gone is still there: %+v", sub)
		}
		r.pass(time.Second)
		if got.Subscriptions += r.sweep().Subscriptions; got.Subscriptions != 4 {
			r.t.Fatalf("swept %d subscriptions in all, want 4", got.Subscriptions)
		}
		if got := r.totals(); got.Messages != 0 || got.Subscriptions != 1 {
			r.t.Fatalf("totals = %+v, want no message and the other session's subscription", got)
		}
	}},
	{"Sweep_RemovesSessionsPastTheirEnd", storage.Options{}, func(r *rig) {
		end := r.now().Add(400 * time.Millisecond).Truncate(time.Millisecond)
		ss := r.session(func(ss *storage.Session) { ss.ExpiresAt, ss.FCMConfig = end, []byte("sealed") })
		at := storage.Topic{Session: ss.ID, Name: "news"}
		if _, err := r.st.Subscribe(r.ctx(), "c:me", at, true); err == nil { // else the machine stood still
			r.append(entry(at, "a"))
		}
		keep := r.session()
		if d := end.Sub(r.now()); d > 0 {
			r.pass(d + time.Millisecond)
		}
		if _, err := r.st.Session(r.ctx(), ss.Name); err != nil {
			r.t.Fatalf("before the sweep: %v, want it found", err)
		}
		got := r.sweep()
		if len(got.Sessions) != 1 || got.Sessions[0].ID != ss.ID || got.Sessions[0].Name != ss.Name || !got.Sessions[0].ExpiresAt.Equal(end) {
			r.t.Fatalf("swept sessions %+v, want %s", got.Sessions, ss.Name)
		}
		if _, err := r.st.Session(r.ctx(), ss.Name); !is(err, storage.ErrNotFound) {
			r.t.Fatalf("after the sweep: %v, want ErrNotFound", err)
		}
		if _, err := r.st.Session(r.ctx(), keep.Name); err != nil {
			r.t.Fatalf("the other session: %v", err)
		}
		if got := r.totals(); got != (storage.Totals{Sessions: 1}) {
			r.t.Fatalf("totals = %+v, want one session and nothing else", got)
		}
	}},
}
