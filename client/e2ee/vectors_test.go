package e2ee

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"
)

const vectorFile = "../../testdata/vectors.json"

type vectors struct {
	Suite1 struct {
		Messages []struct{ Name, Key, IV, Plaintext, Data, Hash string }
		Chunks   []struct{ Key, IV, Plaintext, Payload string }
		Refused  []struct{ Name, Key, Data, Error string }
	}
	Suite2 struct {
		Messages []struct {
			Name, Key, Session, Topic, MessageID string
			Timestamp                            int64
			Sender, AAD, Nonce, Plaintext, Data  string
			Counter                              uint64
			Hash                                 string
		}
		Refused []struct {
			Name, Key, Session, Topic, MessageID string
			Timestamp                            int64
			Data, Error                          string
		}
		Files []struct {
			Key, Session, FileID, MetaJSON, Meta string
			Chunks                               []struct {
				Index                     uint32
				Last                      bool
				Nonce, Plaintext, Payload string
			}
		}
	}
	FCM      []struct{ Key, Session, UserID, Nonce, Plaintext, EncryptedData, Hash string }
	WeakKeys []string
	Sessions []struct{ Key, Session, KID, KeyCheck, FCMKey string }
}

func TestVectors_AreWhatTheGeneratorMakes(t *testing.T) {
	want, err := exec.Command("go", "run", "../../testdata/gen").Output()
	if err != nil {
		t.Fatalf("generator: %v", err)
	}
	got, err := os.ReadFile(vectorFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatal("testdata/vectors.json is out of date: go generate ./client/e2ee")
	}
}

func TestVectors_Sessions(t *testing.T) {
	for _, v := range load(t).Sessions {
		r := ring(t, v.Session, v.Key)
		kid := r.KID()
		equal(t, "kid", hex.EncodeToString(kid[:]), v.KID)
		equal(t, "key check", r.Newest().KeyCheck(v.Session), v.KeyCheck)
		equal(t, "fcm key", r.Newest().FCMKey(v.Session), v.FCMKey)
		if !r.Holds(v.KeyCheck) {
			t.Errorf("%s: its own key check is not held", v.Session)
		}
	}
}

func TestVectors_WeakKeysAreRefused(t *testing.T) {
	for _, k := range load(t).WeakKeys {
		if _, err := ParseKey(k); !errors.Is(err, ErrWeakKey) {
			t.Errorf("ParseKey(%s) = %v, want %v", k, err, ErrWeakKey)
		}
	}
}

func TestVectors_Suite1(t *testing.T) {
	v := load(t).Suite1
	for _, m := range v.Messages {
		t.Run(m.Name, func(t *testing.T) {
			r := ringWith(t, unhex(t, m.IV), "any", m.Key)
			data, err := r.SealLegacy(unhex(t, m.Plaintext))
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "data", string(data), m.Data)
			equal(t, "hash", Hash(data), m.Hash)
			text, err := r.OpenLegacy([]byte(m.Data), m.Hash)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "plaintext", hex.EncodeToString(text), m.Plaintext)
		})
	}
	for _, c := range v.Chunks {
		f := ringWith(t, unhex(t, c.IV), "any", c.Key).LegacyFileCipher()
		payload, err := f.Seal(nil, 0, true, unhex(t, c.Plaintext))
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "payload", hex.EncodeToString(payload), c.Payload)
		text, err := f.Open(nil, 0, true, payload)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "plaintext", hex.EncodeToString(text), c.Plaintext)
	}
	for _, m := range v.Refused {
		_, err := ring(t, "any", m.Key).OpenLegacy([]byte(m.Data), Hash([]byte(m.Data)))
		equal(t, m.Name, kind(err), m.Error)
	}
}

func TestVectors_Suite2Messages(t *testing.T) {
	v := load(t).Suite2
	for _, m := range v.Messages {
		t.Run(m.Name, func(t *testing.T) {
			r := ringWith(t, unhex(t, m.Sender), m.Session, m.Key)
			h := Header{Topic: m.Topic, MessageID: m.MessageID, Timestamp: m.Timestamp}
			equal(t, "aad", hex.EncodeToString(aad(m.Session, h)), m.AAD)
			equal(t, "nonce", hex.EncodeToString(nonce(m.Counter)), m.Nonce)
			equal(t, "hash", Hash([]byte(m.Data)), m.Hash)

			text, mark, err := r.Open(h, []byte(m.Data))
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "plaintext", hex.EncodeToString(text), m.Plaintext)
			equal(t, "sender", hex.EncodeToString(mark.Sender[:]), m.Sender)
			equal(t, "counter", mark.Counter, m.Counter)

			if m.Counter >= maxCounter {
				return // opens, but no sealer of ours gets there
			}
			data, err := sealerAt(t, r, m.Counter).Seal(h, unhex(t, m.Plaintext))
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "data", string(data), m.Data)
		})
	}
	for _, m := range v.Refused {
		h := Header{Topic: m.Topic, MessageID: m.MessageID, Timestamp: m.Timestamp}
		_, _, err := ring(t, m.Session, m.Key).Open(h, []byte(m.Data))
		equal(t, m.Name, kind(err), m.Error)
	}
}

