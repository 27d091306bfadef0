package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fastport/fastport/internal/rig"
)

// sharedCluster is two nodes over a real Redis and a real Postgres, for all tests that leave them as they were.
type sharedCluster struct {
	once sync.Once
	c    *rig.Cluster
	err  error
	used atomic.Int64
}

// name is for a session that no other test has, and address for a client that none is.
func (s *sharedCluster) name() string    { return fmt.Sprint("session-", s.used.Add(1)) }
func (s *sharedCluster) address() string { return fmt.Sprint("192.0.2.", s.used.Add(1)) }

var shared sharedCluster

// Of DRAIN_TIMEOUT, DRAIN_DELAY is enough for a test to look around in, and what is left for all clients to move.
const (
	drainTimeout = 10 * time.Second
	drainDelay   = 2 * time.Second
)

func (s *sharedCluster) close() {
	if s.c != nil {
		s.c.Close()
	}
}

// cluster is the shared cluster, with both of its nodes up and knowing of each other.
func cluster(t *testing.T) *rig.Cluster {
	t.Helper()
	shared.once.Do(func() {
		shared.c, shared.err = rig.Start(context.Background(), rig.Options{Nodes: 2, Binary: binary,
			Env: []string{"DRAIN_TIMEOUT=" + drainTimeout.String(), "DRAIN_DELAY=" + drainDelay.String()}})
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			for _, n := range shared.c.Nodes {
				t.Logf("%s: see %s", n.Name(), n.LogFile())
			}
		}
	})
	for _, n := range shared.c.Nodes {
		up(t, n)
	}
	return shared.c
}

// up starts a node if it is down, and waits until it is ready.
func up(t *testing.T, n *rig.Node) {
	t.Helper()
	if err := n.Start(); err != nil {
		t.Fatal(err)
	}
	wait(t, patience, n.Name()+" to be ready", func() bool {
		ready, _, err := n.Ready(t.Context())
		return err == nil && ready
	})
}

const patience = 30 * time.Second

// on speaks to one node of a cluster.
func on(t *testing.T, n *rig.Node) *server {
	t.Helper()
	u, err := url.Parse(n.URL())
	if err != nil {
		t.Fatal(err)
	}
	return &server{t: t, port: u.Port()}
}

// closesWithin holds a socket's end against a code and a time.
func (d *device) closesWithin(t *testing.T, what string, most time.Duration, code int) {
	t.Helper()
	began := time.Now()
	if got := d.closed(); got != code {
		t.Errorf("%s: closed with %d, want %d", what, got, code)
	}
	if took := time.Since(began); took > most {
		t.Errorf("%s: closed after %v, want %v at the most", what, took, most)
	}
}

func TestCluster_SuspendAndDropOnOneNodeCloseTheSocketsOfTheOther(t *testing.T) {
	c := cluster(t)
	one, two := on(t, c.Node(0)), on(t, c.Node(1))
	name := shared.name()
	secret := one.createSession(name, "")["secretKey"]
	right := fmt.Sprintf(`"sessionName":%q,"password":"secure_pass_123","secretKey":%q`, name, secret)

	here, _ := one.dial(t, name, nil)
	there, _ := two.dial(t, name, frame{"clientId": "phone"})
	one.call(t, "POST", "/api/suspendSession", "{"+right+`,"suspend":true}`).want(t, "suspend", 200, "")
	// 2 s are the promise; the rest is for a machine that is busy.
	there.closesWithin(t, "suspended on the other node", 10*time.Second, 4003)
	here.closesWithin(t, "suspended on its own node", 10*time.Second, 4003)
	refused := two.connect(t, "127.0.0.1", nil)
	refused.send(frame{"type": "init", "sessionName": name, "password": "secure_pass_123"})
	if f := refused.next(); f["code"] != "session_suspended" {
		t.Errorf("init while suspended: %v", f)
	}

	two.call(t, "POST", "/api/suspendSession", "{"+right+`,"suspend":false}`).want(t, "resume", 200, "")
	there, _ = one.dial(t, name, nil)
	two.call(t, "POST", "/api/dropSession", "{"+right+"}").want(t, "drop", 200, "")
	there.closesWithin(t, "dropped on the other node", 10*time.Second, 4003)
}

