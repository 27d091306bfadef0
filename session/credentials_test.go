package session

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/storage"
)

var client = netip.MustParseAddr("192.0.2.1")

func login(t *testing.T, c *Catalog, name, password string) (storage.Session, error) {
	t.Helper()
	return c.Authenticate(t.Context(), name, password, client)
}

// cost is what a call spent: hashes and reads of the store.
func (cs *catalogs) cost(c *Catalog, call func()) [2]int64 {
	hashes, reads := c.Checks(), cs.store.count()
	call()
	return [2]int64{c.Checks() - hashes, int64(cs.store.count() - reads)}
}

func TestAuthenticate_UnknownSessionAndWrongPasswordSayAndCostTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cs := newCatalogs()
		c := cs.node(t, "a")
		mustCreate(t, c, NewSpec("there", "right"))
		busy := func() { // the one session is in use, as an attacker may hope to see
			if _, err := login(t, c, "there", "right"); err != nil {
				t.Fatal(err)
			}
		}
		try := func(name, password string) (cost [2]int64, err error) {
			busy()
			cost = cs.cost(c, func() { _, err = login(t, c, name, password) })
			return cost, err
		}
		for round, want := range [][2]int64{
			{1, 1}, // first seen: a hash
			{0, 1}, // again: remembered
			{0, 1},
		} {
			wrongCost, wrong := try("there", "wrong")
			unknownCost, unknown := try("nowhere", "wrong")
			if wrong == nil || unknown == nil || wrong.Error() != unknown.Error() || codeOf(wrong) != protocol.Unauthorized {
				t.Fatalf("wrong password: %v; unknown session: %v; want one refusal", wrong, unknown)
			}
			if wrongCost != want || unknownCost != want {
				t.Errorf("round %d: wrong password cost %v, unknown session %v hashes and reads, want %v", round, wrongCost, unknownCost, want)
			}
			time.Sleep(3 * time.Second) // rows are read again, verdicts are not
		}
		time.Sleep(badLife)
		wrongCost, _ := try("there", "wrong")
		unknownCost, _ := try("nowhere", "wrong")
		if want := [2]int64{1, 1}; wrongCost != want || unknownCost != want {
			t.Errorf("after %v: wrong password cost %v, unknown session %v, want %v", badLife, wrongCost, unknownCost, want)
		}
	})
}

func TestAuthenticate_RightPasswordIsRememberedForFiveMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cs := newCatalogs()
		c := cs.node(t, "a")
		mustCreate(t, c, NewSpec("s", "p"))
		in := func() {
			t.Helper()
			if s, err := login(t, c, "s", "p"); err != nil || s.Name != "s" {
				t.Fatalf("login = %q, %v", s.Name, err)
			}
		}
		if cost := cs.cost(c, in); cost[0] != 1 {
			t.Errorf("the first login cost %d hashes, want 1", cost[0])
		}
		if cost := cs.cost(c, in); cost != [2]int64{} {
			t.Errorf("the next cost %v hashes and reads, want none", cost)
		}
		time.Sleep(goodLife - time.Second)
		if cost := cs.cost(c, in); cost != [2]int64{0, 1} {
			t.Errorf("just before five minutes: %v, want a read only", cost)
		}
		time.Sleep(time.Second)
		if cost := cs.cost(c, in); cost[0] != 1 {
			t.Errorf("after five minutes: %d hashes, want 1", cost[0])
		}
	})
}

func TestRemembered_KnowsRightPasswordsOfSessionsInUseOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cs := newCatalogs()
		c := cs.node(t, "a")
		mustCreate(t, c, NewSpec("s", "p"))
		known := func(when, password string, want bool) {
			t.Helper()
			var got bool
			if cost := cs.cost(c, func() { _, got = c.Remembered("s", password) }); cost != [2]int64{} {
				t.Errorf("%s: it cost %v hashes and reads, want none", when, cost)
			}
			if got != want {
				t.Errorf("%s: remembered = %t, want %t", when, got, want)
			}
		}
		known("before a login", "p", false)
		login(t, c, "s", "p")
		login(t, c, "s", "wrong")
		known("after a login", "p", true)
		known("a wrong password that was tried", "wrong", false)
		known("one that was not", "other", false)
		if err := c.Suspend(t.Context(), "s", true); err != nil {
			t.Fatal(err)
		}
		known("suspended", "p", false)
		login(t, c, "s", "p") // the row is fresh again, and says so
		known("suspended, and asked for", "p", false)
	})
}