func TestVectors_Suite2Files(t *testing.T) {
	for _, f := range load(t).Suite2.Files {
		r := ring(t, f.Session, f.Key)
		c, err := r.FileCipher(f.FileID)
		if err != nil {
			t.Fatal(err)
		}
		var meta Meta
		if err := json.Unmarshal([]byte(f.MetaJSON), &meta); err != nil {
			t.Fatal(err)
		}
		sealed, err := c.SealMeta(meta)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "meta", sealed, f.Meta)
		opener, opened, err := r.OpenMeta(f.FileID, f.Meta)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "opened meta", opened, meta)
		for _, v := range f.Chunks {
			equal(t, "nonce", hex.EncodeToString(chunkNonce(v.Index, v.Last)), v.Nonce)
			payload, err := c.Seal(nil, v.Index, v.Last, unhex(t, v.Plaintext))
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "payload", hex.EncodeToString(payload), v.Payload)
			text, err := opener.Open(nil, v.Index, v.Last, payload)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "plaintext", hex.EncodeToString(text), v.Plaintext)
			for _, wrong := range []struct {
				index uint32
				last  bool
			}{{v.Index + 1, v.Last}, {v.Index, !v.Last}} {
				if _, err := opener.Open(nil, wrong.index, wrong.last, payload); err != ErrAuthentication {
					t.Errorf("chunk %d opened as %+v: %v, want %v", v.Index, wrong, err, ErrAuthentication)
				}
			}
		}
	}
}

func TestVectors_FCM(t *testing.T) {
	for _, v := range load(t).FCM {
		r := ringWith(t, unhex(t, v.Nonce), v.Session, v.Key)
		var d Device
		if err := json.Unmarshal([]byte(v.Plaintext), &d); err != nil {
			t.Fatal(err)
		}
		sealed, err := r.SealDevice(v.UserID, d)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "encryptedData", sealed, v.EncryptedData)
		equal(t, "hash", Hash([]byte(sealed)), v.Hash)
		opened, err := r.OpenDevice(v.UserID, v.EncryptedData)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "device", opened, d)
		if _, err := r.OpenDevice(v.UserID+"x", v.EncryptedData); err != ErrAuthentication {
			t.Errorf("opened for another user: %v, want %v", err, ErrAuthentication)
		}
	}
}

// kind is an error as the vectors name it.
func kind(err error) string {
	var unknown *UnknownKeyError
	switch {
	case errors.Is(err, ErrMalformed):
		return "malformed"
	case errors.Is(err, ErrAuthentication):
		return "authentication"
	case errors.As(err, &unknown):
		return "unknown_key"
	}
	return "none"
}

// sealerAt is a sealer whose next number is counter.
func sealerAt(t *testing.T, r *KeyRing, counter uint64) *Sealer {
	s := r.NewSealer()
	if _, _, err := s.next(); err != nil {
		t.Fatal(err)
	}
	s.counter = counter
	s.born = time.Now()
	return s
}

func load(t *testing.T) (v vectors) {
	raw, err := os.ReadFile(vectorFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Sessions) == 0 || len(v.WeakKeys) == 0 || len(v.Suite1.Refused) == 0 || len(v.Suite2.Refused) == 0 || len(v.FCM) == 0 {
		t.Fatal("a part of the vectors was not read")
	}
	return v
}

func ring(t testing.TB, session string, keys ...string) *KeyRing {
	r, err := ParseKeyRing(session, keys...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// ringWith is a ring whose randomness is the given bytes and no more.
func ringWith(t testing.TB, random []byte, session string, keys ...string) *KeyRing {
	r := ring(t, session, keys...)
	r.rand = bytes.NewReader(random)
	return r
}

func unhex(t *testing.T, s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s = %v, want %v", what, got, want)
	}
}
