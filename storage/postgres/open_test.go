package postgres_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/fastport/fastport/internal/testenv"
	"github.com/fastport/fastport/storage"
	"github.com/fastport/fastport/storage/postgres"
	"github.com/fastport/fastport/storage/storagetest"
)

func TestOpen_ByManyNodesAtOnceMakesOneSchema(t *testing.T) {
	t.Parallel() // it mostly waits for the disk
	dsn := testenv.Postgres(t)
	stores := make([]*postgres.Store, 8)
	var wg sync.WaitGroup
	for i := range stores {
		wg.Go(func() {
			st, err := postgres.Open(t.Context(), dsn, storage.Options{})
			if err != nil {
				t.Errorf("open: %v", err)
				return
			}
			stores[i] = st
		})
	}
	wg.Wait()
	for _, st := range stores {
		if st == nil {
			t.FailNow()
		}
		defer st.Close()
	}
	ss := storagetest.NewSession()
	if err := stores[0].CreateSession(t.Context(), ss); err != nil {
		t.Fatal(err)
	}
	if got, err := stores[7].Session(t.Context(), ss.Name); err != nil || got.ID != ss.ID {
		t.Fatalf("session through another node = %+v, %v", got, err)
	}
	var tables string
	if err := stores[0].Pool().QueryRow(t.Context(), `
		SELECT string_agg(tablename, ' ' ORDER BY tablename) FROM pg_tables
		WHERE schemaname = 'public' AND tablename !~ '^goose'`).Scan(&tables); err != nil {
		t.Fatal(err)
	}
	const want = "admin_logins audits counters device_tokens message_ids messages owners push_outbox sessions subscriptions topics"
	if tables != want {
		t.Fatalf("tables = %s, want %s", tables, want)
	}
}

func TestOpen_RefusesAServerInRecoveryAndAFailoverIsAnotherEpoch(t *testing.T) {
	t.Parallel() // it mostly waits for the disk
	server := testenv.StartPostgres(t)
	dsn := server.Database()
	st := open(t, dsn, storage.Options{})
	at := subscribed(t, st)
	_, before, err := st.Append(t.Context(), group(at, 1, "before"))
	if err != nil {
		t.Fatal(err)
	}
	server.Restart()
	if epoch := epochAgain(t, st, at); epoch != before {
		t.Fatalf("epoch after a restart = %s, want the same, %s", epoch, before)
	}

	server.Demote()
	if _, err := postgres.Open(t.Context(), dsn, storage.Options{}); !errors.Is(err, storage.ErrUnavailable) {
		t.Fatalf("open of a standby: %v, want ErrUnavailable", err)
	}
	if _, err := st.Session(t.Context(), "any"); !errors.Is(err, storage.ErrUnavailable) {
		t.Fatalf("look-up on a standby: %v, want ErrUnavailable", err)
	}
	if _, err := st.Read(t.Context(), at, 0, 10, 1000); !errors.Is(err, storage.ErrUnavailable) {
		t.Fatalf("read on a standby: %v, want ErrUnavailable", err)
	}

	server.Promote()
	if epoch := epochAgain(t, st, at); epoch == before {
		t.Fatalf("epoch after a failover = %s, want another than before", epoch)
	}
}

// epochAgain reads until the store has found its server again.
func epochAgain(t *testing.T, st *postgres.Store, at storage.Topic) string {
	t.Helper()
	var page storage.Page
	eventually(t, "the store serves", func() (err error) {
		page, err = st.Read(t.Context(), at, 0, 10, 1000)
		return err
	})
	return page.Epoch
}

func TestOpen_NamesAServerThatDoesNotAnswer(t *testing.T) {
	t.Parallel() // it mostly waits for the disk
	server := testenv.StartPostgres(t)
	dsn := server.Database()
	server.Kill()
	_, err := postgres.Open(t.Context(), dsn, storage.Options{})
	if !errors.Is(err, storage.ErrUnavailable) || !strings.Contains(err.Error(), server.Addr()) {
		t.Fatalf("err = %v, want ErrUnavailable that names %s", err, server.Addr())
	}
	password, _, _ := strings.Cut(strings.TrimPrefix(dsn, "postgres://fastport:"), "@")
	if strings.Contains(err.Error(), password) {
		t.Fatal("the error has the password in it")
	}
}
