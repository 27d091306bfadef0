package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/fastport/fastport/storage"
	"github.com/fastport/fastport/storage/postgres"
	"github.com/fastport/fastport/storage/storagetest"
)

// subscribed makes a session with a topic that c:reader is subscribed to.
func subscribed(t testing.TB, st *postgres.Store) storage.Topic {
	t.Helper()
	ss := storagetest.NewSession()
	at := storage.Topic{Session: ss.ID, Name: "news"}
	if err := st.CreateSession(t.Context(), ss); err != nil {
		t.Fatal(err)
	}
	if _, err := st.Subscribe(t.Context(), "c:reader", at, true); err != nil {
		t.Fatal(err)
	}
	return at
}

// group is n messages for at, with ids that begin with name.
func group(at storage.Topic, n int, name string) []storage.Entry {
	out := make([]storage.Entry, n)
	for i := range out {
		out[i] = storage.Entry{Topic: at, MessageID: fmt.Sprintf("%s-%d", name, i), Data: make([]byte, 128), Expiry: time.Hour}
	}
	return out
}

// eventually tries until there is no error.
func eventually(t testing.TB, claim string, try func() error) {
	t.Helper()
	end := time.Now().Add(30 * time.Second)
	for tick := time.NewTicker(10 * time.Millisecond); ; <-tick.C {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("never: %s: %v", claim, err)
		}
	}
}
