package session

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fastport/fastport/backplane"
	busmemory "github.com/fastport/fastport/backplane/memory"
	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/storage"
	"github.com/fastport/fastport/storage/memory"
)

// catalogs is a store with the catalogs of several nodes over it.
type catalogs struct {
	store *countingStore
	bus   *busmemory.Bus
	logs  *bytes.Buffer
	log   *slog.Logger // one for all nodes: its handler has the lock
	key   []byte
}

// countingStore counts reads of sessions, and can hold or fail them.
type countingStore struct {
	storage.Store
	mu    sync.Mutex // guards the following
	reads int
	fail  error
}

func (s *countingStore) Session(ctx context.Context, name string) (storage.Session, error) {
	s.mu.Lock()
	s.reads++
	err := s.fail
	s.mu.Unlock()
	if err != nil {
		return storage.Session{}, err
	}
	return s.Store.Session(ctx, name)
}

func (s *countingStore) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads
}

func newCatalogs() *catalogs {
	key := make([]byte, MasterKeySize)
	rand.Read(key)
	logs := &bytes.Buffer{}
	return &catalogs{
		store: &countingStore{Store: memory.Open(storage.Options{}, time.Now)},
		bus:   busmemory.NewBus(),
		logs:  logs,
		log:   slog.New(slog.NewJSONHandler(logs, nil)),
		key:   key,
	}
}

// node adds a node whose catalog follows the others' commands, as an engine has it do.
func (c *catalogs) node(t *testing.T, id string) *Catalog {
	t.Helper()
	sealer, err := NewSealer(c.key, nil)
	if err != nil {
		t.Fatal(err)
	}
	n := c.bus.Node(id)
	catalog := NewCatalog(CatalogConfig{
		Store: c.store, Control: n, Sealer: sealer,
		Logger:       c.log,
		MaxRetention: 24 * time.Hour,
	})
	n.Listen(follower{catalog})
	return catalog
}

type follower struct{ catalog *Catalog }

func (f follower) Command(c *backplane.Command) { f.catalog.Forget(c.Name) }
func (follower) Copy(*backplane.Copy)           {}
func (follower) Note(*backplane.Note)           {}
func (follower) Heads(*backplane.Heads)         {}
func (follower) Link(bool)                      {}

func codeOf(err error) protocol.Code {
	var refused *protocol.Error
	if errors.As(err, &refused) {
		return refused.Code
	}
	return ""
}

func mustCreate(t *testing.T, c *Catalog, s Spec) Created {
	t.Helper()
	created, err := c.Create(t.Context(), s)
	if err != nil {
		t.Fatalf("create: %v", err)
	}
	return created
}

func (c *catalogs) stored(t *testing.T, name string) storage.Session {
	t.Helper()
	s, err := c.store.Store.Session(t.Context(), name)
	if err != nil {
		t.Fatalf("stored %s: %v", name, err)
	}
	return s
}

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

func TestCreate_TakenNameIsAConflictAndCostsNoHash(t *testing.T) {
	cs := newCatalogs()
	c := cs.node(t, "a")
	mustCreate(t, c, NewSpec("s", "p"))
	hashes := c.Checks()
	if _, err := c.Create(t.Context(), NewSpec("s", "q")); codeOf(err) != protocol.Conflict {
		t.Errorf("%v, want conflict", err)
	}
	if c.Checks() != hashes {
		t.Error("a hash was spent on a name that is taken")
	}
}

func TestCreate_OfOneNameAtOnceMakesOne(t *testing.T) {
	cs := newCatalogs()
	a, b := cs.node(t, "a"), cs.node(t, "b")
	var wg sync.WaitGroup
	results := make(chan error, 4)
	for _, c := range []*Catalog{a, b, a, b} {
		wg.Go(func() {
			_, err := c.Create(context.Background(), NewSpec("s", "p"))
			results <- err
		})
	}
	wg.Wait()
	made := 0
	for range 4 {
		switch err := <-results; codeOf(err) {
		case protocol.Conflict:
		case "":
			made++
		default:
			t.Errorf("%v, want conflict", err)
		}
	}
	if made != 1 {
		t.Errorf("made %d sessions, want 1", made)
	}
}

