package postgres_test

import (
	"context"
	"encoding/binary"
	"errors"
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
	t.Parallel() // it mostly waits for the disk
	server := testenv.StartPostgres(t)
	standby := server.Standby()
	server.Synchronous(standby)
	through := relay(t, server.Addr())
	dsn := strings.Replace(server.Database(), server.Addr(), through.addr, 1)
	st := open(t, dsn, storage.Options{})
	at := subscribed(t, st)
	standby.Freeze()

	for i := range 3 { // the first waits for the standby, those after it for the first
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		results, _, err := st.Append(ctx, group(at, 1, "stalled"))
		cancel()
		if !errors.Is(err, storage.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("append %d = %+v, %v; want ErrUnavailable for the deadline", i, results, err)
		}
	}
	if page, err := st.Read(t.Context(), at, 0, 10, 1000); err != nil || page.Head != 0 {
		t.Fatalf("read = %+v, %v; want that nobody sees what no standby has", page, err)
	}
	closed := time.Now()
	st.Close() // waits for the connections, and so for all that the driver does about them
	if took := time.Since(closed); took > 5*time.Second {
		t.Errorf("close took %v: the connection was not hung up", took)
	}
	if n := through.cancels.Load(); n != 0 {
		t.Fatalf("%d cancel requests reached the server, want none", n)
	}

	standby.Thaw()
	back := open(t, dsn, storage.Options{})
	var got []storage.Appended
	eventually(t, "it is answered", func() (err error) {
		got, _, err = attempt(back, group(at, 1, "stalled"))
		return err
	})
	if got[0].Outcome != storage.Repeat || got[0].Seq != 1 {
		t.Fatalf("the same again: %+v, want a repeat of seq 1", got[0])
	}
	if stored := everything(t, back, at); len(stored) != 1 {
		t.Fatalf("stored = %v, want it once", stored)
	}
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
