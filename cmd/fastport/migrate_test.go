package main

import (
	"testing"

	"github.com/fastport/fastport/internal/testenv"
)

func TestMigrate_WaitsForAStoreThatCannotBeReachedYet(t *testing.T) {
	db := testenv.StartPostgres(t)
	p := newPlace(t).with("DATABASE_URL=" + db.Database())
	db.Stop()
	p.fails("cannot open Postgres", "migrate")
	waiting := p.start("migrate", "--wait", "10m")
	waiting.tells("not yet: cannot open Postgres")
	db.Restart()
	waiting.prints("up to date: Postgres storage")
	if code := waiting.wait(); code != exitOK {
		t.Errorf("exit code %d, want %d", code, exitOK)
	}
}

// The pods of a release all migrate at once, before they start.
func TestMigrate_ManyAtOnceAllSucceed(t *testing.T) {
	p := newPlace(t).with("DATABASE_URL=" + testenv.Postgres(t))
	var all []*process
	for range 4 {
		all = append(all, p.start("migrate"))
	}
	for _, one := range all {
		one.prints("up to date: Postgres storage")
		if code := one.wait(); code != exitOK {
			t.Errorf("exit code %d, want %d", code, exitOK)
		}
	}
}
