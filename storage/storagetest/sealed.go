package storagetest

import (
	"fmt"

	"github.com/fastport/fastport/storage"
)

var sealedClaims = []claim{
	{"ResealSession_ReplacesWhatIsSealedAndNothingElse", storage.Options{}, func(r *rig) {
		ss := r.session(func(ss *storage.Session) { ss.FCMKey, ss.FCMConfig = []byte("key"), []byte("config") })
		r.ok(r.st.ResealSession(r.ctx(), ss.ID, []byte("new key"), []byte("new config")), "reseal session")
		got, err := r.st.Session(r.ctx(), ss.Name)
		r.ok(err, "session")
		if string(got.FCMKey) != "new key" || string(got.FCMConfig) != "new config" || got.Version != 1 {
			r.t.Errorf("session = %+v, want its sealed values new and its version 1", got)
		}
		r.ok(r.st.ResealSession(r.ctx(), ss.ID, []byte("new key"), nil), "reseal session")
		if got, err = r.st.Session(r.ctx(), ss.Name); err != nil || len(got.FCMConfig) != 0 {
			r.t.Errorf("config = %q, %v; want none", got.FCMConfig, err)
		}
		if err := r.st.ResealSession(r.ctx(), randomID(), nil, nil); !is(err, storage.ErrNotFound) {
			r.t.Errorf("no session: %v, want ErrNotFound", err)
		}
	}},
	{"EveryDevice_PagesThroughAllSessions", storage.Options{}, func(r *rig) {
		mine := map[string]bool{r.session().ID: true, r.session().ID: true}
		for id := range mine {
			for _, user := range []string{"ann", "bob"} {
				for i := range 3 {
					r.ok(r.st.SaveDevice(r.ctx(), storage.Device{Session: id, User: user, ID: fmt.Sprint(i), Platform: "ios", Token: []byte(user)}), "save device")
				}
			}
		}
		// A store may hold other tests' devices.
		found, after := 0, storage.Device{}
		for {
			page, err := r.st.EveryDevice(r.ctx(), after, 5)
			r.ok(err, "every device")
			for _, d := range page {
				if before, now := after.Session+after.User+after.ID, d.Session+d.User+d.ID; now <= before {
					r.t.Fatalf("%+v came behind %+v", d, after)
				}
				if after = d; mine[d.Session] {
					found++
					if d.Platform != "ios" || string(d.Token) != d.User || d.CreatedAt.IsZero() || d.UpdatedAt.IsZero() {
						r.t.Errorf("device = %+v", d)
					}
				}
			}
			if len(page) < 5 {
				break
			}
		}
		if found != 12 {
			r.t.Errorf("found %d devices of 12", found)
		}
	}},
	{"ResealDevice_LeavesATokenThatCameMeanwhile", storage.Options{}, func(r *rig) {
		d := storage.Device{Session: r.session().ID, User: "ann", ID: "1", Platform: "ios", Token: []byte("old")}
		r.ok(r.st.SaveDevice(r.ctx(), d), "save device")
		reseal := func(token string, want bool) {
			r.t.Helper()
			if did, err := r.st.ResealDevice(r.ctx(), d, []byte(token)); err != nil || did != want {
				r.t.Fatalf("resealed: %v, %v; want %v", did, err, want)
			}
		}
		reseal("sealed anew", true)
		if list := r.devices(d.Session, "ann"); len(list) != 1 || string(list[0].Token) != "sealed anew" {
			r.t.Fatalf("devices = %+v", list)
		}
		reseal("sealed again", false) // its token is not "old" any more
		d.ID = "2"
		reseal("of nobody", false)
		if list := r.devices(d.Session, "ann"); len(list) != 1 || string(list[0].Token) != "sealed anew" {
			r.t.Errorf("devices = %+v", list)
		}
	}},
}