func TestAuthenticate_ChangeFlushesWhatIsRememberedOnEveryNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cs := newCatalogs()
		a, b := cs.node(t, "a"), cs.node(t, "b")
		mustCreate(t, a, NewSpec("s", "p"))
		expect := func(step string, password string, want protocol.Code) {
			t.Helper()
			for name, c := range map[string]*Catalog{"a": a, "b": b} {
				if _, err := login(t, c, "s", password); codeOf(err) != want || want == "" && err != nil {
					t.Errorf("%s: node %s: %v, want %q", step, name, err, want)
				}
			}
		}
		expect("made", "p", "")
		expect("made", "q", protocol.Unauthorized)
		if err := b.Suspend(t.Context(), "s", true); err != nil {
			t.Fatal(err)
		}
		hashes := a.Checks()
		expect("suspended", "p", protocol.SessionSuspended)
		if a.Checks() != hashes+1 {
			t.Errorf("a verdict on the version before was used")
		}
		expect("suspended", "q", protocol.Unauthorized) // who has not the password learns nothing
		if err := a.Suspend(t.Context(), "s", false); err != nil {
			t.Fatal(err)
		}
		expect("resumed", "p", "")
		if err := a.Drop(t.Context(), "s"); err != nil {
			t.Fatal(err)
		}
		expect("dropped", "p", protocol.Unauthorized)
		mustCreate(t, b, NewSpec("s", "q")) // the name again: another session
		expect("made again", "p", protocol.Unauthorized)
		expect("made again", "q", "")
	})
}

func TestAuthenticate_LostCommandIsMadeGoodWithinTwoSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cs := newCatalogs()
		c := cs.node(t, "a")
		mustCreate(t, c, NewSpec("s", "p"))
		if _, err := login(t, c, "s", "p"); err != nil {
			t.Fatal(err)
		}
		if _, err := cs.store.SuspendSession(t.Context(), "s", true); err != nil { // by a node that nobody hears
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if _, err := login(t, c, "s", "p"); codeOf(err) != protocol.SessionSuspended {
			t.Errorf("%v, want session_suspended", err)
		}
	})
}

func TestAuthenticate_ExpiryFollowsTheStoresClockAndIsToldOnlyToWhoHasThePassword(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cs := newCatalogs()
		hours := &clockOff{Store: cs.store.Store, by: 5 * time.Hour}
		cs.store.Store = hours
		c := cs.node(t, "a")
		spec := NewSpec("s", "p")
		spec.SessionExpiry = time.Minute
		mustCreate(t, c, spec)
		time.Sleep(time.Minute - time.Millisecond)
		if _, err := login(t, c, "s", "p"); err != nil {
			t.Fatalf("before its end: %v", err)
		}
		time.Sleep(time.Millisecond) // the row is still remembered
		if _, err := login(t, c, "s", "p"); codeOf(err) != protocol.SessionExpired {
			t.Errorf("after its end: %v, want session_expired", err)
		}
		if _, err := login(t, c, "s", "q"); codeOf(err) != protocol.Unauthorized {
			t.Errorf("wrong password after its end: %v, want unauthorized", err)
		}
	})
}

// clockOff is a store on a host whose clock is off.
type clockOff struct {
	storage.Store
	by time.Duration
}

func (c *clockOff) Now(context.Context) (time.Time, error) { return time.Now().Add(c.by), nil }

func TestAuthenticate_FiveThousandLoginsOfOneSessionWithinASecond(t *testing.T) {
	cs := newCatalogs()
	c := cs.node(t, "a")
	mustCreate(t, c, NewSpec("s", "p"))
	const clients = 5000
	hashes := c.Checks()
	storm := func() time.Duration {
		var wg sync.WaitGroup
		var failed atomic.Int64
		begun := time.Now()
		for i := range clients {
			from := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
			wg.Go(func() {
				if _, err := c.Authenticate(context.Background(), "s", "p", from); err != nil {
					failed.Add(1)
				}
			})
		}
		wg.Wait()
		if n := failed.Load(); n != 0 {
			t.Errorf("%d logins failed", n)
		}
		return time.Since(begun)
	}
	storm() // the first of them all, and all at once: one of them hashes
	if n := c.Checks() - hashes; n != 1 {
		t.Errorf("%d hashes for one password, want 1", n)
	}
	if took := storm(); took > time.Second {
		t.Errorf("%d logins after the first took %v, want a second at most", clients, took)
	}
	if n := c.Checks() - hashes; n != 1 {
		t.Errorf("%d hashes after the second storm, want 1", n)
	}
}

func TestAuthenticate_WaitingLoginsOutliveTheirLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cs := newCatalogs()
		c := cs.node(t, "a")
		mustCreate(t, c, NewSpec("s", "p"))
		for range cap(c.hasher.cores) {
			c.hasher.cores <- struct{}{} // every core is taken
		}
		ctx, giveUp := context.WithCancel(t.Context())
		led, followed := make(chan error, 1), make(chan error, 1)
		go func() {
			_, err := c.Authenticate(ctx, "s", "p", client)
			led <- err
		}()
		synctest.Wait()
		go func() {
			_, err := c.Authenticate(t.Context(), "s", "p", client)
			followed <- err
		}()
		synctest.Wait()
		if n := c.hasher.inLine(); n != 1 {
			t.Fatalf("%d are in line for a hash, want the leader alone", n)
		}
		giveUp()
		if err := <-led; codeOf(err) != protocol.RateLimited {
			t.Errorf("the leader: %v, want rate_limited", err)
		}
		for range cap(c.hasher.cores) {
			<-c.hasher.cores
		}
		if err := <-followed; err != nil {
			t.Errorf("the follower: %v, want in", err)
		}
	})
}

