package storagetest

import (
	"bytes"
	"time"

	"github.com/fastport/fastport/storage"
)

const long = time.Hour

var loginClaims = []claim{
	{"Login_LastsWhileUsedAndNoLonger", storage.Options{}, func(r *rig) {
		tokens := map[string][]byte{"used": {1}, "idle": {2}, "old": {3}}
		for _, token := range tokens {
			r.ok(r.st.SaveLogin(r.ctx(), token, "root"), "save login")
		}
		got, err := r.st.Login(r.ctx(), tokens["used"], long, long)
		r.ok(err, "login")
		if got.User != "root" || !bytes.Equal(got.TokenHash, tokens["used"]) || got.CreatedAt.IsZero() || got.SeenAt.Before(got.CreatedAt) {
			r.t.Fatalf("login = %+v", got)
		}
		r.pass(300 * time.Millisecond)
		if _, err = r.st.Login(r.ctx(), tokens["idle"], 300*time.Millisecond, long); !is(err, storage.ErrNotFound) {
			r.t.Fatalf("idle: %v, want ErrNotFound", err)
		}
		if _, err = r.st.Login(r.ctx(), tokens["old"], long, 300*time.Millisecond); !is(err, storage.ErrNotFound) {
			r.t.Fatalf("old: %v, want ErrNotFound", err)
		}
		now, err := r.st.Login(r.ctx(), tokens["used"], long, long)
		r.ok(err, "login")
		if now.SeenAt.Sub(got.SeenAt) < 290*time.Millisecond || !now.CreatedAt.Equal(got.CreatedAt) {
			r.t.Fatalf("seen %v after %v, want it marked as used now", now.SeenAt, got.SeenAt)
		}
		if _, err = r.st.Login(r.ctx(), []byte{9}, long, long); !is(err, storage.ErrNotFound) {
			r.t.Fatalf("unknown: %v, want ErrNotFound", err)
		}
	}},
	{"DeleteLogins_ForgetsOneOrAllOfAUser", storage.Options{}, func(r *rig) {
		for i, user := range []string{"ann", "ann", "ann", "bob"} {
			r.ok(r.st.SaveLogin(r.ctx(), []byte{byte(i)}, user), "save login")
		}
		alive := func() (n int) {
			for i := range 4 {
				if _, err := r.st.Login(r.ctx(), []byte{byte(i)}, long, long); err == nil {
					n++
				}
			}
			return n
		}
		r.ok(r.st.DeleteLogins(r.ctx(), []byte{1}, "ann"), "delete login")
		if got := alive(); got != 3 {
			r.t.Fatalf("%d logins left, want 3", got)
		}
		r.ok(r.st.DeleteLogins(r.ctx(), nil, "ann"), "delete logins")
		if got := alive(); got != 1 {
			r.t.Fatalf("%d logins left, want bob's", got)
		}
		r.ok(r.st.DeleteLogins(r.ctx(), []byte{77}, ""), "delete a login that is not there")
	}},
	{"Sweep_RemovesOldLogins", storage.Options{}, func(r *rig) {
		r.ok(r.st.SaveLogin(r.ctx(), []byte{1}, "root"), "save login")
		if got := r.sweep(); got.Logins != 0 {
			r.t.Fatalf("swept %d logins, want none yet", got.Logins)
		}
		if r.h.Advance == nil {
			return // nobody waits a day; what can be seen without it was
		}
		r.pass(storage.LoginKept)
		if got := r.sweep(); got.Logins != 1 {
			r.t.Fatalf("swept %d logins, want 1", got.Logins)
		}
	}},
}
