package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// environment is a process environment for load.
type environment map[string]string

func (e environment) lookup(name string) (string, bool) { v, ok := e[name]; return v, ok }

func loadFrom(t *testing.T, flags, env map[string]string, dotenv string) (*Config, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), ".env")
	if dotenv != "" {
		if err := os.WriteFile(file, []byte(dotenv), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return load(sources{Flags: flags, Env: environment(env).lookup, File: file})
}

// seedsEnv is the .env that the project's first documents tell people to write.
const seedsEnv = `PORT=3000
DB_TYPE=sqlite              # or 'postgres' or 'memory'
SQLITE_PATH=./data/fastport.db
ENABLE_WEB_PORTAL=true
ADMIN_USER=admin
ADMIN_PASS=your_secure_password_here
`

func TestConfig_SeedsEnvWorksAsItIs(t *testing.T) {
	for name, text := range map[string]string{"unix": seedsEnv, "windows": "\ufeff" + strings.ReplaceAll(seedsEnv, "\n", "\r\n")} {
		t.Run(name, func(t *testing.T) {
			c, err := loadFrom(t, nil, nil, text)
			if err != nil {
				t.Fatalf("load: %v", err)
			}
			if c.Port != 3000 || c.DBType != "sqlite" || c.SQLitePath != "./data/fastport.db" || !c.WebPortal || c.AdminUser != "admin" || c.AdminPass.Reveal() != "your_secure_password_here" {
				t.Errorf("config = %+v", c)
			}
			if len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], "ADMIN_PASS IS AN EXAMPLE") {
				t.Errorf("warnings = %q, want one about the example password", c.Warnings)
			}
		})
	}
}

func TestConfig_NothingSetIsAWholeConfig(t *testing.T) {
	c, err := loadFrom(t, nil, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	if c.Port != 3000 || c.DBType != dbSQLite || c.DrainTimeout != 25*time.Second || c.MetricsPort != noPort || c.MaxPayload != 10<<20 || c.MaxRetention != 7*24*time.Hour {
		t.Errorf("config = %+v", c)
	}
	if len(c.Warnings) != 0 {
		t.Errorf("warnings = %q, want none", c.Warnings)
	}
}

func TestConfig_FlagsGoBeforeEnvironmentBeforeFile(t *testing.T) {
	file := "PORT=1\nADMIN_USER=file\nDB_NAME=file\n"
	env := map[string]string{"PORT": "2", "ADMIN_USER": "env", "DB_USER": ""}
	c, err := loadFrom(t, map[string]string{"PORT": "3"}, env, file)
	if err != nil {
		t.Fatal(err)
	}
	if c.Port != 3 || c.AdminUser != "env" || c.DBName != "file" || c.DBUser != "fastport" {
		t.Errorf("port, admin, name, user = %d, %s, %s, %s, want 3, env, file, fastport", c.Port, c.AdminUser, c.DBName, c.DBUser)
	}
}

func TestConfig_EmptyHidesWhatComesAfter(t *testing.T) {
	c, err := loadFrom(t, nil, map[string]string{"ADMIN_PASS": ""}, seedsEnv)
	if err != nil {
		t.Fatal(err)
	}
	if c.AdminPass != "" {
		t.Error("ADMIN_PASS set empty in the environment took the file's")
	}
}

func TestConfig_EveryFaultIsToldAtOnce(t *testing.T) {
	_, err := loadFrom(t, map[string]string{"PORT": "99999"}, map[string]string{
		"DRAIN_TIMEOUT": "25", "MAX_PAYLOAD_SIZE": "10MB", "DB_TYPE": "mysql", "COMPRESSION": "maybe", "ADMIN_PASS": "short",
		"MASTER_KEY": "c2hvcnQ=", "TRUSTED_PROXIES": "proxy", "CORS_ORIGINS": "example.com", "TLS_CERT": "cert.pem",
	}, "this is no setting\n")
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"PORT=99999 (--port): takes a whole number", "DRAIN_TIMEOUT=25 (environment): takes a duration from 1s to 1h, written like",
		"MAX_PAYLOAD_SIZE=10MB (environment): takes a whole number of bytes from 131072", "DB_TYPE=mysql (environment): takes sqlite, postgres or memory",
		"COMPRESSION=maybe (environment): takes true or false", "ADMIN_PASS is shorter than 12", "MASTER_KEY (environment): takes 32 random bytes in base64",
		"TRUSTED_PROXIES=proxy (environment): takes addresses", "CORS_ORIGINS=example.com (environment): takes origins", "TLS_CERT and TLS_KEY go together",
		".env:1: takes NAME=value",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("not told: %s", want)
		}
	}
	for _, secret := range []string{"short'", "c2hvcnQ="} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("a secret is in the error: %s", secret)
		}
	}
	if t.Failed() {
		t.Log(err)
	}
}

