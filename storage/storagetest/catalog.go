package storagetest

import (
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/fastport/fastport/storage"
)

var catalogClaims = []claim{
	{"CreateSession_KeepsEveryField", storage.Options{}, func(r *rig) {
		want := NewSession()
		want.Suite, want.KeyCheck, want.Suspended = 2, "0011", true
		want.FCMKey, want.FCMConfig = []byte{0, 1, 255}, []byte("sealed")
		want.ExpiresAt = time.Now().Add(time.Hour).Truncate(time.Millisecond)
		r.ok(r.st.CreateSession(r.ctx(), want), "create")
		got, err := r.st.Session(r.ctx(), want.Name)
		r.ok(err, "session")
		if got.Version != 1 || got.CreatedAt.IsZero() || !got.ExpiresAt.Equal(want.ExpiresAt) {
			r.t.Fatalf("version %d, created %v, expires %v; want 1, a time, %v", got.Version, got.CreatedAt, got.ExpiresAt, want.ExpiresAt)
		}
		got.Version, got.CreatedAt, got.ExpiresAt = want.Version, want.CreatedAt, want.ExpiresAt
		if !reflect.DeepEqual(got, want) {
			r.t.Fatalf("session = %+v, want %+v", got, want)
		}
		plain := r.session()
		if got, err = r.st.Session(r.ctx(), plain.Name); err != nil || !got.ExpiresAt.IsZero() || got.Suspended {
			r.t.Fatalf("session = %+v (%v), want one that never expires and is not suspended", got, err)
		}
	}},
	{"CreateSession_RefusesATakenName", storage.Options{}, func(r *rig) {
		first := r.session()
		second := NewSession()
		second.Name = first.Name
		if err := r.st.CreateSession(r.ctx(), second); !is(err, storage.ErrExists) {
			r.t.Fatalf("error = %v, want ErrExists", err)
		}
		if got, err := r.st.Session(r.ctx(), first.Name); err != nil || got.ID != first.ID {
			r.t.Fatalf("session = %s (%v), want the first, %s", got.ID, err, first.ID)
		}
		if _, err := r.st.Session(r.ctx(), strings.ToUpper(first.Name)); !is(err, storage.ErrNotFound) {
			r.t.Fatalf("in capitals: %v, want ErrNotFound", err)
		}
	}},
	{"States_TellsWhatBecameOfEach", storage.Options{}, func(r *rig) {
		kept, suspended, dropped := r.session(), r.session(), r.session()
		_, err := r.st.SuspendSession(r.ctx(), suspended.Name, true)
		r.ok(err, "suspend")
		_, err = r.st.DropSession(r.ctx(), dropped.Name)
		r.ok(err, "drop")
		got, err := r.st.States(r.ctx(), []string{dropped.ID, suspended.ID, "", kept.ID, suspended.ID})
		r.ok(err, "states")
		want := []storage.State{{}, {Version: 2, Suspended: true}, {}, {Version: 1}, {Version: 2, Suspended: true}}
		if !slices.Equal(got, want) {
			r.t.Fatalf("states = %v, want %v", got, want)
		}
		if got, err := r.st.States(r.ctx(), nil); err != nil || len(got) != 0 {
			r.t.Fatalf("states of none = %v (%v)", got, err)
		}
		many := make([]string, 1000)
		for i := range many {
			many[i] = kept.ID
		}
		if got, err := r.st.States(r.ctx(), many); err != nil || len(got) != 1000 || got[999].Version != 1 {
			r.t.Fatalf("states of 1,000 = %d (%v)", len(got), err)
		}
	}},
	{"Sessions_ListsInPagesByBytes", storage.Options{}, func(r *rig) {
		for _, name := range []string{"b", "a", "_", "B", "a.1"} {
			r.session(func(ss *storage.Session) { ss.Name = name })
		}
		var got []string
		for after := ""; ; {
			page, err := r.st.Sessions(r.ctx(), "", after, 2)
			if r.ok(err, "sessions"); len(page) == 0 {
				break
			}
			for _, ss := range page {
				got = append(got, ss.Name)
			}
			after = page[len(page)-1].Name
		}
		if want := []string{"B", "_", "a", "a.1", "b"}; !slices.Equal(got, want) {
			r.t.Fatalf("listed %v, want %v", got, want)
		}
	}},
	{"SuspendSession_BumpsTheVersion", storage.Options{}, func(r *rig) {
		ss := r.session()
		for i, on := range []bool{true, false} {
			got, err := r.st.SuspendSession(r.ctx(), ss.Name, on)
			r.ok(err, "suspend")
			if got.Suspended != on || got.Version != int64(i)+2 || got.ID != ss.ID {
				r.t.Fatalf("suspend %v: %+v, want version %d", on, got, i+2)
			}
			if again, err := r.st.Session(r.ctx(), ss.Name); err != nil || !reflect.DeepEqual(again, got) {
				r.t.Fatalf("session = %+v (%v), want %+v", again, err, got)
			}
		}
		if _, err := r.st.SuspendSession(r.ctx(), "nobody", true); !is(err, storage.ErrNotFound) {
			r.t.Fatalf("error = %v, want ErrNotFound", err)
		}
	}},
	{"DropSession_TakesAllThatIsItsOwn", storage.Options{}, func(r *rig) {
		ss, other := r.session(), r.session()
		at, keep := storage.Topic{Session: ss.ID, Name: "news"}, storage.Topic{Session: other.ID, Name: "news"}
		for _, t := range []storage.Topic{at, keep} {
			r.subscribe("c:me", t)
			r.stored(entry(t, "a"))
		}
		got, err := r.st.DropSession(r.ctx(), ss.Name)
		if r.ok(err, "drop"); got.ID != ss.ID || got.Name != ss.Name {
			r.t.Fatalf("dropped %+v, want %s", got, ss.Name)
		}
		if _, err = r.st.DropSession(r.ctx(), ss.Name); !is(err, storage.ErrNotFound) {
			r.t.Fatalf("dropped again: %v, want ErrNotFound", err)
		}
		if _, err = r.st.Session(r.ctx(), ss.Name); !is(err, storage.ErrNotFound) {
			r.t.Fatalf("session: %v, want ErrNotFound", err)
		}
		r.outcome(r.append(entry(at, "b"))[0], storage.Failed, storage.ErrNoSession)
		if page, err := r.st.Read(r.ctx(), at, 0, 10, 1000); err != nil || len(page.Messages) != 0 || page.Head != 0 {
			r.t.Fatalf("read = %+v (%v), want nothing", page, err)
		}
		if subs, err := r.st.Attach(r.ctx(), ss.ID, "c:me", true); err != nil || len(subs) != 0 {
			r.t.Fatalf("attach = %v (%v), want nothing", subs, err)
		}
		if got := r.ack("c:me", at, 1, 1); got.Attach != 0 {
			r.t.Fatalf("settle = %+v, want attach 0", got)
		}
		r.sweep()
		if got := r.totals(); got.Sessions != 1 || got.Subscriptions != 1 || got.Messages != 1 || got.Bytes != int64(len("data of a")) {
			r.t.Fatalf("totals = %+v, want the other session's: 1, 1, 1, %d", got, len("data of a"))
		}
		heir := r.session(func(s *storage.Session) { s.Name = ss.Name }) // the name is free, and inherits nothing
		if sub := r.subscribe("c:me", storage.Topic{Session: heir.ID, Name: "news"}); sub.Head != 0 || len(sub.Settled) != 0 {
			r.t.Fatalf("subscription = %+v, want a new topic", sub)
		}
	}},
}
