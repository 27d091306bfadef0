package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fastport/fastport/fcm"
)

// Config is what `fastport serve` is told. [Config.settings] says what each field is for.
type Config struct {
	Host         string
	Port         int
	TLSCert      string
	TLSKey       string
	NodeID       string // "": the host's name and a random part
	MetricsPort  int    // noPort: health and readiness are on Port
	DrainTimeout time.Duration
	DrainDelay   time.Duration
	LogLevel     string
	Compression  bool

	DBType      string // never "" after Validate
	SQLitePath  string
	DatabaseURL secret
	DBHost      string
	DBPort      int
	DBName      string
	DBUser      string
	DBPass      secret
	DBSSLMode   string

	RedisURL       secret
	RedisURLs      secret
	ClusterPort    int
	ClusterAddress string // "": found
	ClusterSecret  secret // "": derived from MasterKey

	MasterKey         secret // 32 raw bytes, or ""
	MasterKeyPrevious secret
	MasterKeyFile     string

	FCMEndpoint string
	FCMTokenURL string
	PushPayload string
	PushTitle   string
	PushAfter   time.Duration

	SessionCreation string
	AdminUser       string
	AdminPass       secret
	WebPortal       bool
	CORSOrigins     []string
	TrustedProxies  []netip.Prefix

	MaxPayload          int
	OutboxBytes         int
	MaxRetention        time.Duration
	APIRateLimit        int
	ConnectionRateLimit int
	MaxConnections      int
	MaxConnectionsPerIP int
	MessageRateLimit    int
	ByteRateLimit       int
	SessionMessageRate  int
	SessionByteRate     int
	MaxTopics           int
	MaxOpenFiles        int
	MaxStoredBytes      int
	MaxDurable          int

	// Warnings are for the operator's eyes, at start.
	Warnings []string
}

// noPort is a port that is not set. 0 is any free one.
const noPort = -1

// Values of DB_TYPE and SESSION_CREATION.
const (
	dbMemory   = "memory"
	dbSQLite   = "sqlite"
	dbPostgres = "postgres"

	creationAnyone = "anyone"
	creationAdmin  = "admin"

	sslPrefer = "prefer"
)

// minClusterSecret is the least length of CLUSTER_SECRET.
const minClusterSecret = 16