func TestConfig_StoreIsInferred(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		want string
	}{
		{nil, dbSQLite},
		{map[string]string{"DATABASE_URL": "postgres://u@h/d"}, dbPostgres},
		{map[string]string{"DB_HOST": "db"}, dbPostgres},
		{map[string]string{"DB_HOST": "db", "DB_TYPE": "sqlite"}, dbSQLite},
		{map[string]string{"DB_TYPE": "Memory"}, dbMemory},
	} {
		got, err := loadFrom(t, nil, c.env, "")
		if err != nil {
			t.Errorf("%v: %v", c.env, err)
		} else if got.DBType != c.want {
			t.Errorf("%v: store = %s, want %s", c.env, got.DBType, c.want)
		}
	}
}

func TestConfig_RefusesWhatCannotRun(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		want string
	}{
		{map[string]string{"DB_TYPE": "postgres"}, "needs DATABASE_URL"},
		{map[string]string{"DATABASE_URL": "mysql://h/d"}, "DATABASE_URL: takes an address like postgres://"},
		{map[string]string{"REDIS_URL": "redis://h"}, "REDIS_URL needs Postgres"},
		{map[string]string{"REDIS_URLS": "redis://h,redis://i", "DB_TYPE": "memory"}, "REDIS_URLS needs Postgres"},
		{map[string]string{"REDIS_URL": "redis://h", "DB_HOST": "h"}, "REDIS_URL needs MASTER_KEY"},
		{cluster("REDIS_URLS", "redis://a"), "REDIS_URL and REDIS_URLS are both set"},
		{cluster("REDIS_URL", "localhost:6379"), "REDIS_URL: takes addresses like redis://"},
		{cluster("REDIS_URL", "", "REDIS_URLS", "redis://a,b:6379"), "REDIS_URLS: takes addresses like redis://"},
		{cluster("CLUSTER_SECRET", "short"), "CLUSTER_SECRET is shorter than 16"},
		{cluster("CLUSTER_PORT", "3000"), "CLUSTER_PORT=3000 is PORT"},
		{map[string]string{"METRICS_PORT": "3000"}, "METRICS_PORT=3000 is PORT as well"},
		{map[string]string{"DRAIN_DELAY": "21s"}, "DRAIN_DELAY=21s leaves too little of DRAIN_TIMEOUT=25s"},
		{map[string]string{"TLS_KEY": "key.pem"}, "TLS_CERT and TLS_KEY go together"},
		{map[string]string{"ADMIN_PASS": "elevenchars"}, "shorter than 12 characters"},
	} {
		if _, err := loadFrom(t, nil, c.env, ""); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: err = %v, want %q in it", c.env, err, c.want)
		}
	}
}

// cluster is what a node of a cluster needs, and more.
func cluster(more ...string) environment {
	env := environment{"DATABASE_URL": "postgres://u@h/d", "REDIS_URL": "redis://h:6379", "MASTER_KEY": testMasterKey}
	for i := 0; i < len(more); i += 2 {
		env[more[i]] = more[i+1]
	}
	return env
}

