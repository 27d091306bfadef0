package session

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/fastport/fastport/backplane"
	"github.com/fastport/fastport/metrics"
	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/storage"
)

// storeTimeout bounds every wait of the catalog for the store.
const storeTimeout = 5 * time.Second

// CatalogConfig is what a Catalog is made of.
type CatalogConfig struct {
	Store        storage.Store
	Control      backplane.Control
	Sealer       *Sealer // nil: sessions with push credentials are refused
	Logger       *slog.Logger
	MaxRetention time.Duration // 0: protocol.MaxRetention
}

// Catalog creates, finds, suspends and drops sessions, and checks credentials. Every method is safe for concurrent
// use; errors are *protocol.Error, fit to be shown to clients, with their causes logged.
type Catalog struct {
	store        storage.Store
	control      backplane.Control
	sealer       *Sealer
	log          *slog.Logger
	maxRetention time.Duration

	hasher   *hasher
	rows     *rows
	verdicts *verdicts
	flights  *flights
	checks   *metrics.Labels // by what came of them

	mu       sync.RWMutex // guards the following
	watchers []func(backplane.Command)
}

// NewCatalog makes a catalog over a store.
func NewCatalog(cfg CatalogConfig) *Catalog {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.MaxRetention == 0 {
		cfg.MaxRetention = protocol.MaxRetention
	}
	return &Catalog{
		store:        cfg.Store,
		control:      cfg.Control,
		sealer:       cfg.Sealer,
		log:          cfg.Logger,
		maxRetention: cfg.MaxRetention,
		hasher:       newHasher(),
		rows:         newRows(),
		verdicts:     newVerdicts(),
		flights:      newFlights(),
		checks:       metrics.NewLabels(checkResults...),
	}
}

// Watch has tell called with every command that this catalog sends to other nodes, before they get it: the engine of
// this node must close the session's connections too. tell must not block.
func (c *Catalog) Watch(tell func(backplane.Command)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watchers = append(c.watchers, tell)
}

// Created answers Create. SecretKey is shown this once: the store has only its hash.
type Created struct {
	Name      string
	SecretKey string // 64 hex digits
}

// Create makes a session. The root key and the push key of s are wiped whatever comes of it. Errors: bad_request
// naming the field and what it takes, conflict where the name is taken, rate_limited, unavailable.
func (c *Catalog) Create(ctx context.Context, s Spec) (Created, error) {
	defer s.wipe()
	if err := s.validate(); err != nil {
		return Created{}, err
	}
	if weakKey(s.EncryptionKey) && s.EncryptionKey != nil {
		c.log.Warn("a session was made with a weak encryptionKey: draw 32 random bytes", slog.String("session", s.Name))
	}
	if err := s.deriveKeys(); err != nil {
		return Created{}, c.refusal("create", err)
	}
	if r, err := c.load(ctx, s.Name); err != nil || r.session.ID != "" {
		if err == nil {
			err = storage.ErrExists // known before a hash is spent on it
		}
		return Created{}, c.refusal("create", err)
	}

	record, secretKey, err := c.record(ctx, s)
	if err != nil {
		return Created{}, c.refusal("create", err)
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if err := c.store.CreateSession(ctx, record); err != nil {
		return Created{}, c.refusal("create", err)
	}
	c.rows.forget(s.Name) // whoever was told that there is no such session was told before this
	c.changed(ctx, backplane.SessionChanged, record)
	return Created{Name: record.Name, SecretKey: secretKey}, nil
}

// record is the row of a new session, with its secrets hashed or sealed.
func (c *Catalog) record(ctx context.Context, s Spec) (record storage.Session, secretKey string, err error) {
	var id [16]byte
	var secret [32]byte
	rand.Read(id[:])
	rand.Read(secret[:])
	secretKey = hex.EncodeToString(secret[:])
	secretHash := sha256.Sum256([]byte(secretKey))

	record = storage.Session{
		ID:                 hex.EncodeToString(id[:]),
		Name:               s.Name,
		SecretHash:         secretHash[:],
		RetryInterval:      s.RetryInterval,
		MaxRetryLimit:      s.MaxRetryLimit,
		MessageExpiry:      s.MessageExpiry,
		SubscriptionExpiry: s.SubscriptionExpiry,
		Suite:              s.Suite,
		KeyCheck:           s.KeyCheck,
	}
	if record.MessageExpiry >= c.maxRetention {
		record.MessageExpiry = 0 // the cap, whatever the operator makes of it
	}
	if s.SessionExpiry > 0 {
		now, err := c.store.Now(ctx)
		if err != nil {
			return record, "", err
		}
		record.ExpiresAt = now.Add(s.SessionExpiry)
	}
	if err := c.sealPush(&record, s); err != nil {
		return record, "", err
	}
	leave, err := c.hasher.enter(ctx, netip.Addr{})
	if err != nil {
		return record, "", err
	}
	defer leave()
	record.PasswordHash = c.hasher.hash([]byte(s.Password))
	return record, secretKey, nil
}

// Rows under which a session's push credentials are sealed: the table, the session's ID, and one of these columns.
const (
	sealTable     = "sessions"
	sealFCMKey    = "fcm_key"
	sealFCMConfig = "fcm_config"
)

func (c *Catalog) sealPush(record *storage.Session, s Spec) error {
	if s.FCMKey == nil && s.FCMConfig == nil {
		return nil
	}
	if c.sealer == nil {
		return protocol.Errorf(protocol.Unavailable, "push credentials cannot be kept: the server has no MASTER_KEY")
	}
	if s.FCMKey != nil {
		record.FCMKey = c.sealer.Seal(s.FCMKey, sealTable, record.ID, sealFCMKey)
	}
	if s.FCMConfig != nil {
		text, err := json.Marshal(s.FCMConfig)
		if err != nil {
			return err
		}
		record.FCMConfig = c.sealer.Seal(text, sealTable, record.ID, sealFCMConfig)
		clear(text)
	}
	return nil
}

// Drop deletes a session and everything that is its own, on every node at once. not_found, unavailable.
func (c *Catalog) Drop(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	s, err := c.store.DropSession(ctx, name)
	c.rows.forget(name) // also after an error: what came of it is unknown
	if err != nil {
		return c.refusal("drop", err)
	}
	c.changed(ctx, backplane.SessionDropped, s)
	return nil
}

// Suspend shuts a session for everyone, or opens it again. not_found, unavailable.
func (c *Catalog) Suspend(ctx context.Context, name string, suspended bool) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	s, err := c.store.SuspendSession(ctx, name, suspended)
	c.rows.forget(name)
	if err != nil {
		return c.refusal("suspend", err)
	}
	kind := backplane.SessionChanged
	if suspended {
		kind = backplane.SessionSuspended
	}
	c.changed(ctx, kind, s)
	return nil
}

