package e2ee

import (
	"bytes"
	"crypto/cipher"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func testRing(t testing.TB) *KeyRing {
	r, err := NewKeyRing("home", NewKey())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestKey_DoesNotPrint(t *testing.T) {
	k := NewKey()
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		text := fmt.Sprintf(format, k)
		if strings.Contains(text, k.Base64()) || strings.Contains(text, fmt.Sprint(k.b[0])+" ") {
			t.Errorf("%s prints %s", format, text)
		}
	}
}

func TestParseKey_TakesWhatBase64GivesAndNothingElse(t *testing.T) {
	k := NewKey()
	got, err := ParseKey(k.Base64())
	if err != nil || !got.Equal(k) {
		t.Fatalf("ParseKey = %v, want the key", err)
	}
	for _, bad := range []string{"", "abc", k.Base64()[:40], k.Base64() + "AAAA", k.Base64()[:20] + "\n" + k.Base64()[20:], strings.TrimRight(k.Base64(), "=")} {
		if _, err := ParseKey(bad); err == nil {
			t.Errorf("ParseKey(%q) took it", bad)
		}
	}
	if _, err := NewKeyRing("home", Key{}); !errors.Is(err, ErrWeakKey) {
		t.Errorf("a ring took the zero key: %v", err)
	}
}

func TestKeyRing_SealsWithTheNewestAndOpensWithAny(t *testing.T) {
	older, newer := NewKey(), NewKey()
	h := Header{Topic: "t", MessageID: "m", Timestamp: 1}
	was, _ := NewKeyRing("home", older)
	both, _ := NewKeyRing("home", newer, older)
	is, _ := NewKeyRing("home", newer)

	old, _ := was.NewSealer().Seal(h, []byte("old"))
	if text, _, err := both.Open(h, old); err != nil || string(text) != "old" {
		t.Fatalf("Open = %q, %v, want old", text, err)
	}
	data, _ := both.NewSealer().Seal(h, []byte("new"))
	if text, _, err := is.Open(h, data); err != nil || string(text) != "new" {
		t.Fatalf("Open = %q, %v, want new", text, err)
	}
	var unknown *UnknownKeyError
	if _, _, err := was.Open(h, data); !errors.As(err, &unknown) || unknown.KID != is.KID() {
		t.Fatalf("Open = %v, want unknown key %x", err, is.KID())
	}
	if !both.Holds(older.KeyCheck("home")) || both.Holds(older.KeyCheck("away")) {
		t.Error("key check of an older key is not held, or another session's is")
	}

	c, _ := was.FileCipher("0b9f3c7e-58a4-4d0c-8f2b-6a1d9e7c5b30")
	meta, _ := c.SealMeta(Meta{Name: "n"})
	if _, m, err := both.OpenMeta("0b9f3c7e-58a4-4d0c-8f2b-6a1d9e7c5b30", meta); err != nil || m.Name != "n" {
		t.Errorf("OpenMeta = %+v, %v, want n", m, err)
	}
}

func TestSealer_DrawsANewSenderBeforeNumbersRunOutAndEachDay(t *testing.T) {
	s := testRing(t).NewSealer()
	now := time.Now()
	s.now = func() time.Time { return now }
	next := func() Mark {
		_, m, err := s.next()
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	a := next()
	if b := next(); b.Sender != a.Sender || a.Counter != 0 || b.Counter != 1 {
		t.Fatalf("marks %v, %v: want one sender's 0 and 1", a, b)
	}
	s.counter = maxCounter - 1
	if m := next(); m.Sender != a.Sender || m.Counter != maxCounter-1 {
		t.Fatalf("mark %v, want the sender's last", m)
	}
	b := next()
	if b.Sender == a.Sender || b.Counter != 0 {
		t.Fatalf("mark %v after the last number, want a new sender's 0", b)
	}
	now = now.Add(maxAge)
	if c := next(); c.Sender == b.Sender || c.Counter != 0 {
		t.Fatalf("mark %v after a day, want a new sender's 0", c)
	}
}

func TestSealer_FailsWithoutRandomness(t *testing.T) {
	r := testRing(t)
	r.rand = strings.NewReader("too short")
	if _, err := r.NewSealer().Seal(Header{}, nil); err == nil {
		t.Error("sealed under a key of too little randomness")
	}
	if _, err := r.SealLegacy(nil); err == nil {
		t.Error("sealed with too short an IV")
	}
}

func TestMessage_RoundTripsForItsPlaceAlone(t *testing.T) {
	r := testRing(t)
	s := r.NewSealer()
	rapid.Check(t, func(t *rapid.T) {
		h := Header{
			Topic: rapid.String().Draw(t, "topic"), MessageID: rapid.String().Draw(t, "id"), Timestamp: rapid.Int64().Draw(t, "ts"),
		}
		text := rapid.SliceOf(rapid.Byte()).Draw(t, "text")
		data, err := s.Seal(h, text)
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := r.Open(h, data)
		if err != nil || !bytes.Equal(got, text) {
			t.Fatalf("Open = %q, %v, want %q", got, err, text)
		}
		other := h
		switch rapid.IntRange(0, 3).Draw(t, "change") {
		case 0: // the same bytes, cut elsewhere
			other.Topic, other.MessageID = h.Topic+"x", h.MessageID
		case 1:
			other.MessageID += "x"
		case 2:
			other.Timestamp++
		case 3:
			other.Topic, other.MessageID = h.Topic+h.MessageID, ""
			if other == h {
				return
			}
		}
		if _, _, err := r.Open(other, data); err != ErrAuthentication {
			t.Fatalf("opened for %+v what was sealed for %+v: %v", other, h, err)
		}
		raw, _ := base64.RawURLEncoding.DecodeString(string(data[2:]))
		raw[rapid.IntRange(kidSize, len(raw)-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		changed := append([]byte(prefix2), base64.RawURLEncoding.EncodeToString(raw)...)
		if _, _, err := r.Open(h, changed); err != ErrAuthentication {
			t.Fatalf("a changed message gave %v, want %v", err, ErrAuthentication)
		}
	})
}

func TestLegacy_RoundTripsAndTellsNoFailureFromAnother(t *testing.T) {
	r := testRing(t)
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SliceOf(rapid.Byte()).Draw(t, "text")
		data, err := r.SealLegacy(text)
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.OpenLegacy(data, Hash(data))
		if err != nil || !bytes.Equal(got, text) {
			t.Fatalf("OpenLegacy = %q, %v, want %q", got, err, text)
		}
		if _, err := r.OpenLegacy(data, Hash(text)); err != ErrAuthentication {
			t.Fatalf("with a wrong hash: %v, want %v", err, ErrAuthentication)
		}
	})
}

func TestLegacy_OfSeveralKeysTakesTheOneThatGivesText(t *testing.T) {
	older := NewKey()
	was, _ := NewKeyRing("home", older)
	for i := range 600 { // by chance a wrong key unpads one message in 256
		both, _ := NewKeyRing("home", NewKey(), older)
		text := fmt.Sprintf("a message long enough not to be text by chance, number %d", i)
		data, _ := was.SealLegacy([]byte(text))
		if got, err := both.OpenLegacy(data, Hash(data)); err != nil || string(got) != text {
			t.Fatalf("OpenLegacy = %q, %v, want %q", got, err, text)
		}
	}
}

func TestFile_RoundTripsForBothSuites(t *testing.T) {
	r := testRing(t)
	rapid.Check(t, func(t *rapid.T) {
		c := r.LegacyFileCipher()
		if rapid.Bool().Draw(t, "suite 2") {
			c, _ = r.FileCipher("0b9f3c7e-58a4-4d0c-8f2b-6a1d9e7c5b30")
		}
		index, last := rapid.Uint32().Draw(t, "index"), rapid.Bool().Draw(t, "last")
		text := rapid.SliceOf(rapid.Byte()).Draw(t, "text")
		sealed, err := c.Seal([]byte("head"), index, last, text)
		if err != nil {
			t.Fatal(err)
		}
		if len(sealed) > 4+len(text)+c.Overhead() {
			t.Fatalf("sealing added %d bytes, want %d at most", len(sealed)-4-len(text), c.Overhead())
		}
		got, err := c.Open([]byte("head"), index, last, sealed[4:])
		if err != nil || !bytes.Equal(got[4:], text) {
			t.Fatalf("Open = %q, %v, want %q", got, err, text)
		}
	})
}

func TestSenderCache_IsBounded(t *testing.T) {
	r := testRing(t)
	h := Header{}
	for range maxSenders + 10 {
		data, _ := r.NewSealer().Seal(h, nil)
		if _, _, err := r.Open(h, data); err != nil {
			t.Fatal(err)
		}
		forged := bytes.Clone(data)
		forged[10]++ // another sender, who never sealed anything
		r.Open(h, forged)
	}
	if n := len(r.senders); n != maxSenders {
		t.Errorf("%d senders cached, want %d", n, maxSenders)
	}
}

func FuzzOpen(f *testing.F) {
	k, _ := ParseKey("t/iDLkzYhfNEjD1vEwV3yIGHc+k3Hw8dMrCOnrQTgrw=")
	r, err := NewKeyRing("home", k)
	if err != nil {
		f.Fatal(err)
	}
	h := Header{Topic: "t", MessageID: "m", Timestamp: 1}
	sealed, _ := r.NewSealer().Seal(h, []byte("text"))
	legacy, _ := r.SealLegacy([]byte("text"))
	f.Add(sealed)
	f.Add(legacy)
	f.Fuzz(func(t *testing.T, data []byte) {
		text, m, err := r.Open(h, data)
		if err == nil { // then it is, to the byte, what a sealer writes
			again, err := (&Sealer{ring: r, now: time.Now, aead: messageKey(r, m), salt: m.Sender, counter: m.Counter, born: time.Now()}).Seal(h, text)
			if err != nil || !bytes.Equal(again, data) {
				t.Fatalf("opened %q, but it seals as %q", data, again)
			}
		} else if kind(err) == "none" {
			t.Fatalf("an error of no kind: %v", err)
		}
		if _, err := r.OpenLegacy(data, Hash(data)); err != nil && kind(err) == "none" {
			t.Fatalf("an error of no kind: %v", err)
		}
	})
}

func FuzzFile(f *testing.F) {
	k, _ := ParseKey("t/iDLkzYhfNEjD1vEwV3yIGHc+k3Hw8dMrCOnrQTgrw=")
	r, err := NewKeyRing("home", k)
	if err != nil {
		f.Fatal(err)
	}
	const id = "0b9f3c7e-58a4-4d0c-8f2b-6a1d9e7c5b30"
	c, _ := r.FileCipher(id)
	meta, _ := c.SealMeta(Meta{Name: "n", Size: 1})
	chunk, _ := c.Seal(nil, 0, true, []byte("x"))
	f.Add(id, meta, chunk)
	f.Fuzz(func(t *testing.T, id, meta string, chunk []byte) {
		if _, _, err := r.OpenMeta(id, meta); err != nil && kind(err) == "none" {
			t.Fatalf("an error of no kind: %v", err)
		}
		for _, c := range []*FileCipher{c, r.LegacyFileCipher()} {
			if _, err := c.Open(nil, 0, true, chunk); err != nil && kind(err) == "none" {
				t.Fatalf("an error of no kind: %v", err)
			}
		}
	})
}

func FuzzDevice(f *testing.F) {
	k, _ := ParseKey("t/iDLkzYhfNEjD1vEwV3yIGHc+k3Hw8dMrCOnrQTgrw=")
	r, err := NewKeyRing("home", k)
	if err != nil {
		f.Fatal(err)
	}
	sealed, _ := r.SealDevice("u", Device{FCMToken: "t"})
	f.Add("u", sealed)
	f.Fuzz(func(t *testing.T, user, sealed string) {
		if _, err := r.OpenDevice(user, sealed); err != nil && kind(err) == "none" {
			t.Fatalf("an error of no kind: %v", err)
		}
	})
}

func messageKey(r *KeyRing, m Mark) cipher.AEAD {
	aead, _ := r.messageKey(r.keys[0], m.Sender)
	return aead
}