// settings is the table of every setting: its name, what it takes, its default, and what it is for.
func (c *Config) settings() []setting {
	port := func(to *int) value { return intValue{to, 0, 65535, ""} }
	bytes := func(to *int, min, max int) value { return intValue{to, min, max, " of bytes"} }
	count := func(to *int) value { return intValue{to, 0, math.MaxInt, ", 0 for no limit"} }

	return []setting{
		{"Server", "PORT", "3000", "WebSocket and HTTP, on one port; 0: any free one.", port(&c.Port)},
		{"", "HOST", "", "Address to listen on; none: every address of the machine.", textValue{&c.Host, "a host name or address"}},
		{"", "TLS_CERT", "", "Certificate chain (PEM) to serve https and wss with; goes with TLS_KEY.", textValue{&c.TLSCert, "a file"}},
		{"", "TLS_KEY", "", "Private key (PEM) of TLS_CERT.", textValue{&c.TLSKey, "a file"}},
		{"", "METRICS_PORT", "", "A port of its own for `/healthz`, `/readyz`, `/metrics` and pprof; none: the first three are on PORT, for whoever reaches it, and there is no pprof.", port(&c.MetricsPort)},
		{"", "NODE_ID", "", "Name of this node in logs and figures; none: the host's name and a random part.", textValue{&c.NodeID, "a name, unique among the nodes that share a store"}},
		{"", "DRAIN_TIMEOUT", "25s", "How long a stop may take: clients are moved on meanwhile.", durationValue{&c.DrainTimeout, time.Second, time.Hour}},
		{"", "DRAIN_DELAY", "0s", "How much of DRAIN_TIMEOUT a node of a cluster goes on, no longer ready, until balancers have seen it: as long as they take for that. None where they try the next node at once when one refuses.", durationValue{&c.DrainDelay, 0, time.Hour}},
		{"", "COMPRESSION", "false", "Negotiate permessage-deflate. Sealed data does not shrink, and compressing costs memory.", boolValue{&c.Compression}},
		{"", "LOG_LEVEL", "info", "Least level of what is logged (JSON, on standard error).", choiceValue{&c.LogLevel, []string{"debug", "info", "warn", "error"}}},

		{"Store", "DB_TYPE", "", "Where sessions and unacked messages are kept; none: postgres where DATABASE_URL or DB_HOST is set, else sqlite.", choiceValue{&c.DBType, []string{dbSQLite, dbPostgres, dbMemory}}},
		{"", "SQLITE_PATH", "./data/fastport.db", "The SQLite file; its folder is made.", textValue{&c.SQLitePath, "a file"}},
		{"", "DATABASE_URL", "", "Postgres, whole; goes before DB_HOST and its kin.", secretValue{&c.DatabaseURL, "an address like postgres://user:password@host:5432/name?sslmode=verify-full"}},
		{"", "DB_HOST", "", "Postgres, in parts.", textValue{&c.DBHost, "a host name or address"}},
		{"", "DB_PORT", "5432", "Its port.", intValue{&c.DBPort, 1, 65535, ""}},
		{"", "DB_NAME", "fastport", "The database.", textValue{&c.DBName, "a database's name"}},
		{"", "DB_USER", "fastport", "The role to log in as.", textValue{&c.DBUser, "a database role"}},
		{"", "DB_PASS", "", "Password of DB_USER.", secretValue{&c.DBPass, "a password"}},
		{"", "DB_SSLMODE", "", "TLS towards DB_HOST; none: verify-full, but prefer (TLS where the server has it, unverified) where DB_HOST is this machine or a name without a dot, as in a compose file.", choiceValue{&c.DBSSLMode, []string{"disable", "prefer", "require", "verify-ca", "verify-full"}}},

		{"Cluster", "REDIS_URL", "", "Redis: makes this a node of a cluster, with all others that have the same Redis and Postgres.", secretValue{&c.RedisURL, "an address like redis://:password@host:6379, or rediss:// for TLS; for Sentinel redis://sentinel:26379?master_name=mymaster&addr=sentinel-2:26379"}},
		{"", "REDIS_URLS", "", "The same, where it is a Redis Cluster; instead of REDIS_URL.", secretValue{&c.RedisURLs, "addresses of some of its nodes, separated by commas, like redis://:password@a:6379,redis://:password@b:6379"}},
		{"", "CLUSTER_PORT", "0", "Where other nodes send files to this one; 0: any free port.", port(&c.ClusterPort)},
		{"", "CLUSTER_ADDRESS", "", "What other nodes dial for it; none: HOST, where that is one address, else the address of this machine by which it reaches Redis.", textValue{&c.ClusterAddress, "a host name or address, with :port or without"}},
		{"", "CLUSTER_SECRET", "", "What nodes prove to each other with; none: derived from MASTER_KEY.", secretValue{&c.ClusterSecret, "at least 16 characters, the same on every node"}},

		{"Secrets at rest", "MASTER_KEY", "", "Seals what the store keeps of clients' push credentials; none: one is made in MASTER_KEY_FILE. A cluster needs it, the same on every node.", keyValue{&c.MasterKey}},
		{"", "MASTER_KEY_PREVIOUS", "", "The key before, until `fastport rekey` has sealed anew what it sealed.", keyValue{&c.MasterKeyPrevious}},
		{"", "MASTER_KEY_FILE", "./data/master.key", "Where a key is made and found again if MASTER_KEY is not set. Back it up.", textValue{&c.MasterKeyFile, "a file"}},

		{"Operators and browsers", "ADMIN_USER", "admin", "Login of the admin API.", textValue{&c.AdminUser, "a name"}},
		{"", "ADMIN_PASS", "", "Its password; none turns the admin API off.", secretValue{&c.AdminPass, "at least 12 characters"}},
		{"", "ENABLE_WEB_PORTAL", "true", "Serve the operator's portal at `/admin`, where ADMIN_PASS is set.", boolValue{&c.WebPortal}},
		{"", "SESSION_CREATION", creationAnyone, "Who may create sessions.", choiceValue{&c.SessionCreation, []string{creationAnyone, creationAdmin}}},
		{"", "CORS_ORIGINS", "", "Web pages that may connect; none: all. Native clients send no origin and always may.", originsValue{&c.CORSOrigins}},
		{"", "TRUSTED_PROXIES", "", "Whose `X-Forwarded-For` is believed; none: nobody's.", prefixesValue{&c.TrustedProxies}},

		{"Push", "PUSH_PAYLOAD", string(fcm.Wake), "What a push tells Google: wake, that there is something (topic, messageId, timestamp, session); notice, the same, shown with PUSH_TITLE; sealed, the same with the sealed data where it fits.", choiceValue{&c.PushPayload, []string{string(fcm.Wake), string(fcm.Notice), string(fcm.Sealed)}}},
		{"", "PUSH_TITLE", "New message", "Title of a notice.", textValue{&c.PushTitle, "a text"}},
		{"", "PUSH_AFTER", "15s", "How long a connected user has to ack before their devices are woken all the same.", durationValue{&c.PushAfter, time.Second, 24 * time.Hour}},
		{"", "FCM_ENDPOINT", fcm.GoogleEndpoint, "Where pushes go: what stands before `/projects/…`, version included.", addressValue{&c.FCMEndpoint}},
		{"", "FCM_TOKEN_URL", fcm.GoogleTokenURL, "Where access tokens come from.", addressValue{&c.FCMTokenURL}},

		{"Limits", "MAX_PAYLOAD_SIZE", "10485760", "A frame or an HTTP body.", bytes(&c.MaxPayload, 128<<10, 128<<20)},
		{"", "OUTBOX_BYTES", "4194304", "What may wait for one connection.", bytes(&c.OutboxBytes, 64<<10, 1<<30)},
		{"", "MAX_RETENTION", "168h", "The longest that any unacked message is kept.", durationValue{&c.MaxRetention, time.Second, 366 * 24 * time.Hour}},
		{"", "API_RATE_LIMIT", "100", "Calls of `/api/` in 15 minutes by one address.", count(&c.APIRateLimit)},
		{"", "CONNECTION_RATE_LIMIT", "200", "New connections a second from one address; ten times as many in a burst.", count(&c.ConnectionRateLimit)},
		{"", "MAX_CONNECTIONS", "0", "Open connections in all.", count(&c.MaxConnections)},
		{"", "MAX_CONNECTIONS_PER_IP", "10000", "Open connections from one address.", count(&c.MaxConnectionsPerIP)},
		{"", "MESSAGE_RATE_LIMIT", "0", "Messages a second from one connection.", count(&c.MessageRateLimit)},
		{"", "BYTE_RATE_LIMIT", "0", "Bytes a second from one connection.", count(&c.ByteRateLimit)},
		{"", "SESSION_MESSAGE_RATE_LIMIT", "0", "Messages a second published in one session.", count(&c.SessionMessageRate)},
		{"", "SESSION_BYTE_RATE_LIMIT", "0", "Bytes a second published in one session.", count(&c.SessionByteRate)},
		{"", "MAX_TOPICS", "1000", "Topics that one connection subscribes to.", intValue{&c.MaxTopics, 1, 1000000, ""}},
		{"", "MAX_OPEN_FILES", "16", "Files under way in one session.", intValue{&c.MaxOpenFiles, 1, 10000, ""}},
		{"", "MAX_STORED_BYTES", "0", "Unacked data kept for one session.", count(&c.MaxStoredBytes)},
		{"", "MAX_DURABLE_SUBSCRIBERS", "0", "Durable subscriptions of one session.", count(&c.MaxDurable)},
	}
}

