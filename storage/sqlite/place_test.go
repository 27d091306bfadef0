package sqlite

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fastport/fastport/storage"
)

func TestOpen_MakesFolderAndFilesForItsOwnerOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "data")
	path := filepath.Join(dir, "fastport.db")
	s := openTest(t, path, storage.Options{})
	newSession(t, s) // so that there is a WAL
	for name, want := range map[string]fs.FileMode{
		dir: 0o700, path: 0o600, path + "-wal": 0o600, path + "-shm": 0o600, path + ".lock": 0o600, path + ".reserve": 0o600,
	} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", filepath.Base(name), got, want)
		}
	}
}

func TestOpen_TakesAnyPath(t *testing.T) {
	for _, name := range []string{"with space.db", "q?a=b&c.db", "hash#tag.db", "percent%20.db", "ünï.db"} {
		path := filepath.Join(t.TempDir(), name)
		openTest(t, path, storage.Options{})
		if info, err := os.Stat(path); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v, want the store in that very file", name, err)
		}
	}
	t.Chdir(t.TempDir())
	openTest(t, "relative.db", storage.Options{})
	if _, err := os.Stat("relative.db"); err != nil {
		t.Error(err)
	}
}

func TestOpen_RefusesAStoreThatIsOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fastport.db")
	first := openTest(t, path, storage.Options{})
	_, err := Open(context.Background(), path, storage.Options{}) // a second opening is refused like a second process
	if err == nil {
		t.Fatal("opened twice")
	}
	for _, part := range []string{path, "in use by another process", fmt.Sprint(os.Getpid())} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not name %q", err, part)
		}
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	openTest(t, path, storage.Options{})
}

func TestOpen_RefusesANewerSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fastport.db")
	s := openTest(t, path, storage.Options{})
	write(t, s, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, 1)`)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(context.Background(), path, storage.Options{}); err == nil || !strings.Contains(err.Error(), "newer") {
		t.Fatalf("error = %v, want one that says the schema is newer", err)
	}
}

func TestOpen_RefusesAFileThatIsNoStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fastport.db")
	if err := os.WriteFile(path, []byte(strings.Repeat("not a database. ", 500)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(context.Background(), path, storage.Options{}); err == nil || !strings.Contains(err.Error(), path) {
		t.Fatalf("error = %v, want one that names the file", err)
	}
}
