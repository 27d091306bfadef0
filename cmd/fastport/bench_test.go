package main

import (
	"encoding/json"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// benched runs a benchmark of a real broker, which must find it all well, and returns what it found.
func benched(t *testing.T, here *place, args ...string) (r benchResult) {
	t.Helper()
	out := here.ok(append([]string{"bench", "--json", "--duration", "1s", "--warmup", "200ms"}, args...)...)
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v of %s", err, out)
	}
	return r
}

func TestBench_MeasuresARealBroker(t *testing.T) {
	const pass = "a long enough sentence"
	_, here := newPlace(t).broker("ADMIN_PASS="+pass, "CONNECTION_RATE_LIMIT=0")
	here = here.with("FASTPORT_ADMIN_PASS=" + pass)
	for _, c := range []struct {
		args string
		each uint64
	}{
		{"--pairs 3", 1},
		{"--pairs 2 --rate 200 --durable --size 16", 1},
		{"--fanout 5 --rate 50 --qos 0", 5},
	} {
		r := benched(t, here, strings.Fields(c.args)...)
		if r.Acked == 0 || r.Acked != r.Published || r.Delivered != r.Acked*c.each || r.Lost+r.Twice+r.OutOfOrder+r.Failed > 0 || !r.OK {
			t.Errorf("%s: %+v: want each that was published acked, and delivered %d times", c.args, r, c.each)
		}
		if r.Delivery.Count == 0 || r.Delivery.Count > r.Delivered || r.Delivery.P50Ms <= 0 || r.Delivery.MaxMs < r.Delivery.P99Ms {
			t.Errorf("%s: times of delivery %+v", c.args, r.Delivery)
		}
		if r.Rate > 0 && r.Ack.Count != uint64(r.Rate) {
			t.Errorf("%s: %d acks are in its second, want each that was due in it, %d", c.args, r.Ack.Count, r.Rate)
		}
	}
	if list := here.ok("session", "list"); strings.Contains(list, "bench-") {
		t.Errorf("it left a session:\n%s", list)
	}
}

func TestBench_CountsTheTimeForWhichABrokerStandsStill(t *testing.T) {
	broker, here := newPlace(t).broker()
	r := here.start("bench", "--pairs", "1", "--rate", "100", "--duration", "4s", "--warmup", "0s", "--json")
	r.tells("delivered")
	broker.cmd.Process.Signal(syscall.SIGSTOP)
	time.Sleep(time.Second)
	broker.cmd.Process.Signal(syscall.SIGCONT)
	if code := r.wait(); code != exitOK {
		t.Fatalf("exit code %d: %s", code, r.told.String())
	}
	var found benchResult
	if err := json.Unmarshal([]byte(r.out.String()), &found); err != nil {
		t.Fatal(err)
	}
	// A hundred messages were due meanwhile, a quarter of all; half of those waited for half a second and more.
	if found.Ack.Count != 400 || found.Ack.P90Ms < 400 {
		t.Errorf("%+v: want 400 acks, a tenth of them after 400 ms or more", found.Ack)
	}
}

func TestBench_EndsThoughItsBrokerIsGone(t *testing.T) {
	broker, here := newPlace(t).broker()
	vars := environment{"FASTPORT_URL": here.url()}
	var out, told output
	ended := make(chan error, 1)
	go func() {
		b := &benchmark{pairs: 2, qos: 1, size: 64, window: 4, duration: 3 * time.Second, linger: time.Second, json: true}
		ended <- b.run(t.Context(), &env{Stdout: &out, Stderr: &told, Lookup: vars.lookup})
	}()
	for deadline := time.Now().Add(patience); !strings.Contains(told.String(), "delivered"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("told %q", told.String())
		}
	}
	broker.cmd.Process.Kill()
	select {
	case err := <-ended:
		if err == nil || !strings.Contains(err.Error(), "publishes failed, the first: no ack came") || !strings.Contains(out.String(), `"ok": false`) {
			t.Errorf("%v, printed %s: want what failed", err, out.String())
		}
	case <-time.After(patience):
		t.Fatalf("it does not end: %s", told.String())
	}
}

func TestBench_InterruptedItReports(t *testing.T) {
	_, here := newPlace(t).broker()
	r := here.start("bench", "--pairs", "2", "--rate", "100", "--duration", "1h", "--warmup", "0s")
	r.tells("p99")
	if code := r.interrupt(); code != exitOK || !strings.Contains(r.out.String(), "publish to delivery") || !strings.Contains(r.out.String(), " 0 lost") {
		t.Errorf("exit code %d, printed %q, told %q", code, r.out.String(), r.told.String())
	}
}