func TestConfig_ClusterIsMadeByRedisAndSaysWhichWithoutItsPassword(t *testing.T) {
	for _, c := range []struct{ url, urls, want string }{
		{"redis://:s3cr3t@r:6379", "", "r:6379"},
		{"rediss://u:s3cr3t@r:6379/1", "", "r:6379"},
		{"redis://:s3cr3t@s1:26379?master_name=main&addr=s2:26379", "", "main by Sentinel at s1:26379, s2:26379"},
		{"", "redis://:s3cr3t@a:1, redis://:s3cr3t@b:2", "a:1, b:2"},
		{"", "", ""},
	} {
		got, err := loadFrom(t, nil, cluster("REDIS_URL", c.url, "REDIS_URLS", c.urls), "")
		if err != nil {
			t.Errorf("%s%s: %v", c.url, c.urls, err)
			continue
		}
		if text := redisText(got); text != c.want || got.Cluster() != (c.want != "") {
			t.Errorf("%s%s: cluster %v on %q, want %q", c.url, c.urls, got.Cluster(), text, c.want)
		}
	}
}

func TestConfig_TLSTowardsPostgresGivesWayOnlyForNamesWithoutADot(t *testing.T) {
	for _, c := range []struct {
		host, mode, query string
		warned            bool
	}{
		{"postgres", "", "?sslmode=prefer", true}, // the compose file of the first documents
		{"postgres", "verify-full", "?sslmode=verify-full", false},
		{"localhost", "", "?sslmode=prefer", false},
		{"127.0.0.1", "", "", false}, // the store knows what to do
		{"db.example.com", "", "", false},
		{"10.0.0.5", "", "", false},
		{"fd00::5", "", "", false},
	} {
		got, err := loadFrom(t, nil, map[string]string{"DB_HOST": c.host, "DB_SSLMODE": c.mode}, "")
		if err != nil {
			t.Fatal(err)
		}
		if url := got.PostgresURL(); !strings.HasSuffix(url, "/fastport"+c.query) {
			t.Errorf("%s %s: %s, want %q at its end", c.host, c.mode, url, c.query)
		}
		if warned := strings.Contains(strings.Join(got.Warnings, ""), "DB_SSLMODE=verify-full"); warned != c.warned {
			t.Errorf("%s %s: warnings = %q, want one: %v", c.host, c.mode, got.Warnings, c.warned)
		}
	}
}

func TestConfig_ExamplePasswordsWarnLoudly(t *testing.T) {
	for _, pass := range []string{"admin_password", "your_secure_password_here"} {
		c, err := loadFrom(t, nil, map[string]string{"ADMIN_PASS": pass}, "")
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], "CHANGE IT NOW") {
			t.Errorf("%s: warnings = %q", pass, c.Warnings)
		}
	}
}

func TestConfig_SecretsAreNeverShown(t *testing.T) {
	const leak = "s3cr3t-s3cr3t-s3cr3t"
	c, err := loadFrom(t, nil, map[string]string{"ADMIN_PASS": leak, "DB_PASS": leak, "DB_HOST": "h", "DATABASE_URL": "postgres://u:" + leak + "@h/d", "REDIS_URL": "redis://:" + leak + "@h",
		"CLUSTER_SECRET": leak, "MASTER_KEY": testMasterKey}, "")
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{fmt.Sprint(c), fmt.Sprintf("%+v", *c), fmt.Sprintf("%#v", *c), string(asJSON), strings.Join(c.Warnings, "")} {
		if strings.Contains(shown, leak) {
			t.Errorf("a secret is shown: %s", shown)
		}
	}
	_, err = loadFrom(t, nil, map[string]string{"DATABASE_URL": "postgres//u:" + leak + "@h/d", "MASTER_KEY": leak, "REDIS_URL": "redis//" + leak}, "ADMIN_PASS '"+leak+"\n")
	if err == nil || strings.Contains(err.Error(), leak) {
		t.Errorf("err = %v, want faults without the secret", err)
	}
}