// List returns up to limit sessions with names after `after`, in the order of their bytes: all, or those whose names hold
// match, whatever its case.
func (c *Catalog) List(ctx context.Context, match, after string, limit int) ([]storage.Session, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	list, err := c.store.Sessions(ctx, match, after, limit)
	if err != nil {
		return nil, c.refusal("list", err)
	}
	return list, nil
}

// Lookup finds a session as it was at most a second ago, or less where a command told of a change. A suspended or
// expired one is returned with session_suspended or session_expired. Else: not_found, unavailable.
func (c *Catalog) Lookup(ctx context.Context, name string) (storage.Session, error) {
	r, ok := c.rows.fresh(name)
	if !ok {
		var err error
		if r, err = c.load(ctx, name); err != nil {
			return storage.Session{}, c.refusal("lookup", err)
		}
		if r.session.ID == "" {
			return storage.Session{}, c.refusal("lookup", storage.ErrNotFound)
		}
	}
	return r.session, r.usable()
}

// Forget has the store asked again about a session. The engine calls it for every command about one, and for those
// that a sweep removed.
func (c *Catalog) Forget(name string) { c.rows.forget(name) }

// Checks counts the passwords that were hashed.
func (c *Catalog) Checks() int64 { return c.hasher.count.Load() }

// load reads a session from the store, and remembers it. Where there is none the row has no ID. The store's clock is
// asked whatever the row says: all names cost the same.
func (c *Catalog) load(ctx context.Context, name string) (row, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	epoch := c.rows.now()
	s, err := c.store.Session(ctx, name)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return row{}, err
	}
	missing := err != nil
	now, err := c.store.Now(ctx)
	if err != nil {
		return row{}, err
	}
	if missing {
		return row{}, nil
	}
	r := row{session: s, read: time.Now()}
	if !s.ExpiresAt.IsZero() {
		r.expires = r.read.Add(s.ExpiresAt.Sub(now))
	}
	c.rows.put(r, epoch)
	return r, nil
}

// changed tells everyone. A lost word is made good by rowLife.
func (c *Catalog) changed(ctx context.Context, kind backplane.CommandKind, s storage.Session) {
	command := backplane.Command{Kind: kind, Session: s.ID, Name: s.Name}
	c.mu.RLock()
	watchers := c.watchers
	c.mu.RUnlock()
	for _, tell := range watchers {
		tell(command)
	}
	if err := c.control.Tell(ctx, command); err != nil {
		c.log.Warn("other nodes were not told of a session's change", slog.String("session", s.Name), slog.Any("cause", err))
	}
}

// refusal turns any error into what a client may see, and logs the cause of what it may not.
func (c *Catalog) refusal(doing string, err error) error {
	var refused *protocol.Error
	switch {
	case errors.As(err, &refused):
		return refused
	case errors.Is(err, storage.ErrExists):
		return protocol.Errorf(protocol.Conflict, "sessionName: a session of this name exists")
	case errors.Is(err, storage.ErrNotFound), errors.Is(err, storage.ErrNoSession):
		return protocol.Errorf(protocol.NotFound, "no such session")
	case errors.Is(err, storage.ErrInvalid):
		return protocol.Errorf(protocol.BadRequest, "the session holds what cannot be stored")
	case errors.Is(err, context.Canceled): // nobody waits for the answer
		return protocol.Errorf(protocol.Unavailable, "given up")
	}
	c.log.Error("catalog failed", slog.String("doing", doing), slog.Any("cause", err))
	return protocol.Errorf(protocol.Unavailable, "the store does not answer, try again")
}
