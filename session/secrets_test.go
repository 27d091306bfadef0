package session

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func randomKey() []byte {
	key := make([]byte, MasterKeySize)
	rand.Read(key)
	return key
}

func mustSealer(t *testing.T, current, previous []byte) *Sealer {
	t.Helper()
	s, err := NewSealer(current, previous)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSealer_OpensOnlyItsOwnRow(t *testing.T) {
	s := mustSealer(t, randomKey(), nil)
	sealed := s.Seal([]byte("secret"), "sessions", "ab", "c")
	if got, err := s.Open(sealed, "sessions", "ab", "c"); err != nil || string(got) != "secret" {
		t.Fatalf("open = %q, %v", got, err)
	}
	if bytes.Contains(sealed, []byte("secret")) {
		t.Error("sealed in the clear")
	}
	for _, row := range [][]string{{"sessions", "a", "bc"}, {"sessions", "abc"}, {"sessions", "ab", "d"}, {}} {
		if _, err := s.Open(sealed, row...); !errors.Is(err, ErrSealed) {
			t.Errorf("row %q: %v, want ErrSealed", row, err)
		}
	}
	for i := range sealed {
		altered := bytes.Clone(sealed)
		altered[i] ^= 1
		if _, err := s.Open(altered, "sessions", "ab", "c"); !errors.Is(err, ErrSealed) {
			t.Fatalf("byte %d altered: %v, want ErrSealed", i, err)
		}
	}
	for n := range sealed {
		if _, err := s.Open(sealed[:n], "sessions", "ab", "c"); !errors.Is(err, ErrSealed) {
			t.Fatalf("cut to %d bytes: %v, want ErrSealed", n, err)
		}
	}
	if again := s.Seal([]byte("secret"), "sessions", "ab", "c"); bytes.Equal(again, sealed) {
		t.Error("two seals of one secret are the same")
	}
}

func TestSealer_PreviousKeyStillOpensAndNeverSeals(t *testing.T) {
	old, new := randomKey(), randomKey()
	sealed := mustSealer(t, old, nil).Seal([]byte("x"), "r")
	rotated := mustSealer(t, new, old)
	if got, err := rotated.Open(sealed, "r"); err != nil || string(got) != "x" {
		t.Errorf("under the previous key: %q, %v", got, err)
	}
	if _, err := mustSealer(t, old, nil).Open(rotated.Seal([]byte("x"), "r"), "r"); !errors.Is(err, ErrSealed) {
		t.Errorf("sealed after the rotation, opened by the old key: %v", err)
	}
	if _, err := mustSealer(t, new, nil).Open(sealed, "r"); !errors.Is(err, ErrSealed) {
		t.Errorf("without the previous key: %v, want ErrSealed", err)
	}
}

func TestNewSealer_RefusesKeysOfAnotherSize(t *testing.T) {
	for _, pair := range [][2][]byte{{nil, nil}, {randomKey()[:31], nil}, {randomKey(), randomKey()[:16]}, {{}, nil}} {
		if _, err := NewSealer(pair[0], pair[1]); err == nil {
			t.Errorf("keys of %d and %d bytes were taken", len(pair[0]), len(pair[1]))
		}
	}
}

func TestLoadMasterKey_MakesItOnceForAll(t *testing.T) {
	file := filepath.Join(t.TempDir(), "data", "master.key")
	var wg sync.WaitGroup
	keys, made := make([][]byte, 8), make([]bool, 8)
	for i := range keys {
		wg.Go(func() {
			var err error
			if keys[i], made[i], err = LoadMasterKey(file); err != nil {
				t.Errorf("load: %v", err)
			}
		})
	}
	wg.Wait()
	makers := 0
	for i := range keys {
		if !bytes.Equal(keys[i], keys[0]) || len(keys[i]) != MasterKeySize {
			t.Fatalf("process %d has another key", i)
		}
		if made[i] {
			makers++
		}
	}
	if makers != 1 {
		t.Errorf("%d processes made the key, want 1", makers)
	}
	for path, want := range map[string]os.FileMode{file: 0o600, filepath.Dir(file): 0o700} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want mode %o", path, info.Mode().Perm(), err, want)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(file), ".master*")); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestLoadMasterKey_NeverReplacesWhatIsThere(t *testing.T) {
	file := filepath.Join(t.TempDir(), "master.key")
	for _, text := range []string{"", "not base64", base64.StdEncoding.EncodeToString(make([]byte, 16))} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := LoadMasterKey(file); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%q: %v, want an error naming the file", text, err)
		}
		if got, _ := os.ReadFile(file); string(got) != text {
			t.Errorf("%q was replaced by %q", text, got)
		}
	}
}