func TestConfig_PostgresURLHoldsWhatItIsGiven(t *testing.T) {
	c, err := loadFrom(t, nil, map[string]string{"DB_HOST": "::1", "DB_PORT": "6543", "DB_PASS": "p@ss/w:rd", "DB_NAME": "n", "DB_USER": "u", "DB_SSLMODE": "disable"}, "")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.PostgresURL(), "postgres://u:p%40ss%2Fw%3Ard@[::1]:6543/n?sslmode=disable"; got != want {
		t.Errorf("url = %s, want %s", got, want)
	}
}

func TestConfig_TyposInTheFileAreTold(t *testing.T) {
	c, err := loadFrom(t, nil, nil, "DB_TYP=memory\nPOSTGRES_PASSWORD=x\n")
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], "is it DB_TYPE?") {
		t.Errorf("warnings = %q, want one about DB_TYP", c.Warnings)
	}
}

func TestDotenv_Values(t *testing.T) {
	for line, want := range map[string]string{
		`A=b`: "b", `export A = b c `: "b c", `A=`: "", `A= # none`: "", `A=b#c`: "b#c", "A=b\t# c": "b", `A='b # c' # d`: "b # c",
		`A="b\n\"c\" \\ # d"`: "b\n\"c\" \\ # d", `A=p=q`: "p=q", `A="\d"`: `\d`,
	} {
		file := filepath.Join(t.TempDir(), ".env")
		if err := os.WriteFile(file, []byte(line), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := readDotenv(file)
		if err != nil || got["A"] != want {
			t.Errorf("%s: %q, %v, want %q", line, got["A"], err, want)
		}
	}
}

func FuzzDotenv(f *testing.F) {
	f.Add(seedsEnv)
	f.Add("A=\"b\\\nC='d\nexport =\n")
	file := filepath.Join(f.TempDir(), ".env")
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		values, _ := readDotenv(file)
		for name, value := range values {
			if name == "" || strings.ContainsAny(name, " =\n") || strings.Contains(value, "\x00") != strings.Contains(text, "\x00") && strings.Contains(value, "\x00") {
				t.Errorf("%q: name %q, value %q", text, name, value)
			}
		}
	})
}

func TestConfig_DocsAreWhatTheTableSays(t *testing.T) {
	var want bytes.Buffer
	if err := writeConfigDocs(&want); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Error("docs/configuration.md is not what config.go says: run `go run ./cmd/fastport config-docs > docs/configuration.md`")
	}
}

func TestConfig_EveryDefaultIsTaken(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range new(Config).settings() {
		if s.Default != "" {
			if err := s.Value.Set(s.Default); err != nil {
				t.Errorf("%s does not take its default %s", s.Name, s.Default)
			}
		}
		if seen[s.Name] {
			t.Errorf("%s is there twice", s.Name)
		}
		seen[s.Name] = true
	}
}

func parseServe(args ...string) (map[string]string, []string, error) {
	fs := flag.NewFlagSet("serve", flag.ContinueOnError)
	given := settingFlags(fs, new(Config).settings())
	rest, err := parseFlags(fs, args)
	return given, rest, err
}

func TestFlags_StandAnywhere(t *testing.T) {
	given, rest, err := parseServe("a", "--port", "1", "b", "--compression", "--", "--host", "c")
	if err != nil {
		t.Fatal(err)
	}
	if given["PORT"] != "1" || given["COMPRESSION"] != "true" || strings.Join(rest, " ") != "a b --host c" {
		t.Errorf("given %v, rest %q", given, rest)
	}
}

func TestFlags_UnknownOnesTeach(t *testing.T) {
	for arg, want := range map[string]string{
		"--prot=1":           "is it --port?",
		"--xyzzy":            "`fastport serve --help` lists them",
		"--admin-pass=hello": "Set ADMIN_PASS in the environment",
		"--port":             "flag needs an argument",
	} {
		_, _, err := parseServe(arg)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hello") {
			t.Errorf("%s: err = %v, want %q in it", arg, err, want)
		}
	}
}