func TestCluster_AClientIDIsTakenOverFromAnotherNode(t *testing.T) {
	c := cluster(t)
	one, two := on(t, c.Node(0)), on(t, c.Node(1))
	name := shared.name()
	one.createSession(name, "")
	sender, _ := one.dial(t, name, nil)
	old, _ := one.dial(t, name, frame{"clientId": "phone"})
	old.send(frame{"type": "subscribe", "topic": "news"})
	old.until("subscribe_response")
	for _, at := range []*server{two, one, two} {
		next, welcome := at.dial(t, name, frame{"clientId": "phone"})
		if welcome["resumed"] != true {
			t.Errorf("init_response = %v, want resumed", welcome)
		}
		old.closesWithin(t, "taken over", 10*time.Second, 4001)
		id := "m" + strconv.FormatInt(time.Now().UnixNano(), 36)
		sender.send(frame{"type": "publish", "topic": "news", "messageId": id, "data": "x"})
		if f := sender.until("ack_received"); f["messageId"] != id {
			t.Errorf("acked %v, want %s", f, id)
		}
		if f := next.until("message"); f["messageId"] != id {
			t.Errorf("got %v, want %s", f, id)
		}
		next.send(frame{"type": "ack", "messageId": id})
		next.send(frame{"type": "ping"})
		next.until("pong") // the ack has been taken, so this message is not replayed to the next
		old = next
	}
}

func TestCluster_APIRateLimitIsOneForAllNodes(t *testing.T) {
	c := cluster(t)
	const limit = 100
	refused, from := 0, "X-Forwarded-For: "+shared.address()
	for i := range limit + 10 {
		at := on(t, c.Node(i%2))
		a := at.call(t, "POST", "/api/createSession", `{}`, from)
		if got, want := a.header.Get("RateLimit-Remaining"), strconv.Itoa(max(0, limit-1-i)); got != want {
			t.Errorf("call %d: %s remaining, want %s", i+1, got, want)
		}
		if a.status == http.StatusTooManyRequests {
			refused++
			if a.header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
		} else {
			a.want(t, fmt.Sprint("call ", i+1), 400, "bad_request")
		}
	}
	if refused != 10 {
		t.Errorf("%d refused, want 10", refused)
	}
	on(t, c.Node(1)).call(t, "POST", "/api/createSession", `{}`, "X-Forwarded-For: "+shared.address()).want(t, "another address", 400, "bad_request")
}

func TestCluster_AnOperatorsLoginHoldsOnEveryNode(t *testing.T) {
	c := cluster(t)
	one, two := on(t, c.Node(0)), on(t, c.Node(1))
	login := one.call(t, "POST", "/api/admin/login", fmt.Sprintf(`{"username":%q,"password":%q}`, rig.AdminUser, c.AdminPass))
	login.want(t, "login", 200, "")
	bearer := fmt.Sprint("Authorization: Bearer ", login.json["token"])
	two.call(t, "GET", "/api/admin/stats", "", bearer).want(t, "stats of the other node", 200, "")
	two.call(t, "POST", "/api/admin/logout", `{}`, bearer).want(t, "logout there", 200, "")
	one.call(t, "GET", "/api/admin/stats", "", bearer).want(t, "after it, here", 401, "unauthorized")
}

func TestCluster_AGuessersLockOutIsOneForAllNodes(t *testing.T) {
	c := cluster(t)
	guesser, other := shared.address(), shared.address()
	login := func(node int, pass, from string) answer {
		return on(t, c.Node(node)).call(t, "POST", "/api/admin/login",
			fmt.Sprintf(`{"username":%q,"password":%q}`, rig.AdminUser, pass), "X-Forwarded-For: "+from)
	}
	for i := range 5 {
		login(i%2, "a wrong guess", guesser).want(t, "a guess", 401, "unauthorized")
	}
	for node := range 2 {
		login(node, c.AdminPass, guesser).want(t, "the right one after five", 429, "rate_limited")
		login(node, c.AdminPass, other).want(t, "from another address", 200, "")
	}
}
