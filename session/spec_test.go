package session

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fastport/fastport/protocol"
)

// privatePEM makes a PKCS#8 key.
func privatePEM(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

var rsaPEM = sync.OnceValue(func() string {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
})

func TestCreate_DefaultsAreThoseOfTheProtocol(t *testing.T) {
	cs := newCatalogs()
	c := cs.node(t, "a")
	spec, err := ParseSpec([]byte(`{"sessionName":"s","password":"p","unknown":1,"retryInterval":null}`))
	if err != nil {
		t.Fatal(err)
	}
	created := mustCreate(t, c, spec)
	s := cs.stored(t, "s")
	if s.RetryInterval != 5*time.Second || s.MaxRetryLimit != 100 || s.MessageExpiry != time.Hour ||
		s.SubscriptionExpiry != 7*24*time.Hour || !s.ExpiresAt.IsZero() || s.Suite != 0 || s.KeyCheck != "" {
		t.Errorf("stored %+v", s)
	}
	if len(s.ID) != 32 || s.FCMKey != nil || s.FCMConfig != nil {
		t.Errorf("stored %+v", s)
	}
	if secret, err := hex.DecodeString(created.SecretKey); err != nil || len(secret) != 32 {
		t.Errorf("secretKey = %q, want 64 hex digits", created.SecretKey)
	}
	if want := sha256.Sum256([]byte(created.SecretKey)); !bytes.Equal(s.SecretHash, want[:]) {
		t.Error("the secretKey is not stored as its SHA-256")
	}
	if !strings.HasPrefix(s.PasswordHash, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("password hash = %q", s.PasswordHash)
	}
}

func TestCreate_TakesEveryField(t *testing.T) {
	cs := newCatalogs()
	c := cs.node(t, "a")
	body := fmt.Sprintf(`{"sessionName":"s","password":"p","retryInterval":100,"maxRetryLimit":0,"messageExpiryTime":null,
		"sessionExpiry":60000.0,"subscriptionExpiry":1e3,"suite":2,"fcmKey":%q,"keyCheck":%q,
		"fcmConfig":{"projectId":"my-chat-app","privateKey":%s,"clientEmail":"a-b@my-chat-app.iam.gserviceaccount.com","enabled":true}}`,
		base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7, 9}, 16)), strings.Repeat("Ab", 16), quote(rsaPEM()))
	spec, err := ParseSpec([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	before := time.Now()
	mustCreate(t, c, spec)
	s := cs.stored(t, "s")
	if s.RetryInterval != 100*time.Millisecond || s.MaxRetryLimit != 0 || s.MessageExpiry != 0 || s.SubscriptionExpiry != time.Second ||
		s.Suite != 2 || s.KeyCheck != strings.Repeat("ab", 16) {
		t.Errorf("stored %+v", s)
	}
	if d := s.ExpiresAt.Sub(before); d < time.Minute || d > time.Minute+5*time.Second {
		t.Errorf("expires in %v, want a minute", d)
	}
	sealer, _ := NewSealer(cs.key, nil)
	if key, err := sealer.Open(s.FCMKey, "sessions", s.ID, "fcm_key"); err != nil || !bytes.Equal(key, bytes.Repeat([]byte{7, 9}, 16)) {
		t.Errorf("fcmKey = %x, %v", key, err)
	}
	text, err := sealer.Open(s.FCMConfig, "sessions", s.ID, "fcm_config")
	var config FCMConfig
	if err != nil || json.Unmarshal(text, &config) != nil || config.ProjectID != "my-chat-app" || config.PrivateKey != rsaPEM() || !config.Enabled {
		t.Errorf("fcmConfig = %s, %v", text, err)
	}
	if spec.FCMKey[0] != 0 {
		t.Error("the caller's fcmKey was not wiped")
	}
}

func quote(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

func TestCreate_RefusalNamesTheFieldAndWhatItTakes(t *testing.T) {
	cs := newCatalogs()
	c := cs.node(t, "a")
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	config := func(edit string) string {
		fields := map[string]string{
			"projectId": `"my-chat-app"`, "privateKey": quote(rsaPEM()), "clientEmail": `"a@b.iam.gserviceaccount.com"`, "enabled": "true",
		}
		key, value, _ := strings.Cut(edit, "=")
		if value == "" {
			delete(fields, key)
		} else {
			fields[key] = value
		}
		var members []string
		for k, v := range fields {
			members = append(members, quote(k)+":"+v)
		}
		return "{" + strings.Join(members, ",") + "}"
	}
	for _, test := range []struct{ member, field string }{
		{`"sessionName":"a:b"`, "sessionName"}, {`"sessionName":""`, "sessionName"}, {`"sessionName":"-a"`, "sessionName"}, {`"sessionName":7`, "sessionName"}, {`"sessionName":null`, "sessionName"},
		{`"sessionName":"` + strings.Repeat("a", 129) + `"`, "sessionName"},
		{`"password":""`, "password"}, {`"password":"` + strings.Repeat("a", 1025) + `"`, "password"}, {`"password":{}`, "password"},
		{`"retryInterval":99`, "retryInterval"}, {`"retryInterval":86400001`, "retryInterval"}, {`"retryInterval":"5000"`, "retryInterval"}, {`"retryInterval":500.5`, "retryInterval"},
		{`"maxRetryLimit":-1`, "maxRetryLimit"}, {`"maxRetryLimit":10001`, "maxRetryLimit"},
		{`"messageExpiryTime":99`, "messageExpiryTime"}, {`"messageExpiryTime":0`, "messageExpiryTime"}, {`"messageExpiryTime":1e300`, "messageExpiryTime"},
		{`"sessionExpiry":0`, "sessionExpiry"}, {`"sessionExpiry":-1`, "sessionExpiry"}, {`"sessionExpiry":9223372036854775807`, "sessionExpiry"},
		{`"subscriptionExpiry":1`, "subscriptionExpiry"},
		{`"suite":1`, "suite"}, {`"suite":"2"`, "suite"},
		{`"encryptionKey":"base64_32_byte_key_here"`, "encryptionKey"}, {`"encryptionKey":""`, "encryptionKey"}, {`"encryptionKey":"AAAA"`, "encryptionKey"}, {`"encryptionKey":[1]`, "encryptionKey"},
		{`"fcmKey":"AAAA"`, "fcmKey"}, {`"keyCheck":"abcd"`, "keyCheck"}, {`"keyCheck":""`, "keyCheck"}, {`"keyCheck":"` + strings.Repeat("xy", 16) + `"`, "keyCheck"},
		{`"fcmConfig":7`, "fcmConfig"}, {`"fcmConfig":"x"`, "fcmConfig"}, {`"fcmConfig":[]`, "fcmConfig"},
		{`"fcmConfig":` + config(`token_uri="http://169.254.169.254/"`), "fcmConfig"},
		{`"fcmConfig":` + config("projectId"), "fcmConfig.projectId"}, {`"fcmConfig":` + config(`projectId="../x"`), "fcmConfig.projectId"}, {`"fcmConfig":` + config(`projectId="Upper-case"`), "fcmConfig.projectId"},
		{`"fcmConfig":` + config(`clientEmail="a@evil.example"`), "fcmConfig.clientEmail"}, {`"fcmConfig":` + config("clientEmail"), "fcmConfig.clientEmail"},
		{`"fcmConfig":` + config(`clientEmail="a@x.iam.gserviceaccount.com\n"`), "fcmConfig.clientEmail"},
		{`"fcmConfig":` + config("enabled"), "fcmConfig.enabled"}, {`"fcmConfig":` + config(`enabled="yes"`), "fcmConfig.enabled"},
		{`"fcmConfig":` + config(`privateKey="-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----\n"`), "fcmConfig.privateKey"},
		{`"fcmConfig":` + config("privateKey="+quote(privatePEM(t, small))), "fcmConfig.privateKey"},
		{`"fcmConfig":` + config("privateKey="+quote(rsaPEM()+rsaPEM())), "fcmConfig.privateKey"},
		{`"fcmConfig":` + config("privateKey"), "fcmConfig.privateKey"},
	} {
		body := map[string]string{"sessionName": `"sessionName":"s"`, "password": `"password":"p"`}
		key, _, _ := strings.Cut(strings.TrimPrefix(test.member, `"`), `"`)
		body[key] = test.member
		var members []string
		for _, m := range body {
			members = append(members, m)
		}
		spec, err := ParseSpec([]byte("{" + strings.Join(members, ",") + "}"))
		if err == nil {
			_, err = c.Create(t.Context(), spec)
		}
		if codeOf(err) != protocol.BadRequest || !strings.Contains(err.Error(), " "+test.field+": takes ") {
			t.Errorf("%.80s: %v, want bad_request naming %s", test.member, err, test.field)
		}
	}
	if n := c.Checks(); n != 0 {
		t.Errorf("%d hashes were spent on what was refused", n)
	}
}

func TestParseSpec_RefusesWhatTwoReadersCouldReadDifferently(t *testing.T) {
	for _, body := range []string{
		`{"sessionName":"a","sessionName":"b","password":"p"}`,
		`{"sessionName":"a","SessionName":"b","password":"p"}`,
		`{"sessionname":"a","password":"p"}`,
		`[]`, `null`, `7`, ``, `{`, `{} {}`,
		strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40),
	} {
		if _, err := ParseSpec([]byte(body)); codeOf(err) != protocol.BadRequest {
			t.Errorf("%.40s: %v, want bad_request", body, err)
		}
	}
}

func TestCreate_RootKeyIsDerivedFromAndForgotten(t *testing.T) {
	text, err := os.ReadFile("../testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors struct {
		Sessions []struct{ Key, Session, KeyCheck, FCMKey string }
		WeakKeys []string
	}
	if err := json.Unmarshal(text, &vectors); err != nil || len(vectors.Sessions) == 0 || len(vectors.WeakKeys) == 0 {
		t.Fatalf("vectors: %v, %d sessions, %d weak keys", err, len(vectors.Sessions), len(vectors.WeakKeys))
	}
	for _, v := range vectors.Sessions {
		cs := newCatalogs()
		c := cs.node(t, "a")
		// Some writers escape what base64 is made of.
		escaped := strings.NewReplacer("/", `\/`, "+", `\u002b`, "a", `\u0061`).Replace(v.Key)
		spec, err := ParseSpec([]byte(fmt.Sprintf(`{"sessionName":%q,"password":"p","encryptionKey":"%s"}`, v.Session, escaped)))
		if err != nil {
			t.Fatal(err)
		}
		root := spec.EncryptionKey
		mustCreate(t, c, spec)
		if !bytes.Equal(root, make([]byte, 32)) {
			t.Error("the root key was not wiped")
		}
		s := cs.stored(t, v.Session)
		if s.KeyCheck != v.KeyCheck {
			t.Errorf("%s: keyCheck = %s, want %s", v.Session, s.KeyCheck, v.KeyCheck)
		}
		sealer, _ := NewSealer(cs.key, nil)
		fcmKey, err := sealer.Open(s.FCMKey, "sessions", s.ID, "fcm_key")
		if got := base64.StdEncoding.EncodeToString(fcmKey); err != nil || got != v.FCMKey {
			t.Errorf("%s: fcmKey = %s, %v, want %s", v.Session, got, err, v.FCMKey)
		}
		// Sent together, they must belong together.
		for _, other := range []string{`"keyCheck":"` + strings.Repeat("0", 32) + `"`, `"fcmKey":"` + v.Key + `"`} {
			spec, err := ParseSpec([]byte(fmt.Sprintf(`{"sessionName":"x","password":"p","encryptionKey":%q,%s}`, v.Key, other)))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Create(t.Context(), spec); codeOf(err) != protocol.BadRequest {
				t.Errorf("encryptionKey with a foreign %s: %v, want bad_request", other, err)
			}
		}
		if weak := strings.Contains(cs.logs.String(), "weak"); weak != weakIn(vectors.WeakKeys, v.Key) {
			t.Errorf("%s: warned of a weak key: %t", v.Session, weak)
		}
		if strings.Contains(cs.logs.String(), v.Key) {
			t.Error("the root key was logged")
		}
	}
	for i, weak := range vectors.WeakKeys {
		cs := newCatalogs()
		c := cs.node(t, "a")
		spec := NewSpec("s", "p")
		spec.EncryptionKey, _ = base64.StdEncoding.DecodeString(weak)
		mustCreate(t, c, spec)
		if !strings.Contains(cs.logs.String(), "weak encryptionKey") {
			t.Errorf("weak key %d was taken without a warning", i)
		}
	}
}

func weakIn(weak []string, key string) bool {
	for _, w := range weak {
		if w == key {
			return true
		}
	}
	return false
}