// sources are where settings come from, the first before the second before the third.
type sources struct {
	Flags   map[string]string // by Name
	Env     func(name string) (string, bool)
	File    string            // of the .env file
	FileSet bool              // the operator named it, so it must be there
	dotenv  map[string]string // of File
}

// load fills a Config and validates it. The error holds every fault there is. A value that is there but empty stands
// for the default, and hides what comes after it.
func load(from sources) (*Config, error) {
	c := &Config{MetricsPort: noPort}
	var faults []error
	if from.File != "" {
		values, err := readDotenv(from.File)
		if err != nil && (from.FileSet || !errors.Is(err, fs.ErrNotExist)) {
			faults = append(faults, err)
		}
		from.dotenv = values
	}
	table := c.settings()
	for _, s := range table {
		text, source := from.find(s)
		if text == "" {
			text, source = s.Default, "default"
		}
		if text == "" {
			continue
		}
		if err := s.set(text, source); err != nil {
			faults = append(faults, err)
		}
	}
	c.warnTypos(table, from)
	if err := c.Validate(); err != nil {
		faults = append(faults, err)
	}
	return c, errors.Join(faults...)
}

func (from sources) find(s setting) (text, source string) {
	if v, ok := from.Flags[s.Name]; ok {
		return v, "--" + s.Flag()
	}
	if v, ok := from.Env(s.Name); ok {
		return v, "environment"
	}
	return from.dotenv[s.Name], from.File
}