func TestCreate_ExpiryBeyondTheCapIsTheCap(t *testing.T) {
	cs := newCatalogs()
	c := cs.node(t, "a")
	spec := NewSpec("s", "p")
	spec.MessageExpiry = 48 * time.Hour
	mustCreate(t, c, spec)
	if got := cs.stored(t, "s").MessageExpiry; got != 0 {
		t.Errorf("message expiry = %v, want 0: the cap", got)
	}
}

func TestCreate_PushCredentialsNeedAMasterKey(t *testing.T) {
	c := NewCatalog(CatalogConfig{Store: memory.Open(storage.Options{}, time.Now), Control: busmemory.NewBus().Node("a")})
	spec := NewSpec("s", "p")
	spec.FCMKey = make([]byte, 32)
	if _, err := c.Create(t.Context(), spec); codeOf(err) != protocol.Unavailable {
		t.Errorf("%v, want unavailable", err)
	}
}

func TestSuspendAndDrop_AreToldHereAndElsewhere(t *testing.T) {
	cs := newCatalogs()
	a, b := cs.node(t, "a"), cs.node(t, "b")
	mustCreate(t, a, NewSpec("s", "p"))
	id := cs.stored(t, "s").ID
	var told []backplane.Command
	a.Watch(func(c backplane.Command) { told = append(told, c) })

	expect := func(step string, want protocol.Code) {
		t.Helper()
		for name, c := range map[string]*Catalog{"a": a, "b": b} {
			if _, err := c.Lookup(t.Context(), "s"); codeOf(err) != want {
				t.Errorf("%s: node %s: %v, want %q", step, name, err, want)
			}
		}
	}
	expect("created", "")
	if err := a.Suspend(t.Context(), "s", true); err != nil {
		t.Fatal(err)
	}
	expect("suspended", protocol.SessionSuspended)
	if err := a.Suspend(t.Context(), "s", false); err != nil {
		t.Fatal(err)
	}
	expect("resumed", "")
	if err := a.Drop(t.Context(), "s"); err != nil {
		t.Fatal(err)
	}
	expect("dropped", protocol.NotFound)
	want := []backplane.Command{
		{Kind: backplane.SessionSuspended, Session: id, Name: "s"},
		{Kind: backplane.SessionChanged, Session: id, Name: "s"},
		{Kind: backplane.SessionDropped, Session: id, Name: "s"},
	}
	if fmt.Sprint(told) != fmt.Sprint(want) {
		t.Errorf("told %v, want %v", told, want)
	}
	for what, err := range map[string]error{"drop": a.Drop(t.Context(), "s"), "suspend": a.Suspend(t.Context(), "s", true)} {
		if codeOf(err) != protocol.NotFound {
			t.Errorf("%s of nothing: %v, want not_found", what, err)
		}
	}
}

func TestList_IsPaged(t *testing.T) {
	cs := newCatalogs()
	c := cs.node(t, "a")
	for _, name := range []string{"b", "a", "c"} {
		mustCreate(t, c, NewSpec(name, "p"))
	}
	first, err := c.List(t.Context(), "", 2)
	if err != nil || len(first) != 2 || first[0].Name != "a" || first[1].Name != "b" {
		t.Fatalf("first page = %v, %v", first, err)
	}
	second, err := c.List(t.Context(), "b", 2)
	if err != nil || len(second) != 1 || second[0].Name != "c" {
		t.Fatalf("second page = %v, %v", second, err)
	}
}

func TestCatalog_StoreTroubleIsUnavailableAndLogged(t *testing.T) {
	cs := newCatalogs()
	c := cs.node(t, "a")
	cs.store.fail = errors.New("password=hunter2 at 10.0.0.7")
	_, err := c.Lookup(t.Context(), "s")
	if codeOf(err) != protocol.Unavailable || strings.Contains(err.Error(), "10.0.0.7") {
		t.Errorf("%v, want unavailable without its cause", err)
	}
	if !strings.Contains(cs.logs.String(), "10.0.0.7") {
		t.Error("the cause was not logged")
	}
}
