package postgres_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fastport/fastport/internal/testenv"
	"github.com/fastport/fastport/storage"
)

// A commit that waits for a standby is on the primary's disk and nowhere else. Whoever cancels the wait is told that it
// succeeded, so nobody may.
func TestAppend_ADeadlineWhileAStandbyIsAwaitedIsNoSuccessAndCancelsNothing(t *testing.T) {
	server := testenv.StartPostgres(t)
	through := relay(t, server.Addr())
	st := open(t, strings.Replace(server.Database(), server.Addr(), through.addr, 1), storage.Options{})
	at := subscribed(t, st)
	server.Exec("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
	server.Exec("SELECT pg_reload_conf()")
	eventually(t, "the setting is in force", func() error {
		var value string
		err := st.Pool().QueryRow(t.Context(), "SHOW synchronous_standby_names").Scan(&value)
		if err == nil && value != "nobody" {
			err = fmt.Errorf("it is %q", value)
		}
		return err
	})

	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	results, _, err := st.Append(ctx, group(at, 1, "stalled"))
	if !errors.Is(err, storage.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("append = %+v, %v; want ErrUnavailable for the deadline", results, err)
	}
	closed := time.Now()
	st.Close() // waits for the connections, and so for all that the driver does about them
	if took := time.Since(closed); took > 5*time.Second {
		t.Errorf("close took %v: the connection was not hung up", took)
	}
	if n := through.cancels.Load(); n != 0 {
		t.Fatalf("%d cancel requests reached the server, want none", n)
	}

	server.Exec("ALTER SYSTEM RESET synchronous_standby_names")
	server.Exec("SELECT pg_reload_conf()")
	again := open(t, server.Database(), storage.Options{}) // another database: the first has to go on without it
	subscribed(t, again)
}

// relayed passes connections on to a server and looks at how each begins.
type relayed struct {
	addr    string
	cancels atomic.Int64
}

func relay(t *testing.T, to string) *relayed {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relayed{addr: l.Addr().String()}
	var wg sync.WaitGroup
	t.Cleanup(func() { l.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { r.pass(in, to) })
		}
	})
	return r
}

func (r *relayed) pass(in net.Conn, to string) {
	defer in.Close()
	var begin [8]byte // length and code of the first packet
	if _, err := io.ReadFull(in, begin[:]); err != nil {
		return
	}
	if binary.BigEndian.Uint32(begin[4:]) == 80877102 {
		r.cancels.Add(1)
	}
	out, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer out.Close()
	out.Write(begin[:])
	var wg sync.WaitGroup
	wg.Go(func() { io.Copy(out, in); out.Close() })
	wg.Go(func() { io.Copy(in, out); in.Close() })
	wg.Wait()
}

func TestStore_AFrozenServerCostsADeadlineAndIsFoundAgain(t *testing.T) {
	server := testenv.StartPostgres(t)
	st := open(t, server.Database(), storage.Options{})
	at := subscribed(t, st)
	server.Freeze()
	const patience = 300 * time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	begun := time.Now()
	_, _, err := st.Append(ctx, group(at, 3, "frozen"))
	if took := time.Since(begun); !errors.Is(err, storage.ErrUnavailable) || took > patience+3*time.Second {
		t.Fatalf("append gave %v after %v, want ErrUnavailable after %v", err, took, patience)
	}
	server.Thaw()
	var results []storage.Appended
	eventually(t, "the store serves", func() (err error) {
		results, _, err = st.Append(t.Context(), group(at, 3, "frozen"))
		return err
	})
	for i, got := range results { // stored now or, unknown to us, before
		if got.Outcome != storage.Stored && got.Outcome != storage.Repeat || got.Seq != uint64(i)+1 {
			t.Fatalf("result %d = %+v, want seq %d", i, got, i+1)
		}
	}
}

// A node that freezes inside a transaction holds its locks. No call of ours can, being one statement; should one ever,
// the server ends it before others give up.
func TestStore_AFrozenHolderOfALockIsEndedBeforeOthersGiveUp(t *testing.T) {
	dsn := testenv.Postgres(t)
	frozen, st := open(t, dsn, storage.Options{}), open(t, dsn, storage.Options{})
	at := subscribed(t, st)
	tx, err := frozen.Pool().Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context())
	if _, err := tx.Exec(t.Context(), "SELECT FROM topics FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	results, _, err := st.Append(t.Context(), group(at, 1, "waits"))
	if err != nil || results[0].Outcome != storage.Stored {
		t.Fatalf("append = %+v, %v; want it stored", results, err)
	}
}

func TestStore_ABusyLockCostsThreeSecondsAtMost(t *testing.T) {
	dsn := testenv.Postgres(t)
	busy, st := open(t, dsn, storage.Options{}), open(t, dsn, storage.Options{})
	at := subscribed(t, st)
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	locked := make(chan struct{})
	wg.Go(func() { // at work, so not idle
		tx, err := busy.Pool().Begin(ctx)
		if err != nil {
			t.Error(err)
			close(locked)
			return
		}
		defer tx.Rollback(context.WithoutCancel(ctx))
		_, err = tx.Exec(ctx, "SELECT FROM topics FOR UPDATE")
		if err != nil {
			t.Error(err)
		}
		close(locked)
		tx.Exec(ctx, "SELECT pg_sleep(20)")
	})
	<-locked
	begun := time.Now()
	_, _, err := st.Append(t.Context(), group(at, 1, "waits"))
	if took := time.Since(begun); !errors.Is(err, storage.ErrUnavailable) || took > 6*time.Second {
		t.Fatalf("append gave %v after %v, want ErrUnavailable after 3 s", err, took)
	}
}
