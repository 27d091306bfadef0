package postgres_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/fastport/fastport/internal/testenv"
	"github.com/fastport/fastport/storage"
	"github.com/fastport/fastport/storage/postgres"
	"github.com/fastport/fastport/storage/storagetest"
)

// churn puts messages through their whole life: appended in groups, settled by every reader, swept.
type churn struct {
	st      *postgres.Store
	topics  []storage.Topic
	readers []storage.Subscriber
	writers int // each with topics of its own
	group   int
	round   int // messages between two settles and sweeps, as between those a second apart
	rounds  int // so far
}

func newChurn(t testing.TB, st *postgres.Store, topics, readers, writers, group, round int) *churn {
	t.Helper()
	c := &churn{st: st, writers: writers, group: group, round: round}
	ss := storagetest.NewSession()
	if err := st.CreateSession(t.Context(), ss); err != nil {
		t.Fatal(err)
	}
	for r := range readers {
		c.readers = append(c.readers, storage.Subscriber(fmt.Sprint("c:reader-", r)))
	}
	for i := range topics {
		at := storage.Topic{Session: ss.ID, Name: fmt.Sprint("topic-", i)}
		c.topics = append(c.topics, at)
		for _, sub := range c.readers {
			if _, err := st.Subscribe(t.Context(), sub, at, true); err != nil {
				t.Fatal(err)
			}
		}
	}
	return c
}

