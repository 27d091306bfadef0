// Command sqlitedrivers compares the two SQLite drivers without cgo on the broker's own schema, with the statements
// of an append: a group of messages of 128 bytes to ten topics, in one synced transaction. Run it in this folder:
//
//	go run . -rounds 3
//
// The drivers take turns, so that what else the machine does meets both.
package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	_ "github.com/ncruces/go-sqlite3/driver"
	_ "modernc.org/sqlite"
)

const (
	topics  = 10
	session = "00112233445566778899aabbccddeeff"
	pragmas = "_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=temp_store(MEMORY)&_pragma=synchronous(FULL)" +
		"&_pragma=secure_delete(ON)&_pragma=foreign_keys(ON)&_pragma=wal_autocheckpoint(16384)&_pragma=cache_size(-16384)"
)

func main() {
	rounds := flag.Int("rounds", 3, "measurements of each")
	length := flag.Duration("time", 3*time.Second, "length of each")
	dir := flag.String("dir", "", "folder for the files (default: a temporary one)")
	flag.Parse()
	schema, err := os.ReadFile("../../storage/sqlite/migrations/00001_broker.sql")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("| group | modernc: messages/s, CPU µs a message | ncruces: messages/s, CPU µs a message |")
	fmt.Println("|---|---|---|")
	for _, size := range []int{1, 100, 1000} {
		rate, cpu := map[string][]float64{}, map[string][]float64{}
		for range *rounds {
			for _, driver := range []string{"sqlite", "sqlite3"} {
				r, c, err := measure(driver, string(schema), *dir, size, *length)
				if err != nil {
					log.Fatalf("%s: %v", driver, err)
				}
				rate[driver], cpu[driver] = append(rate[driver], r), append(cpu[driver], c)
			}
		}
		fmt.Printf("| %d | %.0f, %.1f | %.0f, %.1f |\n", size,
			median(rate["sqlite"]), median(cpu["sqlite"]), median(rate["sqlite3"]), median(cpu["sqlite3"]))
	}
}

func median(x []float64) float64 {
	slices.Sort(x)
	return x[len(x)/2]
}

// measure appends groups to a new store for a while: messages a second and CPU microseconds a message.
func measure(driver, schema, dir string, size int, length time.Duration) (rate, cpu float64, err error) {
	dir, err = os.MkdirTemp(dir, "sqlitedrivers")
	if err != nil {
		return 0, 0, err
	}
	defer os.RemoveAll(dir)
	db, err := sql.Open(driver, "file:"+filepath.Join(dir, "x.db")+"?"+pragmas)
	if err != nil {
		return 0, 0, err
	}
	defer db.Close()
	conn, err := db.Conn(context.Background())
	if err != nil {
		return 0, 0, err
	}
	defer conn.Close()
	a := &appender{conn: conn, prepared: map[string]*sql.Stmt{}}
	if _, err := conn.ExecContext(context.Background(), schema); err != nil {
		return 0, 0, err
	}
	a.exec(`INSERT INTO sessions VALUES (?, 's', '', x'', 0, 0, 0, 0, 0, 0, '', x'', x'', 0, 1, 0)`, session)
	a.exec(`INSERT INTO usage (session) VALUES (?)`, session)
	for t := range topics {
		a.exec(`INSERT INTO topics (session, name, subscribers) VALUES (?, ?, 1)`, session, fmt.Sprint(t))
	}
	var before, after syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	start := time.Now()
	for a.err == nil && time.Since(start) < length {
		a.group(size)
	}
	took := time.Since(start)
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	used := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
	return float64(a.n) / took.Seconds(), float64(used) / 1e3 / float64(a.n), a.err
}

// appender does what the store's Append does, statement by statement. After an error it does nothing more.
type appender struct {
	conn     *sql.Conn
	prepared map[string]*sql.Stmt
	n        int
	err      error
}

func (a *appender) stmt(query string) *sql.Stmt {
	if a.err != nil {
		return nil
	}
	st := a.prepared[query]
	if st == nil {
		if st, a.err = a.conn.PrepareContext(context.Background(), query); a.err == nil {
			a.prepared[query] = st
		}
	}
	return st
}

func (a *appender) exec(query string, args ...any) {
	if st := a.stmt(query); a.err == nil {
		_, a.err = st.Exec(args...)
	}
}

func (a *appender) row(query string, args []any, dst ...any) {
	if st := a.stmt(query); a.err == nil {
		if err := st.QueryRow(args...).Scan(dst...); err != sql.ErrNoRows {
			a.err = err
		}
	}
}

func (a *appender) group(size int) {
	a.exec(`BEGIN IMMEDIATE`)
	var ids, heads [topics]int64
	for t := range min(topics, size) {
		var expires, bytes, subscribers int64
		a.row(`SELECT s.expires_at, u.bytes, coalesce(t.id, 0), coalesce(t.head, 0), coalesce(t.subscribers, 0)
			FROM sessions s JOIN usage u ON u.session = s.id LEFT JOIN topics t ON t.session = s.id AND t.name = ? WHERE s.id = ?`,
			[]any{fmt.Sprint(t), session}, &expires, &bytes, &ids[t], &heads[t], &subscribers)
	}
	now := time.Now().UnixMilli()
	var messages []any
	var keys []byte
	for i := range size {
		t := i % topics
		id := fmt.Sprintf("%032d", a.n)
		key := sha256.Sum256([]byte(id))
		heads[t]++
		messages = append(messages, ids[t], heads[t], now+3_600_000, now, now, id, "c:writer", "", make([]byte, 128))
		keys = binary.AppendUvarint(binary.AppendUvarint(append(keys, key[:16]...), uint64(ids[t])), uint64(heads[t]))
		a.n++
	}
	a.insert(`INSERT INTO messages (topic, seq, expires_at, stored_at, timestamp, message_id, origin, hash, data) VALUES `, 9, messages)
	a.insert(`INSERT INTO message_ids (stored_at, ids) VALUES `, 2, []any{now, keys})
	a.exec(`UPDATE usage SET messages = messages + ?, bytes = bytes + ? WHERE session = ?`, size, 128*size, session)
	for t := range min(topics, size) {
		a.exec(`UPDATE topics SET head = ? WHERE id = ?`, heads[t], ids[t])
	}
	a.exec(`COMMIT`)
}

func (a *appender) insert(into string, columns int, values []any) {
	one := "(?" + strings.Repeat(", ?", columns-1) + ")"
	for len(values) > 0 && a.err == nil {
		rows := 1
		for rows < 32 && 2*rows*columns <= len(values) {
			rows *= 2
		}
		a.exec(into+one+strings.Repeat(", "+one, rows-1), values[:rows*columns]...)
		values = values[rows*columns:]
	}
}
