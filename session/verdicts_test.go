package session

import (
	"fmt"
	"testing"
	"time"

	"github.com/fastport/fastport/storage"
)

func TestVerify_RefusesHashesOfOtherCosts(t *testing.T) {
	h := newHasher()
	good := h.hash([]byte("p"))
	if ok, err := h.verify(good, []byte("p")); !ok || err != nil {
		t.Fatalf("its own hash: %t, %v", ok, err)
	}
	if again := h.hash([]byte("p")); again == good {
		t.Error("two hashes of one password are the same")
	}
	for _, phc := range []string{"$argon2id$v=19$m=8,t=1,p=1$AAAA$AAAA", argonPrefix, argonPrefix + "AA$AA", argonPrefix + good[len(argonPrefix):] + "$"} {
		if ok, err := h.verify(phc, []byte("p")); ok || err == nil {
			t.Errorf("%s: %t, %v, want an error", phc, ok, err)
		}
	}
	if ok, err := h.verify("", make([]byte, 0)); ok || err != nil {
		t.Errorf("nobody's hash: %t, %v", ok, err)
	}
}

func TestVerdicts_AreBounded(t *testing.T) {
	v := newVerdicts()
	for i := range maxVerdicts + 10 {
		v.put(v.mac(uint64(i), "x"), true)
	}
	if n := len(v.byMAC); n > maxVerdicts {
		t.Errorf("verdicts = %d, want %d at most", n, maxVerdicts)
	}
}

func TestRows_ReadBeforeAChangeIsNotRemembered(t *testing.T) {
	r := newRows()
	epoch := r.now()
	r.forget("s")
	r.put(row{session: storage.Session{Name: "s", ID: "old"}, read: time.Now()}, epoch)
	if _, ok := r.fresh("s"); ok {
		t.Error("a row read before the change is remembered after it")
	}
	for i := range maxRows + 10 {
		r.put(row{session: storage.Session{Name: fmt.Sprint(i)}, read: time.Now()}, r.now())
	}
	if n := len(r.byName); n > maxRows {
		t.Errorf("rows = %d, want %d at most", n, maxRows)
	}
}