// turn puts one round of messages through.
func (c *churn) turn(ctx context.Context) error {
	c.rounds++
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, c.writers)
	for w := range c.writers {
		wg.Go(func() {
			own := c.topics[w*len(c.topics)/c.writers : (w+1)*len(c.topics)/c.writers]
			for at := int(next.Add(int64(c.group))) - c.group; at < c.round; at = int(next.Add(int64(c.group))) - c.group {
				entries := make([]storage.Entry, c.group)
				for i := range entries {
					entries[i] = storage.Entry{Topic: own[(at+i)%len(own)], MessageID: fmt.Sprintf("%08d-0000-4000-8000-%012d", c.rounds, at+i),
						Origin: "c:writer", Data: make([]byte, 128), Timestamp: 1, Expiry: time.Hour}
				}
				results, _, err := c.st.Append(ctx, entries)
				if err == nil && results[0].Outcome != storage.Stored {
					err = fmt.Errorf("appended %+v", results[0])
				}
				if err != nil {
					errs[w] = err
					return
				}
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	heads, epoch, err := c.st.Heads(ctx, c.topics)
	if err != nil {
		return err
	}
	var batch []storage.Settlement
	for i, at := range c.topics {
		for _, sub := range c.readers {
			batch = append(batch, storage.Settlement{Subscriber: sub, Topic: at, Acked: storage.Span(1, heads[i]), Epoch: epoch})
		}
	}
	for len(batch) > 0 {
		n := min(len(batch), 512)
		if _, err := c.st.Settle(ctx, batch[:n]); err != nil {
			return err
		}
		batch = batch[n:]
	}
	_, err = c.st.Sweep(ctx)
	return err
}

// Axis: messages a group. Each message is appended, settled by two readers and swept; 50 topics, two groups at once,
// settles and sweeps every 5,000 messages. PG-µs and node-µs are the processor's time for a message.
func BenchmarkChurn(b *testing.B) {
	for _, size := range []int{8, 64} {
		b.Run(fmt.Sprintf("group=%d", size), func(b *testing.B) {
			server := testenv.StartPostgres(b)
			st := open(b, server.Database(), storage.Options{StoredBytes: 1 << 40, DedupeWindow: 5 * time.Second})
			c := newChurn(b, st, 50, 2, 2, size, 5000)
			for range 4 { // caches, plans, pages
				if err := c.turn(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			wal := func() (n int64) {
				if err := st.Pool().QueryRow(b.Context(), "SELECT (pg_current_wal_lsn() - '0/0')::bigint").Scan(&n); err != nil {
					b.Fatal(err)
				}
				return n
			}
			server.Exec("CHECKPOINT")
			cpu, own, log, messages := serverCPU(b, st), ownCPU(), wal(), 0
			b.ResetTimer()
			for messages < b.N {
				if err := c.turn(b.Context()); err != nil {
					b.Fatal(err)
				}
				messages += c.round
				if messages/c.round%max(1, b.N/c.round/10) == 0 {
					b.Logf("after %v and %d messages: %s", b.Elapsed().Round(time.Second), messages, sizes(b, st))
				}
			}
			took := b.Elapsed()
			per := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(messages) }
			b.ReportMetric(float64(messages)/took.Seconds(), "msg/s")
			b.ReportMetric(per(serverCPU(b, st)-cpu), "PG-µs/msg")
			b.ReportMetric(per(ownCPU()-own), "node-µs/msg")
			b.ReportMetric(float64(wal()-log)/float64(messages), "WAL-B/msg")
			b.ReportMetric(float64(diskOf(b, st))/(1<<20), "MB")
		})
	}
}

// queues are the tables through which messages pass.
const queues = "'messages'::regclass, 'message_ids', 'counters', 'subscriptions'"

// diskOf is what the queues and their indexes take.
func diskOf(t testing.TB, st *postgres.Store) (bytes int64) {
	t.Helper()
	err := st.Pool().QueryRow(t.Context(), "SELECT sum(pg_total_relation_size(r)) FROM unnest(ARRAY["+queues+"]) r").Scan(&bytes)
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}

// sizes says what each of the queues takes, and each of its indexes.
func sizes(t testing.TB, st *postgres.Store) (text string) {
	t.Helper()
	err := st.Pool().QueryRow(t.Context(), `
		SELECT string_agg(name || ' ' || round(pg_relation_size(relation) / 1048576.0, 1) || ' MB', ', ')
		FROM (
			SELECT r::regclass::text AS name, r AS relation FROM unnest(ARRAY[`+queues+`]) r
			UNION ALL
			SELECT indexrelid::regclass::text, indexrelid FROM pg_index WHERE indrelid = ANY (ARRAY[`+queues+`])
		) x`).Scan(&text)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// What is put in is taken out again, and what is freed is used again: by and by, nothing grows.
func TestChurn_TheTablesAndIndexesStaySmall(t *testing.T) {
	t.Parallel() // it mostly waits for the disk
	st := open(t, testenv.Postgres(t), storage.Options{DedupeWindow: time.Millisecond})
	c := newChurn(t, st, 20, 2, 1, 200, 2000)
	turns := func(n int) {
		for range n {
			if err := c.turn(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, table := range []string{"messages", "message_ids", "counters", "subscriptions"} { // as autovacuum does
				if _, err := st.Pool().Exec(t.Context(), "VACUUM "+table); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	turns(4)
	early := diskOf(t, st)
	turns(12)
	if late := diskOf(t, st); late > early+early/4 {
		t.Fatalf("%d KiB after 4 rounds, %d after 16: %s", early>>10, late>>10, sizes(t, st))
	}
	if totals, err := st.Totals(t.Context()); err != nil || totals.Messages != 0 || totals.Bytes != 0 {
		t.Fatalf("totals = %+v (%v), want nothing stored", totals, err)
	}
}

func ownCPU() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// serverCPU is what a server has used of the processor, with the processes of it that have ended.
func serverCPU(b testing.TB, st *postgres.Store) (used time.Duration) {
	b.Helper()
	var pid int
	if err := st.Pool().QueryRow(b.Context(), "SELECT pg_backend_pid()").Scan(&pid); err != nil {
		b.Fatal(err)
	}
	server, _, _, _ := stat(pid)
	_, own, waited, err := stat(server)
	if err != nil {
		b.Fatal(err)
	}
	used = own + waited
	all, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range all {
		pid, _ := strconv.Atoi(filepath.Base(dir))
		if parent, own, _, err := stat(pid); err == nil && parent == server {
			used += own
		}
	}
	return used
}

// stat reads a process's parent, its own processor time, and that of the children it has waited for.
func stat(pid int) (parent int, own, waited time.Duration, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, 0, err
	}
	// Behind the name, which may hold anything: state, parent, 9 more, then utime, stime, cutime, cstime.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	parent, _ = strconv.Atoi(fields[1])
	sum := func(fields []string) (d time.Duration) {
		for _, field := range fields {
			ticks, _ := strconv.Atoi(field)
			d += time.Duration(ticks) * (time.Second / 100) // USER_HZ is 100 wherever Go runs
		}
		return d
	}
	return parent, sum(fields[11:13]), sum(fields[13:15]), nil
}
