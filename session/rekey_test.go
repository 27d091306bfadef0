package session

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/fastport/fastport/storage"
	"github.com/fastport/fastport/storage/memory"
)

// brittleStore fails from a number of reseals on.
type brittleStore struct {
	storage.Store
	left int
}

func (s *brittleStore) ResealSession(ctx context.Context, id string, key, config []byte) error {
	if s.left--; s.left < 0 {
		return storage.ErrUnavailable
	}
	return s.Store.ResealSession(ctx, id, key, config)
}

func TestRekey_SealsEverythingUnderTheNewKeyAndGoesOnWhereItStopped(t *testing.T) {
	ctx := t.Context()
	lost, old, current := randomKey(), randomKey(), randomKey()
	store := &brittleStore{Store: memory.Open(storage.Options{}, time.Now), left: 1}
	sealers := map[string]*Sealer{"a": mustSealer(t, old, nil), "b": mustSealer(t, old, nil), "c": mustSealer(t, current, nil), "d": mustSealer(t, lost, nil)}
	for name, sealer := range sealers {
		s := storage.Session{ID: name + "-id", Name: name, FCMKey: sealer.Seal([]byte("push key"), sealTable, name+"-id", sealFCMKey)}
		if name == "a" {
			s.FCMConfig = sealer.Seal([]byte(`{"enabled":true}`), sealTable, s.ID, sealFCMConfig)
		}
		if err := store.CreateSession(ctx, s); err != nil {
			t.Fatal(err)
		}
		d := storage.Device{Session: s.ID, User: "ann", ID: "1"}
		d.Token = sealer.Seal([]byte("token"), sealDevices, d.Session, d.User, d.ID)
		if err := store.SaveDevice(ctx, d); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.CreateSession(ctx, storage.Session{ID: "e-id", Name: "e"}); err != nil { // pushes nothing
		t.Fatal(err)
	}

	both := NewCatalog(CatalogConfig{Store: store, Sealer: mustSealer(t, current, old)})
	got, err := both.Rekey(ctx, func(Rekeyed) {})
	if !errors.Is(err, storage.ErrUnavailable) || got.Anew != 2 {
		t.Fatalf("rekey = %+v, %v; want it to stop behind the two values of the first session", got, err)
	}
	store.left = 10
	told := 0
	if got, err = both.Rekey(ctx, func(Rekeyed) { told++ }); err != nil {
		t.Fatal(err)
	}
	// What is left of the old key: b's, and the tokens of a and b. Both of d's are lost.
	if want := (Rekeyed{Sessions: 5, Devices: 4, Anew: 3, Unopened: 2}); got != want || told == 0 {
		t.Errorf("rekey = %+v, told %d times; want %+v", got, told, want)
	}

	alone := NewCatalog(CatalogConfig{Store: store, Sealer: mustSealer(t, current, nil)})
	for name := range sealers {
		s, err := store.Session(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		devices, err := store.Devices(ctx, s.ID, []string{"ann"})
		if err != nil {
			t.Fatal(err)
		}
		key, keyErr := alone.pushKey(s)
		token, tokenErr := alone.DeviceToken(devices[0])
		_, configErr := alone.PushConfig(s.ID, s.FCMConfig)
		if name == "d" {
			if keyErr == nil || tokenErr == nil {
				t.Error("what was sealed under a lost key opens")
			}
		} else if string(key) != "push key" || token != "token" || keyErr != nil || tokenErr != nil || configErr != nil {
			t.Errorf("%s: key %q, token %q: %v, %v, %v", name, key, token, keyErr, tokenErr, configErr)
		}
	}
}
