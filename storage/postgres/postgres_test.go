package postgres_test

import (
	"testing"

	"github.com/fastport/fastport/internal/testenv"
	"github.com/fastport/fastport/storage"
	"github.com/fastport/fastport/storage/postgres"
	"github.com/fastport/fastport/storage/storagetest"
)

func TestStore(t *testing.T) {
	storagetest.Run(t, func(t *testing.T, o storage.Options) storage.Store {
		return open(t, testenv.Postgres(t), o)
	})
}

func open(t testing.TB, dsn string, o storage.Options) *postgres.Store {
	t.Helper()
	st, err := postgres.Open(t.Context(), dsn, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return st
}