// Validate settles what depends on several settings, and reports every fault at once. What single settings take has
// been checked as they were set.
func (c *Config) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }

	if c.DBType == "" {
		c.DBType = dbSQLite
		if c.DatabaseURL != "" || c.DBHost != "" {
			c.DBType = dbPostgres
		}
	}
	if c.DBType == dbPostgres {
		if c.DatabaseURL == "" && c.DBHost == "" {
			fault("DB_TYPE=postgres needs DATABASE_URL (postgres://user:password@host:5432/name), or DB_HOST with DB_NAME, DB_USER and DB_PASS")
		}
		if u, err := url.Parse(c.DatabaseURL.Reveal()); c.DatabaseURL != "" && (err != nil || u.Host == "" || u.Scheme != "postgres" && u.Scheme != "postgresql") {
			fault("DATABASE_URL: takes an address like postgres://user:password@host:5432/name")
		}
		if c.DatabaseURL != "" && c.DBHost != "" {
			c.warn("both DATABASE_URL and DB_HOST are set: DATABASE_URL is used")
		}
	}
	if c.DBType == dbPostgres && c.DatabaseURL == "" && c.sslMode() == sslPrefer && c.DBSSLMode == "" && !thisMachine(c.DBHost) {
		c.warn("DB_HOST=%s is reached with TLS only where it offers it, and without a look at its certificate: set DB_SSLMODE=verify-full unless the network is yours alone", c.DBHost)
	}
	c.validateCluster(fault)
	if (c.TLSCert == "") != (c.TLSKey == "") {
		fault("TLS_CERT and TLS_KEY go together: set both, or neither")
	}
	if c.DrainDelay > 0 && c.DrainDelay > c.DrainTimeout-minMoving {
		fault("DRAIN_DELAY=%v leaves too little of DRAIN_TIMEOUT=%v: takes %v less than that, at the most", c.DrainDelay, c.DrainTimeout, minMoving)
	}
	if c.MetricsPort > 0 && c.MetricsPort == c.Port {
		fault("METRICS_PORT=%d is PORT as well: takes another port, or none", c.MetricsPort)
	}
	switch pass := c.AdminPass.Reveal(); {
	case pass == "":
		if c.SessionCreation == creationAdmin {
			c.warn("SESSION_CREATION=admin without ADMIN_PASS: nobody can create a session")
		}
	case len([]rune(pass)) < 12:
		fault("ADMIN_PASS is shorter than 12 characters: takes a longer one, or none to turn the admin API off")
	case pass == "admin_password" || pass == "your_secure_password_here":
		c.warn("ADMIN_PASS IS AN EXAMPLE FROM THE DOCUMENTATION. ANYBODY CAN LOG IN AS %s. CHANGE IT NOW.", strings.ToUpper(c.AdminUser))
	}
	return errors.Join(faults...)
}

