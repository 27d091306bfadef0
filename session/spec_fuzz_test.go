package session

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/fastport/fastport/protocol"
)

// FuzzParseSpec: whatever the body, there is a Spec or a refusal that is fit to be shown, and what is taken means to
// encoding/json what it means here.
func FuzzParseSpec(f *testing.F) {
	key := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0xfb, 0xff}, 16))
	for _, seed := range []string{
		`{"sessionName":"s","password":"p"}`,
		`{"sessionName":"s","password":"p","encryptionKey":"` + key + `","retryInterval":5e3,"messageExpiryTime":null}`,
		`{"sessionName":"s","password":"p","fcmKey":"` + strings.ReplaceAll(key, "/", `\/`) + `","keyCheck":"00","suite":2}`,
		`{"fcmConfig":{"projectId":"abcdef","privateKey":"","clientEmail":"","enabled":true}}`,
		`{"maxRetryLimit":-0,"sessionExpiry":1.5}`, `[]`, `{"a":{"a":1}}`, `{"fcmKey":"\u002b"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		s, err := ParseSpec(bytes.Clone(body))
		if err != nil {
			if codeOf(err) != protocol.BadRequest || len(err.Error()) > 400 {
				t.Fatalf("%q: %v", body, err)
			}
			return
		}
		var want struct {
			SessionName, Password, KeyCheck string
			EncryptionKey, FCMKey           []byte
		}
		if err := json.Unmarshal(body, &want); err != nil {
			t.Fatalf("%q was taken, and is: %v", body, err)
		}
		if s.Name != want.SessionName || s.Password != want.Password || s.KeyCheck != want.KeyCheck ||
			!bytes.Equal(s.EncryptionKey, want.EncryptionKey) || !bytes.Equal(s.FCMKey, want.FCMKey) {
			t.Fatalf("%q: %+v, want %+v", body, s, want)
		}
		if err := s.validate(); err == nil {
			if err := s.deriveKeys(); err != nil && codeOf(err) != protocol.BadRequest {
				t.Fatalf("%q: %v", body, err)
			}
		}
	})
}

// FuzzSealerOpen: nothing that was not sealed opens.
func FuzzSealerOpen(f *testing.F) {
	s, err := NewSealer(bytes.Repeat([]byte{1}, MasterKeySize), nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(s.Seal([]byte("x"), "row"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, sealed []byte) {
		if got, err := s.Open(sealed, "another row"); err == nil {
			t.Fatalf("%x opened as %q", sealed, got)
		}
	})
}