func (h *hasher) inLine() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.waiting
}

// waitFor polls what no channel tells.
func waitFor(t *testing.T, met func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !met() {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain")
		}
		time.Sleep(time.Millisecond)
	}
}

func TestAuthenticate_SessionMadeDuringACheckIsFound(t *testing.T) {
	cs := newCatalogs()
	c := cs.node(t, "a")
	for range cap(c.hasher.cores) {
		c.hasher.cores <- struct{}{}
	}
	early := make(chan error, 1)
	go func() {
		_, err := c.Authenticate(t.Context(), "s", "p", client)
		early <- err
	}()
	waitFor(t, func() bool { return c.hasher.inLine() == 1 })
	made := make(chan error, 1)
	go func() {
		_, err := c.Create(t.Context(), NewSpec("s", "p"))
		made <- err
	}()
	waitFor(t, func() bool { return c.hasher.inLine() == 2 })
	<-c.hasher.cores // room for one: the early login was first
	if err := <-early; codeOf(err) != protocol.Unauthorized {
		t.Errorf("before it was made: %v, want unauthorized", err)
	}
	if err := <-made; err != nil {
		t.Fatal(err)
	}
	if _, err := login(t, c, "s", "p"); err != nil {
		t.Errorf("after it was made: %v", err)
	}
}

func TestAuthenticate_FlightBegunBeforeAChangeAnswersNobodyAfterIt(t *testing.T) {
	for _, maker := range []string{"this node", "another node"} {
		cs := newCatalogs()
		c, other := cs.node(t, "a"), cs.node(t, "b")
		busy, err := c.hasher.enter(t.Context(), client) // the address's turn is taken
		if err != nil {
			t.Fatal(err)
		}
		early := make(chan error, 1)
		go func() {
			_, err := c.Authenticate(t.Context(), "s", "p", client)
			early <- err
		}()
		waitFor(t, func() bool { return c.hasher.inLine() == 2 })
		made := make(chan error, 1)
		go func() {
			by := c
			if maker == "another node" {
				by = other
			}
			_, err := by.Create(t.Context(), NewSpec("s", "p"))
			if err == nil {
				_, err = c.Authenticate(t.Context(), "s", "p", netip.MustParseAddr("192.0.2.2"))
			}
			made <- err
		}()
		if cap(c.hasher.cores) == 1 {
			busy() // one core: what was first must end first
			busy = func() {}
		}
		select {
		case err := <-made:
			if err != nil {
				t.Errorf("made by %s, asked after it: %v, want in", maker, err)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("made by %s: asked after it, and waited for what was asked before", maker)
		}
		busy()
		if err := <-early; codeOf(err) != protocol.Unauthorized {
			t.Errorf("made by %s, asked before it: %v, want unauthorized", maker, err)
		}
	}
}

func TestAuthenticate_NamesAndPasswordsThatCannotBeCostNothing(t *testing.T) {
	cs := newCatalogs()
	c := cs.node(t, "a")
	for _, pair := range [][2]string{{"", "p"}, {"a:b", "p"}, {"s", ""}, {"s", string(make([]byte, 1025))}} {
		var err error
		cost := cs.cost(c, func() { _, err = login(t, c, pair[0], pair[1]) })
		if codeOf(err) != protocol.Unauthorized || cost != [2]int64{} {
			t.Errorf("%.10q: %v at a cost of %v", pair, err, cost)
		}
	}
}

func TestAuthorizeOwner_NeedsBothSecretsAndTellsNotWhichWasWrong(t *testing.T) {
	cs := newCatalogs()
	c := cs.node(t, "a")
	created := mustCreate(t, c, NewSpec("s", "p"))
	if err := c.Suspend(t.Context(), "s", true); err != nil {
		t.Fatal(err)
	}
	if s, err := c.AuthorizeOwner(t.Context(), "s", "p", created.SecretKey, client); err != nil || s.Name != "s" {
		t.Errorf("the owner of a suspended session: %q, %v", s.Name, err)
	}
	var texts []string
	for _, try := range [][3]string{{"s", "q", created.SecretKey}, {"s", "p", created.SecretKey[1:]}, {"s", "p", ""}, {"t", "p", created.SecretKey}} {
		_, err := c.AuthorizeOwner(t.Context(), try[0], try[1], try[2], client)
		if codeOf(err) != protocol.Unauthorized {
			t.Fatalf("%.8q: %v, want unauthorized", try, err)
		}
		texts = append(texts, err.Error())
	}
	for _, text := range texts {
		if text != texts[0] {
			t.Errorf("texts differ: %q and %q", text, texts[0])
		}
	}
}
