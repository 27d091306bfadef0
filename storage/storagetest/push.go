package storagetest

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/storage"
)

// Waiting for a due row costs a store whose clock cannot be moved real time.
const soon = 200 * time.Millisecond

var pushClaims = []claim{
	{"Devices_AreTheUsersOwnAndReplacedByID", storage.Options{}, func(r *rig) {
		ss, other := r.session().ID, r.session().ID
		save := func(session, user, id, token string) {
			r.t.Helper()
			r.ok(r.st.SaveDevice(r.ctx(), storage.Device{Session: session, User: user, ID: id, Platform: "ios", Token: []byte(token)}), "save device")
		}
		save(ss, "bob", "2", "b2")
		save(ss, "ann", "1", "old")
		save(ss, "ann", "1", "new")
		save(other, "ann", "1", "other")
		list := r.devices(ss, "bob", "ann", "nobody")
		if len(list) != 2 || list[0].User != "ann" || list[1].User != "bob" || string(list[0].Token) != "new" || list[0].Platform != "ios" {
			r.t.Fatalf("devices = %+v, want ann's 1 with its new token, then bob's 2", list)
		}
		if d := list[0]; d.CreatedAt.IsZero() || d.UpdatedAt.Before(d.CreatedAt) || d.Session != ss || d.ID != "1" {
			r.t.Errorf("device = %+v", d)
		}
		if gone, err := r.st.DeleteDevice(r.ctx(), ss, "ann", "1", []byte("old")); err != nil || gone {
			r.t.Fatalf("deleting under an old token: %v, %v; want it kept", gone, err)
		}
		if gone, err := r.st.DeleteDevice(r.ctx(), ss, "ann", "1", []byte("new")); err != nil || !gone {
			r.t.Fatalf("deleting under its token: %v, %v", gone, err)
		}
		if gone, err := r.st.DeleteDevice(r.ctx(), ss, "bob", "2", nil); err != nil || !gone {
			r.t.Fatalf("deleting: %v, %v", gone, err)
		}
		if gone, err := r.st.DeleteDevice(r.ctx(), ss, "bob", "2", nil); err != nil || gone {
			r.t.Fatalf("deleting what is gone: %v, %v", gone, err)
		}
		if list := r.devices(ss, "ann", "bob"); len(list) != 0 {
			r.t.Errorf("devices = %+v, want none", list)
		}
		if list := r.devices(other, "ann"); len(list) != 1 {
			r.t.Errorf("the other session's devices = %+v, want its one", list)
		}
	}},
	{"Devices_HaveALimitAndASession", storage.Options{}, func(r *rig) {
		ss := r.session()
		for i := range protocol.MaxDevices {
			r.ok(r.st.SaveDevice(r.ctx(), storage.Device{Session: ss.ID, User: "ann", ID: fmt.Sprint(i), Token: []byte{1}}), "save device")
		}
		if err := r.st.SaveDevice(r.ctx(), storage.Device{Session: ss.ID, User: "ann", ID: "more", Token: []byte{1}}); !is(err, storage.ErrQuota) {
			r.t.Errorf("one more: %v, want ErrQuota", err)
		}
		r.ok(r.st.SaveDevice(r.ctx(), storage.Device{Session: ss.ID, User: "ann", ID: "7", Token: []byte{2}}), "replace a device")
		if err := r.st.SaveDevice(r.ctx(), storage.Device{Session: randomID(), User: "ann", ID: "1", Token: []byte{1}}); !is(err, storage.ErrNoSession) {
			r.t.Errorf("without a session: %v, want ErrNoSession", err)
		}
		_, err := r.st.DropSession(r.ctx(), ss.Name)
		r.ok(err, "drop session")
		if list := r.devices(ss.ID, "ann"); len(list) != 0 {
			r.t.Errorf("%d devices outlived their session", len(list))
		}
	}},
	{"Wakes_AreThereForWhatAsksAndIsStored", storage.Options{}, func(r *rig) {
		ss := r.session(func(ss *storage.Session) { ss.FCMConfig = []byte("sealed") })
		at := storage.Topic{Session: ss.ID, Name: "news"}
		e := entry(at, "unheard")
		e.Wake = time.Millisecond
		r.append(e) // nobody is there: not stored
		r.subscribe("u:ann", at)
		r.stored(entry(at, "quiet"))
		e = entry(at, "loud")
		e.Wake, e.Timestamp, e.Data = time.Millisecond, 5, []byte("body")
		seq := r.stored(e)
		r.append(e) // a repeat
		late := entry(at, "late")
		late.Wake = time.Hour
		r.stored(late)
		r.pass(soon)
		got := r.claim(10, time.Hour)
		if len(got) != 1 {
			r.t.Fatalf("claimed %+v, want one row", got)
		}
		w := got[0]
		if w.Topic != at || w.Seq != seq || w.SessionName != ss.Name || string(w.Config) != "sealed" || w.MessageID != "loud" ||
			w.Timestamp != 5 || !bytes.Equal(w.Data, []byte("body")) || w.Attempts != 0 {
			r.t.Errorf("row = %+v", w)
		}
		if w.Age < soon/2 || w.Left <= 0 || w.Left > e.Expiry {
			r.t.Errorf("age %v, left %v of %v", w.Age, w.Left, e.Expiry)
		}
	}},
	{"Wakes_AreOnesForTheLeaseAndDueAgainThen", storage.Options{}, func(r *rig) {
		at := r.woken(3)
		if got := r.claim(2, soon); len(got) != 2 || got[0].Seq != 1 || got[1].Seq != 2 {
			r.t.Fatalf("claimed %+v, want the two that were due first", got)
		}
		if got := r.claim(10, time.Hour); len(got) != 1 || got[0].Seq != 3 {
			r.t.Fatalf("claimed %+v, want the one that is left", got)
		}
		r.pass(2 * soon)
		if got := r.claim(10, time.Hour); len(got) != 2 || got[0].Attempts != 1 {
			r.t.Fatalf("claimed %+v, want the two again, once tried", got)
		}
		r.ok(r.st.PutOff(r.ctx(), at, []uint64{1, 3, 99}, 0), "put off")
		r.ok(r.st.Done(r.ctx(), at, []uint64{3}), "done")
		r.pass(soon)
		if got := r.claim(10, time.Hour); len(got) != 1 || got[0].Seq != 1 || got[0].Attempts != 2 {
			r.t.Fatalf("claimed %+v, want the one put off", got)
		}
	}},
	{"Wakes_OfBusySessionsAreLeft", storage.Options{}, func(r *rig) {
		busy, free := r.woken(2), r.woken(1)
		got, err := r.st.ClaimWakes(r.ctx(), 10, time.Hour, []string{busy.Session})
		r.ok(err, "claim")
		if len(got) != 1 || got[0].Topic != free {
			r.t.Fatalf("claimed %+v, want the other session's", got)
		}
		if got := r.claim(10, time.Hour); len(got) != 2 {
			r.t.Fatalf("claimed %+v, want what was left", got)
		}
	}},
	{"Wakes_ClaimedByManyAtOnceAreEachOnes", storage.Options{}, func(r *rig) {
		const rows, claimers = 60, 6
		r.woken(rows)
		var mu sync.Mutex
		var wg sync.WaitGroup
		seen := map[uint64]int{}
		for range claimers {
			wg.Go(func() {
				for {
					got, err := r.st.ClaimWakes(r.ctx(), 7, time.Hour, nil)
					if err != nil {
						r.t.Errorf("claim: %v", err)
						return
					}
					mu.Lock()
					for _, w := range got {
						seen[w.Seq]++
					}
					over := len(got) == 0
					mu.Unlock()
					if over {
						return
					}
				}
			})
		}
		wg.Wait()
		for seq, n := range seen {
			if n != 1 {
				r.t.Errorf("row %d was claimed %d times", seq, n)
			}
		}
		if len(seen) != rows {
			r.t.Errorf("%d rows were claimed, want %d", len(seen), rows)
		}
	}},
	{"Wakes_GoWithTheirMessage", storage.Options{}, func(r *rig) {
		at := r.woken(2)
		if got := r.totals().Wakes; got != 2 {
			r.t.Errorf("totals: %d rows, want 2", got)
		}
		r.ack("u:ann", at, 1, 1)
		r.sweep()
		if got := r.totals().Wakes; got != 1 {
			r.t.Errorf("totals: %d rows, want 1", got)
		}
		if got := r.claim(10, time.Hour); len(got) != 1 || got[0].Seq != 2 {
			r.t.Fatalf("claimed %+v, want the message that is left", got)
		}
	}},
	{"Wakes_OfExpiredMessagesAreNotClaimed", storage.Options{}, func(r *rig) {
		at := r.topic()
		r.subscribe("u:ann", at)
		e := entry(at, "1")
		e.Wake, e.Expiry = time.Millisecond, soon/2
		r.stored(e)
		r.pass(soon)
		if got := r.claim(10, time.Hour); len(got) != 0 {
			r.t.Fatalf("claimed %+v, want nothing: it is over", got)
		}
	}},
	{"Owed_TellsWhoIsOwedTheNewest", storage.Options{}, func(r *rig) {
		at := r.woken(3)
		r.subscribe("c:phone", at) // at the head: owed nothing yet
		r.subscribe("c:robot", at)
		r.ok(r.st.Own(r.ctx(), at.Session, "c:phone", "bob"), "own")
		e := entry(at, "4")
		e.Origin = "u:ann"
		r.stored(e)
		r.ack("u:ann", at, 2, 2)
		want := []storage.Owing{{Subscriber: "c:phone", User: "bob", Seq: 4}, {Subscriber: "u:ann", User: "ann", Seq: 3}}
		if got := r.owed(at, "", 10, 1, 2, 3, 4); !slices.Equal(got, want) {
			r.t.Fatalf("owed = %+v, want %+v: her own, what she acked and the robot's left out", got, want)
		}
		if got := r.owed(at, "", 1, 1, 2, 3, 4); !slices.Equal(got, want[:1]) {
			r.t.Errorf("first page = %+v", got)
		}
		if got := r.owed(at, "c:phone", 10, 1, 2, 3, 4); !slices.Equal(got, want[1:]) {
			r.t.Errorf("second page = %+v", got)
		}
		if got := r.owed(at, "", 10, 2); len(got) != 0 {
			r.t.Errorf("of what was acked: %+v, want nobody", got)
		}
		r.ok(r.st.Own(r.ctx(), at.Session, "c:phone", "eve"), "own")
		if got := r.owed(at, "", 1, 4); len(got) != 1 || got[0].User != "eve" {
			r.t.Errorf("with another owner: %+v", got)
		}
		r.unsubscribe("c:phone", at)
		if got := r.owed(at, "", 10, 4); len(got) != 0 {
			r.t.Errorf("after an unsubscribe: %+v, want nobody", got)
		}
	}},
	{"Woken_IsNotAskedAgainForWhatWasBefore", storage.Options{}, func(r *rig) {
		at := r.woken(3)
		r.ok(r.st.Woken(r.ctx(), at, []storage.Owing{{Subscriber: "u:ann", User: "ann", Seq: 2}, {Subscriber: "u:gone", User: "gone", Seq: 2}}), "woken")
		r.ok(r.st.Woken(r.ctx(), at, []storage.Owing{{Subscriber: "u:ann", User: "ann", Seq: 1}}), "woken")
		if got := r.owed(at, "", 10, 1, 2); len(got) != 0 {
			r.t.Errorf("owed = %+v, want nobody: she was woken for these", got)
		}
		if got := r.owed(at, "", 10, 1, 3); len(got) != 1 || got[0].Seq != 3 {
			r.t.Errorf("owed = %+v, want the one that came since", got)
		}
	}},
}

// woken is a topic of a session of its own with n messages for u:ann whose rows are due.
func (r *rig) woken(n int) storage.Topic {
	r.t.Helper()
	at := r.topic()
	r.subscribe("u:ann", at)
	for i := range n {
		e := entry(at, fmt.Sprint("w", i))
		e.Wake = time.Duration(i+1) * time.Millisecond
		r.stored(e)
	}
	r.pass(soon)
	return at
}

func (r *rig) claim(limit int, lease time.Duration) []storage.Wake {
	r.t.Helper()
	got, err := r.st.ClaimWakes(r.ctx(), limit, lease, nil)
	r.ok(err, "claim")
	return got
}

func (r *rig) owed(at storage.Topic, after storage.Subscriber, limit int, seqs ...uint64) []storage.Owing {
	r.t.Helper()
	got, err := r.st.Owed(r.ctx(), at, seqs, after, limit)
	r.ok(err, "owed")
	return got
}

func (r *rig) devices(session string, users ...string) []storage.Device {
	r.t.Helper()
	got, err := r.st.Devices(r.ctx(), session, users)
	r.ok(err, "devices")
	return got
}
