package main

import (
	"strings"
	"testing"

	"github.com/fastport/fastport/internal/testenv"
)

const testMasterKey = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

func TestServe_TwoNodesOverRedisAndPostgresAreOneBroker(t *testing.T) {
	redis := testenv.StartRedis(t, "--requirepass", "s3cr3t")
	redis.Kill()
	p := newPlace(t).with("DATABASE_URL="+testenv.Postgres(t), "REDIS_URL=redis://:s3cr3t@"+redis.Addr(), "MASTER_KEY="+testMasterKey)

	// Redis that is not there stops nobody from starting, or from what one node can do.
	one, first := p.broker()
	_, second := p.broker()
	one.prints("Redis: " + redis.Addr() + " (out of reach")
	first.ok("session", "create", "demo", "--save")
	sub := first.start("sub", "demo", "news", "--client-id", "here", "--count", "2")
	sub.tells("subscribed to news")
	first.ok("pub", "demo", "news", "alone")
	sub.prints("alone")

	redis.Restart()
	one.tells("redis: connected")
	second.ok("pub", "demo", "news", "from the other")
	sub.prints("from the other")
	if code := sub.wait(); code != exitOK {
		t.Errorf("sub: exit code %d: %s", code, sub.told.String())
	}
	if code := one.interrupt(); code != exitOK {
		t.Errorf("serve: exit code %d", code)
	}
	if said := one.out.String() + one.told.String(); strings.Contains(said, "s3cr3t") || strings.Contains(said, testMasterKey) {
		t.Errorf("a secret is told: %s", said)
	}
}

func TestServe_ClusterThatCannotBeRefusesToStart(t *testing.T) {
	p := newPlace(t)
	for want, vars := range map[string][]string{
		"REDIS_URL needs Postgres":   {"REDIS_URL=redis://127.0.0.1:1", "MASTER_KEY=" + testMasterKey},
		"REDIS_URL needs MASTER_KEY": {"REDIS_URL=redis://127.0.0.1:1", "DATABASE_URL=postgres://u@127.0.0.1:1/d"},
	} {
		if code, _, told := p.with(vars...).run("", "serve", "--port", "0"); code != exitUsage || !strings.Contains(told, want) {
			t.Errorf("exit code %d, told %q, want 2 and %q", code, told, want)
		}
	}
}
