package session

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
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
func (follower) Copies([]*backplane.Copy)       {}
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
	first, err := c.List(t.Context(), "", "", 2)
	if err != nil || len(first) != 2 || first[0].Name != "a" || first[1].Name != "b" {
		t.Fatalf("first page = %v, %v", first, err)
	}
	second, err := c.List(t.Context(), "", "b", 2)
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
