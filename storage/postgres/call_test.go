package postgres_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/fastport/fastport/internal/testenv"
	"github.com/fastport/fastport/storage"
	"github.com/fastport/fastport/storage/postgres"
	"github.com/fastport/fastport/storage/storagetest"
)

// losing makes the next statements that write lose as against another, and says how many there were. What a statement
// did is undone when it loses; a sequence counts on.
type losing struct {
	t  *testing.T
	st *postgres.Store
}

func newLosing(t *testing.T, st *postgres.Store) losing {
	t.Helper()
	l := losing{t, st}
	l.exec(`CREATE SEQUENCE writes; CREATE TABLE losses (n bigint, code text); INSERT INTO losses VALUES (0, '40P01');
		CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS $$
		DECLARE l losses;
		BEGIN
			SELECT * INTO l FROM losses;
			IF nextval('writes') <= l.n THEN
				RAISE 'lost' USING ERRCODE = l.code;
			END IF;
			RETURN NULL;
		END $$`)
	for _, table := range []string{"sessions", "subscriptions", "messages", "message_ids", "admin_logins"} {
		l.exec("CREATE TRIGGER lose AFTER INSERT OR UPDATE OR DELETE ON " + table + " FOR EACH STATEMENT EXECUTE FUNCTION lose()")
	}
	return l
}

func (l losing) exec(sql string) {
	l.t.Helper()
	if _, err := l.st.Pool().Exec(l.t.Context(), sql); err != nil {
		l.t.Fatal(err)
	}
}

func (l losing) next(code string, n int) {
	l.t.Helper()
	if _, err := l.st.Pool().Exec(l.t.Context(), "UPDATE losses SET n = $1, code = $2", n, code); err != nil {
		l.t.Fatal(err)
	}
	l.exec("ALTER SEQUENCE writes RESTART")
}

func (l losing) writes() (n int) {
	l.t.Helper()
	if err := l.st.Pool().QueryRow(l.t.Context(),
		"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM writes").Scan(&n); err != nil {
		l.t.Fatal(err)
	}
	return n
}

func TestStore_ACallThatLostAgainstAnotherIsMadeAgain(t *testing.T) {
	t.Parallel() // it mostly waits for the disk
	st := open(t, testenv.Postgres(t), storage.Options{})
	ss := storagetest.NewSession()
	at := storage.Topic{Session: ss.ID, Name: "news"}
	const sub = storage.Subscriber("c:reader")
	l := newLosing(t, st)
	for _, call := range []struct {
		name string
		make func(ctx context.Context) error
	}{ // each finds what those before it made
		{"create session", func(ctx context.Context) error { return st.CreateSession(ctx, ss) }},
		{"suspend session", func(ctx context.Context) error { _, err := st.SuspendSession(ctx, ss.Name, false); return err }},
		{"subscribe", func(ctx context.Context) error { _, err := st.Subscribe(ctx, sub, at, true); return err }},
		{"attach", func(ctx context.Context) error { _, err := st.Attach(ctx, ss.ID, sub, true); return err }},
		{"seen", func(ctx context.Context) error { return st.Seen(ctx, ss.ID, []storage.Subscriber{sub}) }},
		{"append", func(ctx context.Context) error {
			got, _, err := st.Append(ctx, group(at, 1, "m"))
			if err == nil && (got[0].Outcome != storage.Stored || got[0].Seq != 1) {
				t.Errorf("appended %+v, want it stored as 1", got[0])
			}
			return err
		}},
		{"settle", func(ctx context.Context) error {
			_, err := st.Settle(ctx, []storage.Settlement{{Subscriber: sub, Topic: at, Acked: storage.Span(1, 1)}})
			return err
		}},
		{"sweep", func(ctx context.Context) error {
			swept, err := st.Sweep(ctx)
			if err == nil && swept.Settled != 1 {
				t.Errorf("swept %+v, want 1 settled", swept)
			}
			return err
		}},
		{"save login", func(ctx context.Context) error { return st.SaveLogin(ctx, []byte("hash"), "user") }},
		{"login", func(ctx context.Context) error {
			_, err := st.Login(ctx, []byte("hash"), time.Hour, time.Hour)
			return err
		}},
		{"delete logins", func(ctx context.Context) error { return st.DeleteLogins(ctx, []byte("hash"), "") }},
		{"unsubscribe", func(ctx context.Context) error { return st.Unsubscribe(ctx, sub, at) }},
		{"drop session", func(ctx context.Context) error { _, err := st.DropSession(ctx, ss.Name); return err }},
	} {
		const ever = 1 << 30
		l.next("40P01", ever)
		if err := call.make(t.Context()); !errors.Is(err, storage.ErrUnavailable) || l.writes() != 4 {
			t.Fatalf("%s that always loses: %v after %d tries, want ErrUnavailable after 4", call.name, err, l.writes())
		}
		l.next("55000", ever) // of no meaning to us
		if err := call.make(t.Context()); !errors.Is(err, storage.ErrUnavailable) || l.writes() != 1 {
			t.Fatalf("%s that failed otherwise: %v after %d tries, want ErrUnavailable after 1", call.name, err, l.writes())
		}
		l.next("40001", 3)
		if err := call.make(t.Context()); err != nil || l.writes() < 4 {
			t.Fatalf("%s that lost thrice: %v after %d tries, want it done by the fourth", call.name, err, l.writes())
		}
	}
}