// Cluster reports whether the node shares its work with others.
func (c *Config) Cluster() bool { return c.RedisURL != "" || c.RedisURLs != "" }

// validateCluster settles what a node of a cluster needs.
func (c *Config) validateCluster(fault func(format string, args ...any)) {
	if !c.Cluster() {
		return
	}
	name := "REDIS_URL"
	if c.RedisURL == "" {
		name = "REDIS_URLS"
	}
	if c.RedisURL != "" && c.RedisURLs != "" {
		fault("REDIS_URL and REDIS_URLS are both set: REDIS_URL is for one Redis or Sentinel, REDIS_URLS for a Redis Cluster; set one of them")
	}
	for _, address := range append(commaList(c.RedisURLs.Reveal()), commaList(c.RedisURL.Reveal())...) {
		if u, err := url.Parse(address); err != nil || u.Host == "" || u.Scheme != "redis" && u.Scheme != "rediss" {
			fault("%s: takes addresses like redis://:password@host:6379 or rediss://…", name)
			break
		}
	}
	if c.DBType != dbPostgres {
		fault("%s needs Postgres, which the nodes of a cluster share: set DATABASE_URL, or unset %s to run one node on %s", name, name, c.DBType)
	}
	if c.MasterKey == "" {
		fault("%s needs MASTER_KEY, the same on every node: `openssl rand -base64 32` makes one", name)
	}
	if s := c.ClusterSecret.Reveal(); s != "" && len(s) < minClusterSecret {
		fault("CLUSTER_SECRET is shorter than %d characters: takes a longer one, or none to derive it from MASTER_KEY", minClusterSecret)
	}
	if c.ClusterPort > 0 && (c.ClusterPort == c.Port || c.ClusterPort == c.MetricsPort) {
		fault("CLUSTER_PORT=%d is PORT or METRICS_PORT as well: takes another port, or 0 for any", c.ClusterPort)
	}
}

func (c *Config) warn(format string, args ...any) {
	c.Warnings = append(c.Warnings, fmt.Sprintf(format, args...))
}

// warnTypos tells of names in the .env file that are all but a setting. Others are none of our business.
func (c *Config) warnTypos(table []setting, from sources) {
	for name := range from.dotenv {
		known := slices.ContainsFunc(table, func(s setting) bool { return s.Name == name })
		if known || len(name) < 4 {
			continue
		}
		var names []string
		for _, s := range table {
			names = append(names, s.Name)
		}
		if near := nearest(strings.ToUpper(name), names); near != "" {
			c.warn("%s in %s is no setting: is it %s?", name, from.File, near)
		}
	}
	slices.Sort(c.Warnings)
}

// PostgresURL is DATABASE_URL, or what DB_HOST and its kin make.
func (c *Config) PostgresURL() string {
	if c.DatabaseURL != "" {
		return c.DatabaseURL.Reveal()
	}
	u := url.URL{
		Scheme: "postgres",
		User:   url.UserPassword(c.DBUser, c.DBPass.Reveal()),
		Host:   net.JoinHostPort(c.DBHost, strconv.Itoa(c.DBPort)),
		Path:   "/" + c.DBName,
	}
	if mode := c.sslMode(); mode != "" {
		u.RawQuery = url.Values{"sslmode": {mode}}.Encode()
	}
	return u.String()
}

// sslMode is DB_SSLMODE, or what goes for DB_HOST without one. A name without a dot is a service beside this one, in a
// compose file or a namespace, which as a rule has no certificate for it. "": the store verifies.
func (c *Config) sslMode() string {
	if c.DBSSLMode == "" && !strings.ContainsAny(c.DBHost, ".:") {
		return sslPrefer
	}
	return c.DBSSLMode
}

// thisMachine reports whether a host is never another machine.
func thisMachine(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Level is LOG_LEVEL.
func (c *Config) Level() slog.Level {
	var l slog.Level
	if err := l.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return slog.LevelInfo
	}
	return l
}
