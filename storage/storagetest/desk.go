package storagetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/fastport/fastport/storage"
)

var deskClaims = []claim{
	{"Audits_AreListedNewestFirstInPages", storage.Options{}, func(r *rig) {
		before := r.now()
		for i := range 5 {
			r.ok(r.st.SaveAudit(r.ctx(), storage.Audit{User: "root", Action: "session.drop", Target: fmt.Sprint("s", i), From: "192.0.2.1", Node: "n1", Result: storage.AuditOK}), "save audit")
		}
		var got []string
		for last := int64(0); ; {
			page, err := r.st.Audits(r.ctx(), last, 2)
			if r.ok(err, "audits"); len(page) == 0 {
				break
			}
			for _, a := range page {
				got = append(got, a.Target)
				if a.User != "root" || a.Action != "session.drop" || a.From != "192.0.2.1" || a.Node != "n1" || a.Result != "ok" || a.At.Before(before.Add(-time.Millisecond)) {
					r.t.Errorf("audit = %+v", a)
				}
			}
			last = page[len(page)-1].ID
		}
		if want := []string{"s4", "s3", "s2", "s1", "s0"}; !slices.Equal(got, want) {
			r.t.Fatalf("listed %v, want %v", got, want)
		}
	}},
	{"Audits_FailuresDoNotPushOutWhatWasDone", storage.Options{Audits: 3}, func(r *rig) {
		save := func(target, result string) {
			r.ok(r.st.SaveAudit(r.ctx(), storage.Audit{User: "root", Action: "login", Target: target, Result: result}), "save audit")
		}
		for i := range 4 {
			save(fmt.Sprint("done", i), storage.AuditOK)
		}
		for i := range 6 {
			save(fmt.Sprint("failed", i), "unauthorized")
		}
		page, err := r.st.Audits(r.ctx(), 0, 100)
		r.ok(err, "audits")
		var got []string
		for _, a := range page {
			got = append(got, a.Target)
		}
		if want := []string{"failed5", "failed4", "failed3", "done3", "done2", "done1"}; !slices.Equal(got, want) {
			r.t.Fatalf("kept %v, want %v", got, want)
		}
	}},
	{"Sessions_MatchesAnywhereAndInAnyCase", storage.Options{}, func(r *rig) {
		for _, name := range []string{"Acme-Chat", "acme-files", "beta", "x.ACME", "100%_a"} {
			r.session(func(ss *storage.Session) { ss.Name = name })
		}
		for match, want := range map[string][]string{
			"acme": {"Acme-Chat", "acme-files", "x.ACME"}, "FILES": {"acme-files"}, "%": {"100%_a"}, "_": {"100%_a"}, "none": nil,
		} {
			page, err := r.st.Sessions(r.ctx(), match, "", 10)
			r.ok(err, "sessions")
			var got []string
			for _, ss := range page {
				got = append(got, ss.Name)
			}
			if !slices.Equal(got, want) {
				r.t.Errorf("%q: %v, want %v", match, got, want)
			}
		}
		page, err := r.st.Sessions(r.ctx(), "acme", "Acme-Chat", 1)
		if r.ok(err, "sessions"); len(page) != 1 || page[0].Name != "acme-files" {
			r.t.Errorf("the second page = %+v", page)
		}
	}},
	{"Usage_IsTheSessionsOwn", storage.Options{}, func(r *rig) {
		ss, other := r.session(), r.session()
		for _, id := range []string{ss.ID, other.ID} {
			at := storage.Topic{Session: id, Name: "news"}
			r.subscribe("c:1", at)
			r.subscribe("u:ann", at)
			r.stored(storage.Entry{Topic: at, MessageID: "m", Data: []byte("12345"), Expiry: time.Hour, Wake: time.Hour})
		}
		r.subscribe("c:1", storage.Topic{Session: ss.ID, Name: "more"})
		for _, d := range []string{"ann 1", "ann 2", "bob 1"} {
			r.ok(r.st.SaveDevice(r.ctx(), storage.Device{Session: ss.ID, User: d[:3], ID: d[4:], Platform: "ios", Token: []byte{1}}), "save device")
		}
		got, err := r.st.Usage(r.ctx(), ss.ID)
		r.ok(err, "usage")
		if want := (storage.Usage{Topics: 2, Subscriptions: 3, Messages: 1, Bytes: 5, Devices: 3, Users: 2, Wakes: 1}); got != want {
			r.t.Errorf("usage = %+v, want %+v", got, want)
		}
		if got, err := r.st.Usage(r.ctx(), "nobody's"); err != nil || got != (storage.Usage{}) {
			r.t.Errorf("usage of none = %+v (%v)", got, err)
		}
	}},
	{"SessionDevices_ArePagedWithoutTheirTokens", storage.Options{}, func(r *rig) {
		ss, other := r.session(), r.session()
		for _, d := range []string{"bob 1", "ann 2", "ann 1", "zoe 1"} {
			for _, id := range []string{ss.ID, other.ID} {
				r.ok(r.st.SaveDevice(r.ctx(), storage.Device{Session: id, User: d[:3], ID: d[4:], Platform: "ios", Token: []byte("secret")}), "save device")
			}
		}
		var got []string
		for last := (storage.Device{}); ; {
			page, err := r.st.SessionDevices(r.ctx(), ss.ID, last.User, last.ID, 3)
			if r.ok(err, "session devices"); len(page) == 0 {
				break
			}
			for _, d := range page {
				got = append(got, d.User+" "+d.ID)
				if len(d.Token) > 0 || d.Session != ss.ID || d.Platform != "ios" || d.CreatedAt.IsZero() || d.UpdatedAt.IsZero() {
					r.t.Errorf("device = %+v", d)
				}
			}
			last = page[len(page)-1]
		}
		if want := []string{"ann 1", "ann 2", "bob 1", "zoe 1"}; !slices.Equal(got, want) {
			r.t.Fatalf("listed %v, want %v", got, want)
		}
	}},
	{"Find_TellsWhereAMessageIsAndWhoIsOwedIt", storage.Options{}, func(r *rig) {
		at := r.topic()
		r.subscribe("c:a", at)
		r.subscribe("c:b", at)
		r.subscribe("c:me", at)
		r.stored(entry(at, "before"))
		seq := r.stored(storage.Entry{Topic: at, MessageID: "m", Origin: "c:me", Data: []byte("12345"), Timestamp: 7, Expiry: time.Hour, Wake: time.Hour})
		r.ack("c:b", at, seq, seq)
		elsewhere := storage.Topic{Session: at.Session, Name: "other"}
		r.subscribe("c:a", elsewhere)
		r.stored(entry(elsewhere, "m"))
		stranger := r.topic()
		r.subscribe("c:a", stranger)
		r.stored(entry(stranger, "m"))

		got := r.find(at.Session, "", "m")
		if len(got) != 2 || got[0].Topic != at.Name || got[1].Topic != "other" {
			r.t.Fatalf("found %+v, want it on two topics of its session", got)
		}
		f := got[0]
		if f.Seq != seq || !f.Stored || f.Size != 5 || f.Timestamp != 7 || f.Origin != "c:me" || !f.Wake || f.Known.IsZero() ||
			f.ExpiresAt.Sub(f.StoredAt) != time.Hour || f.Subscriptions != 3 || f.Settled != 2 {
			r.t.Errorf("found %+v", f)
		}
		if want := []storage.Position{{Subscriber: "c:a"}, {Subscriber: "c:b", Settled: true}, {Subscriber: "c:me", Settled: true}}; !slices.Equal(f.Positions, want) {
			r.t.Errorf("positions %+v, want %+v", f.Positions, want)
		}
		if got := r.find(at.Session, "other", "m"); len(got) != 1 || got[0].Topic != "other" {
			r.t.Errorf("on one topic: %+v", got)
		}
		if got := r.find(at.Session, "", "unheard"); len(got) != 0 {
			r.t.Errorf("unheard of: %+v", got)
		}

		r.ack("c:a", at, seq, seq)
		r.sweep()
		got = r.find(at.Session, at.Name, "m")
		if len(got) != 1 || got[0].Seq != seq || got[0].Stored || got[0].Settled != 3 || got[0].Known.IsZero() {
			r.t.Errorf("settled by all: %+v, want it known by its id", got)
		}
	}},
	{"Find_KnowsAMessageThatOutlivesItsID", storage.Options{DedupeWindow: 50 * time.Millisecond}, func(r *rig) {
		at := r.topic()
		r.subscribe("c:a", at)
		seq := r.stored(entry(at, "m"))
		r.pass(100 * time.Millisecond)
		r.sweep()
		if got := r.find(at.Session, "", "m"); len(got) != 1 || got[0].Seq != seq || !got[0].Stored || !got[0].Known.IsZero() {
			r.t.Errorf("found %+v, want its row", got)
		}
	}},
	{"Find_ShowsAHundredSubscribersAndCountsAll", storage.Options{}, func(r *rig) {
		at := r.topic()
		for i := range storage.FoundPositions + 5 {
			r.subscribe(storage.Subscriber(fmt.Sprintf("c:%03d", i)), at)
		}
		seq := r.stored(entry(at, "m"))
		r.ack("c:000", at, seq, seq)
		f := r.find(at.Session, at.Name, "m")[0]
		if f.Subscriptions != storage.FoundPositions+5 || f.Settled != 1 || len(f.Positions) != storage.FoundPositions || f.Positions[0].Subscriber != "c:001" || f.Positions[0].Settled {
			r.t.Errorf("%d subscriptions, %d settled, %d positions from %+v", f.Subscriptions, f.Settled, len(f.Positions), f.Positions[0])
		}
	}},
}

func (r *rig) find(session, topic, id string) []storage.Found {
	r.t.Helper()
	got, err := r.st.Find(r.ctx(), session, topic, id)
	r.ok(err, "find")
	return got
}
