package postgres_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/fastport/fastport/internal/testenv"
	"github.com/fastport/fastport/storage"
	"github.com/fastport/fastport/storage/postgres"
)

// What a child process of this test binary is to do, and to which database.
const (
	roleVariable = "POSTGRES_TEST_ROLE"
	dsnVariable  = "POSTGRES_TEST_DSN"
)

// TestMain is a node of its own where a test has started it as one: it works until it is frozen or killed.
func TestMain(m *testing.M) {
	role := os.Getenv(roleVariable)
	if role == "" {
		os.Exit(m.Run())
	}
	st, err := postgres.Open(context.Background(), os.Getenv(dsnVariable), storage.Options{})
	if err == nil {
		err = map[string]func(*postgres.Store) error{"holder": hold, "appender": appendOn}[role](st)
	}
	fmt.Println("error", err)
	os.Exit(1)
}

// hold locks every topic in a transaction, says so, and thinks.
func hold(st *postgres.Store) error {
	tx, err := st.Pool().Begin(context.Background())
	if err != nil {
		return err
	}
	if _, err := tx.Exec(context.Background(), "SELECT FROM topics FOR UPDATE"); err != nil {
		return err
	}
	fmt.Println("ready")
	select {}
}

// appendOn appends to the topics of all sessions, four groups at a time, and says so after each.
func appendOn(st *postgres.Store) error {
	sessions, err := st.Sessions(context.Background(), "", "", 10)
	if err != nil {
		return err
	}
	failed := make(chan error)
	for w := range 4 {
		go func() {
			for g := 0; ; g++ {
				var entries []storage.Entry
				for _, ss := range sessions {
					entries = append(entries, group(storage.Topic{Session: ss.ID, Name: "news"}, 20, fmt.Sprintf("%d-%d-%d", os.Getpid(), w, g))...)
				}
				if _, _, err := st.Append(context.Background(), entries); err != nil {
					failed <- err
					return
				}
				fmt.Println("ready")
			}
		}()
	}
	return <-failed
}

// node is a child process in a role.
type node struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
}

// startNode runs a child and returns once it is at work.
func startNode(t *testing.T, role, dsn string) *node {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleVariable+"="+role, dsnVariable+"="+dsn)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // a frozen one too
		_ = cmd.Wait()
	})
	n := &node{cmd: cmd, lines: bufio.NewScanner(out)}
	n.ready(t)
	return n
}

func (n *node) ready(t *testing.T) {
	t.Helper()
	if !n.lines.Scan() || n.lines.Text() != "ready" {
		t.Fatalf("the child said %q (%v), want that it is ready", n.lines.Text(), n.lines.Err())
	}
}

func (n *node) freeze(t *testing.T) {
	t.Helper()
	if err := n.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
}

// A node that freezes inside a transaction holds its locks. No call of ours can, being one statement; should one ever,
// the server ends it after a second, before others give up.
func TestStore_AFrozenNodeThatHoldsEveryTopicIsEndedBeforeOthersGiveUp(t *testing.T) {
	t.Parallel() // it mostly waits for the disk
	dsn := testenv.Postgres(t)
	st := open(t, dsn, storage.Options{})
	at := subscribed(t, st)
	holder := startNode(t, "holder", dsn)
	holder.freeze(t)
	begun := time.Now()
	results, _, err := st.Append(t.Context(), group(at, 1, "waits"))
	if err != nil || results[0].Outcome != storage.Stored {
		t.Fatalf("append = %+v, %v after %v; want it stored", results, err, time.Since(begun))
	}
	t.Logf("waited %v", time.Since(begun))
}

// Whatever a node is at when it freezes, none of its calls keeps the others from theirs.
func TestStore_ANodeFrozenAmidItsCallsHoldsNobody(t *testing.T) {
	t.Parallel() // it mostly waits for the disk
	dsn := testenv.Postgres(t)
	st := open(t, dsn, storage.Options{})
	at := subscribed(t, st)
	node := startNode(t, "appender", dsn)
	for round := range 20 {
		for range 5 {
			node.ready(t)
		}
		node.freeze(t)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		results, _, err := st.Append(ctx, group(at, 3, fmt.Sprint("round-", round)))
		if err == nil {
			_, err = st.Settle(ctx, []storage.Settlement{{Subscriber: "c:reader", Topic: at, Acked: storage.Span(results[0].Seq, results[0].Seq)}})
		}
		if err == nil {
			_, err = st.Sweep(ctx)
		}
		cancel()
		if err != nil || results[0].Outcome != storage.Stored {
			t.Fatalf("round %d: append = %+v (%v), want it stored", round, results, err)
		}
		if err := node.cmd.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
	}
}
