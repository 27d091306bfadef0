package storagetest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fastport/fastport/storage"
)

func is(err, want error) bool {
	if want == nil {
		return err == nil
	}
	return errors.Is(err, want)
}

var appendClaims = []claim{
	{"Append_NumbersWithoutGapsInTheOrderGiven", storage.Options{}, func(r *rig) {
		a := r.topic()
		b := storage.Topic{Session: a.Session, Name: "other"}
		r.subscribe("c:reader", a)
		r.subscribe("c:reader", b)
		next := map[storage.Topic]uint64{a: 1, b: 1}
		for g := range 20 {
			var group []storage.Entry
			for i := range g % 7 { // empty groups too
				group = append(group, entry([]storage.Topic{a, b, a}[i%3], fmt.Sprintf("m-%d-%d", g, i)))
			}
			for i, got := range r.append(group...) {
				r.outcome(got, storage.Stored, nil)
				if want := next[group[i].Topic]; got.Seq != want {
					r.t.Fatalf("seq = %d, want %d", got.Seq, want)
				}
				next[group[i].Topic]++
			}
		}
		heads, _, err := r.st.Heads(r.ctx(), []storage.Topic{b, a})
		r.ok(err, "heads")
		if want := []uint64{next[b] - 1, next[a] - 1}; !slices.Equal(heads, want) {
			r.t.Fatalf("heads = %v, want %v", heads, want)
		}
	}},
	{"Append_KeepsEveryFieldOfAMessage", storage.Options{}, func(r *rig) {
		at := r.topic()
		r.subscribe("u:reader", at)
		before := r.now()
		e := storage.Entry{
			Topic: at, MessageID: "mé-1", Origin: "c:writer", Data: []byte("\x00\xff\x00 data"), Hash: "abc",
			Timestamp: -7, Expiry: 90 * time.Second,
		}
		want := bytes.Clone(e.Data)
		r.stored(e)
		r.stored(storage.Entry{Topic: at, MessageID: "empty", Expiry: time.Hour})
		e.Data[0] = 'X' // the caller's buffer is the caller's again
		got := r.read(at, 0)
		if len(got) != 2 || len(got[1].Data) != 0 {
			r.t.Fatalf("read %d messages, want 2, the second empty: %+v", len(got), got)
		}
		m := got[0]
		if m.Seq != 1 || m.MessageID != e.MessageID || m.Origin != e.Origin || !bytes.Equal(m.Data, want) || m.Hash != e.Hash || m.Timestamp != e.Timestamp {
			r.t.Fatalf("read %+v, want what was appended: %+v", m, e)
		}
		if slack := 2 * time.Millisecond; m.StoredAt.Before(before.Add(-slack)) || m.StoredAt.After(r.now().Add(slack)) {
			r.t.Fatalf("stored at %v, want between %v and now", m.StoredAt, before)
		}
		if d := m.ExpiresAt.Sub(m.StoredAt) - e.Expiry; d < -2*time.Millisecond || d > 2*time.Millisecond {
			r.t.Fatalf("expires %v after it was stored, want %v", m.ExpiresAt.Sub(m.StoredAt), e.Expiry)
		}
	}},
	{"Append_TakesLargeMessages", storage.Options{}, func(r *rig) {
		at := r.topic()
		r.subscribe("c:reader", at)
		e := entry(at, "large")
		e.Data = bytes.Repeat([]byte("0123456789abcdef"), 1<<18) // 4 MiB
		r.stored(e)
		r.stored(entry(at, "small"))
		got := r.read(at, 0)
		if len(got) != 2 || !bytes.Equal(got[0].Data, e.Data) {
			r.t.Fatalf("%d messages, want 2 and the first as it was", len(got))
		}
	}},
	{"Append_AnswersARepeatWithItsOldSeq", storage.Options{}, func(r *rig) {
		at := r.topic()
		r.subscribe("c:reader", at)
		group := r.append(entry(at, "a"), entry(at, "b"), entry(at, "a"), entry(at, "c"))
		r.outcome(group[2], storage.Repeat, nil)
		if group[2].Seq != 1 || group[3].Seq != 3 {
			r.t.Fatalf("repeat within a group: seqs %d and %d, want 1 and 3", group[2].Seq, group[3].Seq)
		}
		again := r.append(entry(at, "c"), entry(at, "b"))
		r.outcome(again[0], storage.Repeat, nil)
		r.outcome(again[1], storage.Repeat, nil)
		if again[0].Seq != 3 || again[1].Seq != 2 {
			r.t.Fatalf("repeats: seqs %d and %d, want 3 and 2", again[0].Seq, again[1].Seq)
		}
		if got := r.seqs(at); !slices.Equal(got, []uint64{1, 2, 3}) {
			r.t.Fatalf("stored = %v, want 1, 2, 3", got)
		}
		other := storage.Topic{Session: at.Session, Name: "other"}
		r.subscribe("c:reader", other)
		if got := r.stored(entry(other, "a")); got != 1 {
			r.t.Fatalf("the same id on another topic: seq %d, want 1", got)
		}
	}},
	{"Append_KnowsARepeatWhenItsMessageIsGone", storage.Options{}, func(r *rig) {
		at := r.topic()
		r.subscribe("c:reader", at)
		seq := r.stored(entry(at, "a"))
		r.ack("c:reader", at, seq, seq)
		r.sweep()
		if left := r.seqs(at); len(left) != 0 {
			r.t.Fatalf("stored = %v, want nothing", left)
		}
		r.unsubscribe("c:reader", at)
		got := r.append(entry(at, "a"))[0] // nobody is there any more, and still it is what it was
		r.outcome(got, storage.Repeat, nil)
		if got.Seq != seq {
			r.t.Fatalf("seq = %d, want %d", got.Seq, seq)
		}
	}},
	{"Append_TakesAnIDAnewAfterTheWindow", storage.Options{DedupeWindow: 300 * time.Millisecond}, func(r *rig) {
		at := r.topic()
		r.subscribe("c:reader", at)
		r.stored(entry(at, "a"))
		r.stored(entry(at, "b"))
		r.pass(350 * time.Millisecond)
		if got := r.stored(entry(at, "a")); got != 3 { // not swept yet
			r.t.Fatalf("seq = %d, want 3", got)
		}
		if got := r.append(entry(at, "a"))[0]; got.Outcome == storage.Repeat && got.Seq != 3 { // unless the window is over again
			r.t.Fatalf("seq = %d, want that of the newer, 3", got.Seq)
		}
		r.pass(350 * time.Millisecond)
		if got := r.sweep(); got.IDs < 2 {
			r.t.Fatalf("swept ids = %d, want at least 2", got.IDs)
		}
		if got := r.stored(entry(at, "b")); got < 4 {
			r.t.Fatalf("seq = %d, want a new one", got)
		}
	}},
	{"Append_StoresNothingThatNobodyIsOwed", storage.Options{}, func(r *rig) {
		at := r.topic()
		from := func(id string) storage.Entry { e := entry(at, id); e.Origin = "c:me"; return e }
		r.outcome(r.append(entry(at, "a"))[0], storage.NotStored, nil)
		r.subscribe("c:me", at)
		r.outcome(r.append(from("b"))[0], storage.NotStored, nil)
		r.subscribe("c:reader", at)
		if got := r.stored(from("b")); got != 1 { // neither id nor seq was kept
			r.t.Fatalf("seq = %d, want 1", got)
		}
		r.unsubscribe("c:reader", at)
		got := r.append(from("c"), entry(at, "d"))
		r.outcome(got[0], storage.NotStored, nil)
		r.outcome(got[1], storage.Stored, nil) // not mine: I am owed it
		r.unsubscribe("c:me", at)
		r.outcome(r.append(entry(at, "e"))[0], storage.NotStored, nil)
		if got := r.totals(); got.Messages != 2 {
			r.t.Fatalf("messages = %d, want 2", got.Messages)
		}
	}},
	{"Append_SettlesTheOriginsOwn", storage.Options{}, func(r *rig) {
		at := r.topic()
		r.subscribe("c:me", at)
		r.subscribe("c:reader", at)
		mine := entry(at, "a")
		mine.Origin = "c:me"
		r.append(mine, entry(at, "b"))
		mine.MessageID = "c"
		r.append(mine, mine)
		if got := r.subscribe("c:me", at).Settled; !slices.Equal(got, storage.Ranges{{Lo: 1, Hi: 1}, {Lo: 3, Hi: 3}}) {
			r.t.Fatalf("the origin's settled = %v, want 1 and 3", got)
		}
		if got := r.subscribe("c:reader", at).Settled; len(got) != 0 {
			r.t.Fatalf("the reader's settled = %v, want none", got)
		}
	}},
	{"Append_RefusesWithoutASession", storage.Options{}, func(r *rig) {
		at := r.topic()
		r.subscribe("c:reader", at)
		over := r.session(func(ss *storage.Session) { ss.ExpiresAt = r.now().Add(300 * time.Millisecond) })
		gone := storage.Topic{Session: randomID(), Name: "news"}
		r.pass(310 * time.Millisecond)
		got := r.append(entry(gone, "a"), entry(storage.Topic{Session: over.ID, Name: "news"}, "b"), entry(at, "c"))
		r.outcome(got[0], storage.Failed, storage.ErrNoSession)
		r.outcome(got[1], storage.Failed, storage.ErrNoSession)
		r.outcome(got[2], storage.Stored, nil)
	}},
	{"Append_HoldsASessionToItsQuota", storage.Options{StoredBytes: 1000}, func(r *rig) {
		at, other := r.topic(), r.topic()
		second := storage.Topic{Session: at.Session, Name: "second"}
		for _, t := range []storage.Topic{at, second, other} {
			r.subscribe("c:reader", t)
		}
		sized := func(at storage.Topic, id string, n int) storage.Entry {
			e := entry(at, id)
			e.Data = make([]byte, n)
			return e
		}
		got := r.append(sized(at, "a", 600), sized(second, "b", 401), sized(other, "c", 900), sized(second, "d", 400), sized(at, "a", 600))
		r.outcome(got[0], storage.Stored, nil)
		r.outcome(got[1], storage.Failed, storage.ErrQuota)
		r.outcome(got[2], storage.Stored, nil) // another session's quota
		r.outcome(got[3], storage.Stored, nil)
		r.outcome(got[4], storage.Repeat, nil) // costs nothing
		r.outcome(r.append(sized(at, "e", 1))[0], storage.Failed, storage.ErrQuota)
		r.ack("c:reader", at, 1, 1)
		r.sweep()
		r.outcome(r.append(sized(at, "e", 600))[0], storage.Stored, nil)
	}},
	{"Append_FailsAPoisonousMemberAlone", storage.Options{}, func(r *rig) {
		at := r.topic()
		r.subscribe("c:reader", at)
		poison := func(edit func(*storage.Entry)) storage.Entry { e := entry(at, "p"+randomID()); edit(&e); return e }
		group := []storage.Entry{
			entry(at, "a"),
			poison(func(e *storage.Entry) { e.MessageID += "\x00" }),
			poison(func(e *storage.Entry) { e.Hash = "\x00" }),
			poison(func(e *storage.Entry) { e.Topic.Name = "new\x00s" }),
			poison(func(e *storage.Entry) { e.Origin = "c:\x00" }),
			poison(func(e *storage.Entry) { e.Topic.Session = "\x00" }),
			poison(func(e *storage.Entry) { e.MessageID = "\xff\xfe" }),
			entry(at, "b"),
		}
		got := r.append(group...)
		r.outcome(got[0], storage.Stored, nil)
		r.outcome(got[len(got)-1], storage.Stored, nil)
		for i, g := range got { // a store that can hold such text may
			if g.Outcome == storage.Failed && !is(g.Err, storage.ErrInvalid) && !is(g.Err, storage.ErrNoSession) {
				r.t.Fatalf("entry %d: %v, want it stored, ErrInvalid or ErrNoSession", i, g.Err)
			}
		}
		last := uint64(0)
		for _, seq := range r.seqs(at) {
			if seq != last+1 {
				r.t.Fatalf("seq %d after %d", seq, last)
			}
			last = seq
		}
	}},
	{"Append_FailsEachFaultOfAGroupAlone", storage.Options{StoredBytes: 1000}, func(r *rig) {
		good, full := r.topic(), r.topic()
		dropped := r.session()
		gone := storage.Topic{Session: dropped.ID, Name: "news"}
		for _, at := range []storage.Topic{good, full, gone} {
			r.subscribe("c:reader", at)
		}
		_, err := r.st.DropSession(r.ctx(), dropped.Name)
		r.ok(err, "drop session")
		large, poison := entry(full, "large"), entry(good, "poison\x00")
		large.Data = make([]byte, 1001)
		got := r.append(entry(good, "a"), large, entry(gone, "b"), poison, entry(full, "c"), entry(good, "d"))
		r.outcome(got[0], storage.Stored, nil)
		r.outcome(got[1], storage.Failed, storage.ErrQuota)
		r.outcome(got[2], storage.Failed, storage.ErrNoSession)
		if got[3].Outcome == storage.Failed && !is(got[3].Err, storage.ErrInvalid) { // a store that can hold it may
			r.t.Fatalf("poison: %v, want ErrInvalid", got[3].Err)
		}
		r.outcome(got[4], storage.Stored, nil)
		r.outcome(got[5], storage.Stored, nil)
		if got[4].Seq != 1 || got[5].Seq != uint64(len(r.seqs(good))) {
			r.t.Fatalf("seqs %d and %d, want no gaps", got[4].Seq, got[5].Seq)
		}
	}},
	{"Append_KeepsSessionsApart", storage.Options{}, func(r *rig) {
		a, b := r.topic(), r.topic() // same names
		r.subscribe("c:reader", a)
		r.outcome(r.append(entry(b, "m"))[0], storage.NotStored, nil)
		r.subscribe("c:reader", b)
		got := r.append(entry(a, "m"), entry(a, "n"), entry(b, "m"))
		for _, g := range got {
			r.outcome(g, storage.Stored, nil)
		}
		if got[2].Seq != 1 {
			r.t.Fatalf("seq = %d, want 1", got[2].Seq)
		}
		r.ack("c:reader", a, 1, 2)
		r.sweep()
		if la, lb := len(r.seqs(a)), len(r.seqs(b)); la != 0 || lb != 1 {
			r.t.Fatalf("left %d and %d messages, want 0 and 1", la, lb)
		}
		r.unsubscribe("c:reader", a)
		if got := r.subscribe("c:reader", b); got.Settled.Count() != 0 || got.Head != 1 {
			r.t.Fatalf("b's subscription = %+v, want it untouched", got)
		}
	}},
}
