package storagetest

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fastport/fastport/storage"
)

// The child finds here where its store is and which session to append to.
const (
	placeVariable   = "STORAGETEST_PLACE"
	sessionVariable = "STORAGETEST_SESSION"
)

const (
	crashTopics  = 2
	crashWriters = 4
)

// CrashChild is to be called first in the TestMain of a package whose harness has a Place. In the process that the
// crash test starts, it appends until it is killed; in any other it returns at once.
func CrashChild(at func(ctx context.Context, place string, o storage.Options) (storage.Store, error)) {
	place := os.Getenv(placeVariable)
	if place == "" {
		return
	}
	st, err := at(context.Background(), place, storage.Options{})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	appendForever(st, os.Getenv(sessionVariable))
}

func crashTopic(session string, n int) storage.Topic {
	return storage.Topic{Session: session, Name: fmt.Sprint("crash-", n)}
}

// appendForever appends groups and tells of each message, a line each, once it is acknowledged.
func appendForever(st storage.Store, session string) {
	var mu sync.Mutex // keeps lines whole
	for w := range crashWriters {
		go func() {
			for g := 0; ; g++ {
				group := make([]storage.Entry, 1+g%5)
				for i := range group {
					group[i] = entry(crashTopic(session, (w+i)%crashTopics), fmt.Sprintf("%d-%d-%d-%d", os.Getpid(), w, g, i))
					group[i].Data = fmt.Appendf(nil, "%s%2000d", group[i].MessageID, i) // pages of it: a torn write would show
				}
				results, _, err := st.Append(context.Background(), group)
				mu.Lock()
				if err != nil {
					fmt.Println("error", err)
				}
				for i, r := range results {
					fmt.Println("acked", (w+i)%crashTopics, r.Outcome, r.Seq, group[i].MessageID)
				}
				mu.Unlock()
			}
		}()
	}
	select {}
}

// checkKilled kills a process that appends, again and again, and looks each time that what it acknowledged is there,
// each message once, numbered without a gap.
func (h Harness) checkKilled(t *testing.T) {
	place := h.Place(t)
	r := &rig{t: t, h: h}
	var session, epoch string
	acked := make([]map[uint64]string, crashTopics) // seq to messageId, of all rounds
	for round := range 4 {
		st, err := h.At(t.Context(), place, storage.Options{})
		r.ok(err, "open")
		r.st = st
		if session == "" {
			session = r.session().ID
			for n := range crashTopics {
				acked[n] = map[uint64]string{}
				epoch = r.subscribe("c:reader", crashTopic(session, n)).Epoch
			}
		}
		for n := range crashTopics {
			at := crashTopic(session, n)
			if got := r.subscribe("c:reader", at); got.Epoch != epoch {
				t.Fatalf("epoch = %s, want %s: it is the same store", got.Epoch, epoch)
			}
			got := r.read(at, 0)
			if len(got) < len(acked[n]) {
				t.Fatalf("after %d kills topic %d holds %d messages, %d were acknowledged", round, n, len(got), len(acked[n]))
			}
			seen := map[string]bool{}
			for i, m := range got {
				if m.Seq != uint64(i)+1 || seen[m.MessageID] {
					t.Fatalf("topic %d: message %d is %s with seq %d; it was there already: %v", n, i+1, m.MessageID, m.Seq, seen[m.MessageID])
				}
				if want, ok := acked[n][m.Seq]; ok && m.MessageID != want || !strings.HasPrefix(string(m.Data), m.MessageID+" ") {
					t.Fatalf("topic %d: seq %d is %s with %.40q, acknowledged was %q", n, m.Seq, m.MessageID, m.Data, want)
				}
				seen[m.MessageID] = true
			}
			for seq, id := range acked[n] {
				if !seen[id] {
					t.Fatalf("topic %d: %s, acknowledged as seq %d, is gone", n, id, seq)
				}
			}
		}
		r.ok(st.Close(), "close")
		killWhileAppending(t, place, session, acked)
	}
}

// killWhileAppending runs a child until it has acknowledged some messages, kills it in the middle, and adds what it said.
func killWhileAppending(t *testing.T, place, session string, acked []map[uint64]string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), placeVariable+"="+place, sessionVariable+"="+session)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
	defer stop.Stop()
	lines := 0
	for sc := bufio.NewScanner(out); sc.Scan(); {
		f := strings.Fields(sc.Text()) // whole lines: a pipe takes a short write whole or not at all
		if len(f) != 5 || f[0] != "acked" || f[2] != fmt.Sprint(storage.Stored) {
			t.Errorf("child said %q", sc.Text())
			break
		}
		n, _ := strconv.Atoi(f[1])
		seq, _ := strconv.ParseUint(f[3], 10, 64)
		acked[n][seq] = f[4]
		if lines++; lines == 200 {
			_ = cmd.Process.Kill() // what it has written until now is still read
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait() // killed: its error is no news
	if lines < 200 {
		t.Fatalf("the child acknowledged %d messages in 30 s, want 200", lines)
	}
}

// checkReopened closes a store and opens it again.
func (h Harness) checkReopened(t *testing.T) {
	place := h.Place(t)
	open := func() *rig {
		st, err := h.At(t.Context(), place, storage.Options{})
		if err != nil {
			t.Fatalf("open: %v", err)
		}
		return &rig{t: t, h: h, st: st}
	}
	r := open()
	at := r.topic()
	r.subscribe("c:reader", at)
	r.append(entry(at, "a"), entry(at, "b"), entry(at, "c"), entry(at, "d"))
	before := r.ack("c:reader", at, 2, 2)
	r.ok(r.st.Close(), "close")
	r.ok(r.st.Close(), "close again")

	r = open()
	after := r.subscribe("c:reader", at)
	if after.Epoch != before.Epoch || after.Attach != before.Attach || after.Head != 4 || !slices.Equal(after.Settled, before.Settled) {
		t.Fatalf("reopened: %+v, want %+v", after, before)
	}
	r.outcome(r.append(entry(at, "a"))[0], storage.Repeat, nil)
	// What was settled when the last process ended is swept by this one, though it settled nothing itself.
	if got := r.sweep(); got.Settled != 1 {
		t.Fatalf("swept %+v, want the one that is settled", got)
	}
	if got := r.seqs(at); !slices.Equal(got, []uint64{1, 3, 4}) {
		t.Fatalf("stored = %v, want 1, 3, 4", got)
	}
	r.ok(r.st.Close(), "close")
}
