package main

import (
	"bytes"
	"encoding/base64"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fastport/fastport/session"
	"github.com/fastport/fastport/storage"
	"github.com/fastport/fastport/storage/sqlite"
)

func TestRekey_TellsWhenTheOldKeyMayGo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "fastport.db")
	old, current := bytes.Repeat([]byte{1}, session.MasterKeySize), bytes.Repeat([]byte{2}, session.MasterKeySize)
	sealer, err := session.NewSealer(old, nil)
	if err != nil {
		t.Fatal(err)
	}
	store, err := sqlite.Open(t.Context(), file, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := storage.Session{ID: strings.Repeat("a", 32), Name: "s", PasswordHash: "none", SecretHash: []byte{1}}
	s.FCMKey = sealer.Seal([]byte("push key"), "sessions", s.ID, "fcm_key")
	if err := store.CreateSession(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}

	vars := environment{"SQLITE_PATH": file, "MASTER_KEY": base64.StdEncoding.EncodeToString(current)}
	code, _, told := call(t, vars, "", "rekey")
	if code != exitFailure || !strings.Contains(told, "1 values open under neither") {
		t.Errorf("without the old key: exit code %d, %q", code, told)
	}
	vars["MASTER_KEY_PREVIOUS"] = base64.StdEncoding.EncodeToString(old)
	code, said, told := call(t, vars, "", "rekey")
	if code != exitOK || said != "sealed anew: 1 values of 1 sessions and 0 devices\n" {
		t.Errorf("with both: exit code %d, %q, %q", code, said, told)
	}
	delete(vars, "MASTER_KEY_PREVIOUS")
	code, said, told = call(t, vars, "", "rekey")
	if code != exitOK || said != "sealed anew: 0 values of 1 sessions and 0 devices\n" {
		t.Errorf("with the new one alone: exit code %d, %q, %q", code, said, told)
	}
}