func TestBench_CountsWhatIsLostTwiceAndOutOfOrder(t *testing.T) {
	b := &benchmark{pairs: 1, qos: 1}
	l := &tally{started: time.Now(), sources: []*source{{acked: numbers{next: 6}}}, streams: []*stream{{}}}
	l.end.Store(int64(time.Hour))
	payload := make([]byte, stampSize)
	for _, number := range []uint64{0, 1, 3, 2, 2, 5} {
		stamp(payload, l.now(), number)
		l.take(l.streams[0], payload)
	}
	r := b.result(l)
	if r.Lost != 1 || r.Twice != 1 || r.OutOfOrder != 1 || r.OK {
		t.Errorf("%+v: want one lost, one twice, one out of order, and not OK", r)
	}
	if got := r.verdict(); got != "lost 1, twice 1, out of order 1 of 6 that were acked" {
		t.Errorf("verdict %q", got)
	}
	stamp(payload, l.now(), 4)
	l.take(l.streams[0], payload)
	if r := b.result(l); r.Lost != 0 || r.OutOfOrder != 2 {
		t.Errorf("%+v: want what came late to be out of order, and not lost", r)
	}
}

func TestBench_CountsWhatIsLostByItsNumber(t *testing.T) {
	b := &benchmark{pairs: 1, fanout: 2, qos: 1}
	l := &tally{started: time.Now(), sources: []*source{{}}, streams: []*stream{{}, {}}}
	for _, number := range []uint64{0, 2, 1, 4, 5} { // 3 was refused
		l.ack(l.sources[0], number, 0)
	}
	payload := make([]byte, stampSize)
	for i, numbers := range [][]uint64{{0, 1, 3, 4, 5}, {0, 1, 2, 3}} {
		for _, number := range numbers {
			stamp(payload, 0, number)
			l.take(l.streams[i], payload)
		}
	}
	// The first lacks 2, and the second 4 and 5, though what came of 3 makes up for it in number.
	if r := b.result(l); r.Lost != 3 || r.Acked != 5 || r.Delivered != 9 {
		t.Errorf("%+v: want 3 lost of 5 that were acked, with 9 delivered", r)
	}
}

func TestBench_InterruptedItWaitsForNothingThatIsNotDue(t *testing.T) {
	_, here := newPlace(t).broker()
	r := here.start("bench", "--pairs", "50", "--rate", "1", "--duration", "1h", "--warmup", "0s") // the last of them begins after 49 s
	r.tells("delivered")
	began := time.Now()
	if code := r.interrupt(); code != exitOK {
		t.Errorf("exit code %d, printed %q, told %q", code, r.out.String(), r.told.String())
	}
	if took := time.Since(began); took > 40*time.Second {
		t.Errorf("it ended %v after it was interrupted", took)
	}
}

func TestBench_SaysWhatToDo(t *testing.T) {
	_, here := newPlace(t).broker("ADMIN_PASS=a long enough sentence", "SESSION_CREATION=admin")
	here.fails("set FASTPORT_ADMIN_PASS", "bench")
	here.fails("nothing answers at", "bench", "--url", "http://127.0.0.1:1")
	_, narrow := newPlace(t).broker("CONNECTION_RATE_LIMIT=1")
	r := narrow.start("bench", "--pairs", "30")
	if code := r.wait(); code != exitFailure || !strings.Contains(r.told.String(), "takes no more connections from this address for now: its operator may raise CONNECTION_RATE_LIMIT") {
		t.Errorf("too many connections: exit %d, said %q", code, r.told.String())
	}
	for _, args := range []string{"--pairs 0", "--rate -1", "--qos 2", "--size 3", "--duration 0s", "--window 0", "--url ftp://h", "surplus"} {
		code, _, told := call(t, nil, "", strings.Fields("bench "+args)...)
		if code != exitUsage || told == "" {
			t.Errorf("bench %s: exit %d, said %q; want %d and why", args, code, told, exitUsage)
		}
	}
}

func TestNumbers_AreSetsInWhateverOrderTheyCome(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var sets [2]numbers
		model := [2]map[uint64]bool{{}, {}}
		for i := range sets {
			for _, n := range rapid.SliceOf(rapid.Uint64Range(0, 20)).Draw(t, "numbers") {
				if fresh, _ := sets[i].add(n); fresh == model[i][n] {
					t.Fatalf("%d is fresh: %v", n, fresh)
				}
				model[i][n] = true
			}
			if got := sets[i].count(); got != uint64(len(model[i])) {
				t.Fatalf("count = %d, want %d", got, len(model[i]))
			}
		}
		want := uint64(0)
		for n := range model[0] {
			if !model[1][n] {
				want++
			}
		}
		if got := sets[0].without(&sets[1]); got != want {
			t.Fatalf("%v without %v = %d, want %d", model[0], model[1], got, want)
		}
	})
}
