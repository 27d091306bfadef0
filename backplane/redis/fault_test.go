package redis

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fastport/fastport/backplane"
	"github.com/fastport/fastport/internal/testenv"
)

// healed is what a listener must have been told of one fault.
func healed(t *testing.T, l *listener) {
	t.Helper()
	if got := l.waitLinks(2); !slices.Equal(got[:2], []bool{false, true}) {
		t.Fatalf("links = %v, want down, then up", got)
	}
	l.wait("its channels again", func() bool { return l.rejoined == len(l.held) })
}

// pass checks that a copy goes from one node to another.
func pass(t *testing.T, from, to *listener, id string) {
	t.Helper()
	if err := from.announce(topic(1), id); err != nil {
		t.Fatalf("announce: %v", err)
	}
	to.waitCopy(id)
}

func renew(t *testing.T, l *listener) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := l.b.Heartbeat(t.Context(), backplane.Node{Version: "v"})
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("heartbeat: %v", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func online(t *testing.T, l *listener, user string) bool {
	t.Helper()
	got, err := l.b.Online(t.Context(), "s", []string{user})
	if err != nil {
		t.Fatalf("online: %v", err)
	}
	return got[0]
}

func TestFault_RedisRestartedEmptyIsHealedAndItsUsersAreBack(t *testing.T) {
	t.Parallel()
	s := testenv.StartRedis(t)
	o := Options{URL: "redis://" + s.Addr()}
	a, b := listen(t, o, "a"), listen(t, o, "b")
	a.join(topic(1))
	b.join(topic(1), topic(2))
	renew(t, a)
	if err := a.b.SetPresence(t.Context(), "s", "u", 1); err != nil {
		t.Fatal(err)
	}
	s.Restart()
	healed(t, a)
	healed(t, b)
	pass(t, a, b, "after")
	renew(t, a)
	if !online(t, b, "u") {
		t.Error("the user of a living node is offline after Redis forgot it")
	}
	if fault := a.b.Fault(); fault != nil {
		t.Errorf("fault = %v: Redis was gone for everyone", fault)
	}
}

func TestFault_FrozenRedisTakesTheLinkDownAndIsNoNodesFault(t *testing.T) {
	t.Parallel()
	s := testenv.StartRedis(t)
	a := listen(t, Options{URL: "redis://" + s.Addr()}, "a")
	a.join(topic(1))
	s.Freeze()
	begun := time.Now()
	if err := a.announce(topic(1), "lost"); !errors.Is(err, backplane.ErrUnavailable) {
		t.Errorf("announce to a frozen Redis: %v, want ErrUnavailable", err)
	}
	a.waitLinks(1)
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("found after %v, want within 10 s", took)
	}
	if err := a.announce(topic(1), "down"); !errors.Is(err, backplane.ErrUnavailable) {
		t.Errorf("announce while down: %v, want ErrUnavailable", err)
	}
	if _, err := a.b.Claim(t.Context(), "k", "v", time.Second); !errors.Is(err, backplane.ErrUnavailable) {
		t.Errorf("claim while down: %v, want ErrUnavailable", err)
	}
	if fault := a.b.Fault(); fault != nil {
		t.Errorf("fault = %v, want none", fault)
	}
	s.Thaw()
	healed(t, a)
	pass(t, a, a, "after")
}

func TestFault_DeafConnectionIsFoundAndRemadeWithin10s(t *testing.T) {
	t.Parallel()
	p := startProxy(t, testenv.Redis(t))
	a := listen(t, Options{URL: p.url()}, "a")
	a.join(topic(1))
	pass(t, a, a, "before")
	p.deafen(true, false)
	begun := time.Now()
	if err := a.announce(topic(1), "unheard"); err != nil {
		t.Fatalf("announce: %v: Redis takes it", err)
	}
	healed(t, a)
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("healed after %v, want within 10 s", took)
	}
	if got := a.b.Stats(); got.Deaf != 1 || got.Gaps != 1 || !got.Up {
		t.Errorf("stats = %+v, want deaf once, one gap, up", got)
	}
	pass(t, a, a, "after")
	deadline := time.Now().Add(patience)
	for a.b.Fault() != nil { // until the next canary
		if time.Now().After(deadline) {
			t.Fatalf("fault = %v after the line was remade", a.b.Fault())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestFault_ANodeThatStaysDeafSaysSoUntilItHears(t *testing.T) {
	t.Parallel()
	redis := testenv.Redis(t)
	p := startProxy(t, redis)
	a := listen(t, Options{URL: p.url()}, "a")
	b := listen(t, Options{URL: "redis://" + redis}, "b")
	b.join(topic(1))
	p.deafen(true, true)
	a.waitLinks(1)
	if a.b.Fault() == nil {
		t.Fatal("a deaf node says that nothing is wrong with it")
	}
	a.wait("a second attempt", func() bool { return a.b.Stats().Deaf >= 1 })
	if got := a.waitLinks(1); len(got) != 1 {
		t.Errorf("links = %v, want down alone: it hears nothing yet", got)
	}
	if fault := b.b.Fault(); fault != nil {
		t.Errorf("the other node's fault = %v, want none", fault)
	}
	p.deafen(false, false)
	healed(t, a)
	pass(t, a, b, "after")
}

func TestFault_AJoinThatRedisNeverHearsIsAnsweredAndTheLineRemade(t *testing.T) {
	t.Parallel()
	p := startProxy(t, testenv.Redis(t))
	a := listen(t, Options{URL: p.url()}, "a")
	a.join(topic(1))
	p.mu.Lock()
	p.mute = true
	p.mu.Unlock()
	answers := make(chan error, 2)
	a.b.Join(topic(2), func(err error) { answers <- err })
	a.b.Fence(topic(1), func(err error) { answers <- err })
	for range cap(answers) {
		if err := a.answer("join or fence", answers); !errors.Is(err, backplane.ErrUnavailable) {
			t.Errorf("answer = %v, want ErrUnavailable", err)
		}
	}
	p.mu.Lock()
	p.mute = false
	p.mu.Unlock()
	healed(t, a)
	pass(t, a, a, "after")
}

func TestFault_AReaderThatIsTooSlowIsCutAloudAndHealed(t *testing.T) {
	t.Parallel()
	s := testenv.StartRedis(t, "--client-output-buffer-limit", "pubsub 1mb 1mb 1")
	o := Options{URL: "redis://" + s.Addr()}
	slow, quick := listen(t, o, "slow"), listen(t, o, "quick")
	stuck := make(chan struct{})
	slow.onCopy = func(*backplane.Copy) { <-stuck }
	slow.join(topic(1))
	// Each is far below the limit, so that Redis cuts who stopped reading, once, and nobody while it begins anew.
	large := make([]byte, 64<<10)
	answers := make(chan error, 640)
	for range cap(answers) {
		quick.b.Announce(&backplane.Copy{Channel: topic(1), MessageID: "large", Data: large}, false, func(err error) { answers <- err })
	}
	for range cap(answers) {
		if err := quick.answer("announce", answers); err != nil {
			t.Fatalf("announce beside a slow reader: %v", err)
		}
	}
	close(stuck)
	healed(t, slow)
	slow.mu.Lock()
	got := len(slow.copies)
	slow.mu.Unlock()
	if got >= cap(answers) {
		t.Fatal("nothing was cut: the test shows nothing")
	}
	pass(t, quick, slow, "after")
}

func TestFault_SentinelFailoverIsHealed(t *testing.T) {
	t.Parallel()
	s := testenv.StartRedisSentinel(t)
	a, b := listen(t, Options{URL: s.URL()}, "a"), listen(t, Options{URL: s.URL()}, "b")
	a.join(topic(1))
	b.join(topic(1))
	pass(t, a, b, "before")
	s.Master.Kill()
	healed(t, a)
	healed(t, b)
	if addr := *a.b.master.Load(); addr != s.Replica.Addr() {
		t.Errorf("master = %s, want the replica that took over, %s", addr, s.Replica.Addr())
	}
	pass(t, a, b, "after")
	renew(t, a)
	if held, err := a.b.Claim(t.Context(), "k", "v", time.Minute); held != "v" || err != nil {
		t.Errorf("claim on the new master = %q, %v", held, err)
	}
}

func TestFault_DemotedMasterIsLeftThoughItAnswers(t *testing.T) {
	t.Parallel()
	master := testenv.StartRedis(t)
	a := listen(t, Options{URL: "redis://" + master.Addr()}, "a")
	admin := goredis.NewClient(&goredis.Options{Addr: master.Addr()})
	defer admin.Close()
	if err := admin.ReplicaOf(t.Context(), "127.0.0.1", "1").Err(); err != nil {
		t.Fatal(err)
	}
	if got := a.waitLinks(1); got[0] {
		t.Fatalf("links = %v, want down: who subscribes at the master hears nothing of a replica", got)
	}
	if err := admin.ReplicaOf(t.Context(), "NO", "ONE").Err(); err != nil {
		t.Fatal(err)
	}
	healed(t, a)
}

func TestFault_ClusterHealsWhenASlotsMasterDies(t *testing.T) {
	t.Parallel()
	c := testenv.StartRedisCluster(t, true)
	o := Options{URLs: c.URLs()}
	a, b := listen(t, o, "a"), listen(t, o, "b")
	var topics []backplane.Channel
	for i := range 32 {
		topics = append(topics, topic(i))
	}
	a.join(topics...)
	b.join(topics...)
	c.Masters[1].Kill()
	healed(t, a)
	healed(t, b)
	for i, ch := range topics {
		if err := a.announce(ch, strconv.Itoa(i)); err != nil {
			t.Fatalf("announce on %v: %v", ch, err)
		}
	}
	for i := range topics {
		b.waitCopy(strconv.Itoa(i))
	}
	if err := a.b.SetPresence(t.Context(), "s", "u", 1); err != nil {
		t.Errorf("presence after the failover: %v", err)
	}
}

func TestFault_AMovedSlotIsFollowed(t *testing.T) {
	t.Parallel()
	c := testenv.StartRedisCluster(t, false)
	a := listen(t, Options{URLs: c.URLs()}, "a")
	a.join(topic(1))
	var room [64]byte
	at := slot(string(a.b.names.appendTopic(room[:0], topic(1))))
	from := a.b.link.Load().bySlot[at].addr
	to := c.Masters[0]
	if to.Addr() == from {
		to = c.Masters[1]
	}
	admin := goredis.NewClient(&goredis.Options{Addr: to.Addr()})
	defer admin.Close()
	id, err := admin.Do(t.Context(), "CLUSTER", "MYID").Text()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range append([]*testenv.Server{to}, c.Masters...) { // the new owner first
		each := goredis.NewClient(&goredis.Options{Addr: s.Addr()})
		if err := each.Do(t.Context(), "CLUSTER", "SETSLOT", at, "NODE", id).Err(); err != nil {
			t.Fatal(err)
		}
		each.Close()
	}
	a.wait("the new owner", func() bool {
		k := a.b.link.Load()
		return len(a.links) >= 2 && k != nil && k.bySlot[at].addr == to.Addr() && a.rejoined == 1
	})
	pass(t, a, a, "after")
}

func TestFault_AStormOfJoinsCostsFewCommands(t *testing.T) {
	t.Parallel()
	const topics = 20_000
	s := testenv.StartRedis(t)
	a := listen(t, Options{URL: "redis://" + s.Addr()}, "a")
	for i := range topics {
		a.held = append(a.held, topic(i))
	}
	s.Restart()
	healed(t, a)
	admin := goredis.NewClient(&goredis.Options{Addr: s.Addr()})
	defer admin.Close()
	said, err := admin.Info(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`cmdstat_subscribe:calls=(\d+)`).FindStringSubmatch(said)
	if m == nil {
		t.Fatalf("no subscribe in %q", said)
	}
	if calls, _ := strconv.Atoi(m[1]); calls > topics/50 {
		t.Errorf("%d SUBSCRIBE commands for %d channels, want at most %d", calls, topics, topics/50)
	}
	if err := a.announce(topic(topics-1), "last"); err != nil {
		t.Fatal(err)
	}
	a.waitCopy("last")
}

func TestFault_WhatRedisNeverHeardIsOldWhenItArrives(t *testing.T) {
	t.Parallel()
	redis := testenv.Redis(t)
	p := startProxy(t, redis)
	a := listen(t, Options{URL: p.url()}, "a")
	b := listen(t, Options{URL: "redis://" + redis}, "b")
	b.join(topic(1))
	p.hold()
	answers := make(chan error, 1)
	a.b.Announce(&backplane.Copy{Channel: topic(1), MessageID: "late"}, false, func(err error) { answers <- err })
	const held = 2100 * time.Millisecond
	time.Sleep(held)
	p.resume()
	if age := time.Since(b.waitCopy("late").Issued); age < held-50*time.Millisecond {
		t.Errorf("a copy that was held for %v is %v old: it must be as old as its announce", held, age)
	}
	a.answer("announce", answers)
}

func TestFault_ClocksThatAreHoursApartChangeNoIssueTime(t *testing.T) {
	t.Parallel()
	p := startProxy(t, testenv.Redis(t))
	p.ahead = 5 * time.Hour
	a, b := listen(t, Options{URL: p.url()}, "a"), listen(t, Options{URL: p.url()}, "b")
	b.join(topic(1))
	fresh := func(id string) {
		t.Helper()
		begun := time.Now()
		pass(t, a, b, id)
		c := b.waitCopy(id)
		if c.Issued.Before(begun.Add(-50*time.Millisecond)) || c.Issued.After(time.Now().Add(50*time.Millisecond)) {
			t.Errorf("%s: issued %v ago, want just now", id, time.Since(c.Issued))
		}
	}
	fresh("apart")
	// Redis's clock is set meanwhile: everyone measures again within seconds.
	before := [2]int64{a.offset(), b.offset()}
	p.mu.Lock()
	p.ahead = -3 * time.Hour
	p.mu.Unlock()
	deadline := time.Now().Add(patience)
	for a.offset() == before[0] || b.offset() == before[1] {
		if time.Now().After(deadline) {
			t.Fatal("a clock that was set is not measured again")
		}
		time.Sleep(20 * time.Millisecond)
	}
	fresh("set")
}

func (l *listener) offset() int64 { return l.b.link.Load().lines[0].clock.offset.Load() }

func TestFault_UnreachableAtStartIsNoErrorAndIsToldAtOnce(t *testing.T) {
	t.Parallel()
	s := testenv.StartRedis(t)
	s.Stop()
	b, err := Open(t.Context(), Options{URL: "redis://" + s.Addr(), NodeID: "a"})
	if err != nil {
		t.Fatalf("open: %v, want a node that goes on connecting", err)
	}
	defer b.Close()
	l := &listener{t: t, b: b, changed: make(chan struct{})}
	b.Listen(l)
	if !slices.Equal(l.links, []bool{false}) {
		t.Fatalf("links at once = %v, want down", l.links)
	}
	s.Restart()
	healed(t, l)
	l.join(topic(1))
	pass(t, l, l, "first")
}

func TestFault_ForeignMessagesAreCountedAndHarmless(t *testing.T) {
	t.Parallel()
	addr := testenv.Redis(t)
	a, b := listen(t, Options{URL: "redis://" + addr}, "a"), listen(t, Options{URL: "redis://" + addr}, "b")
	a.join(topic(1))
	admin := goredis.NewClient(&goredis.Options{Addr: addr})
	defer admin.Close()
	foreign := []string{"", "\x01", "\x02\x01newer", "\x01\x63unknown", "\x01\x01\x01\xff\xff", strings.Repeat("x", 1<<16)}
	for _, text := range foreign {
		for _, name := range []string{string(a.b.names.appendTopic(nil, topic(1))), a.b.names.control()} {
			if err := admin.Publish(t.Context(), name, text).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	pass(t, b, a, "own")
	if got, want := a.b.Stats().Unread, uint64(2*len(foreign)); got != want {
		t.Errorf("unread = %d, want %d", got, want)
	}
	if got := a.b.Stats().Gaps; got != 0 {
		t.Errorf("gaps = %d, want 0", got)
	}
}

func TestDatabasesOfOneRedisAreApart(t *testing.T) {
	t.Parallel()
	addr := testenv.Redis(t)
	one, two := listen(t, Options{URL: "redis://" + addr + "/1"}, "a"), listen(t, Options{URL: "redis://" + addr + "/2"}, "b")
	one.join(topic(1))
	two.join(topic(1))
	if err := two.announce(topic(1), "two"); err != nil {
		t.Fatal(err)
	}
	if err := two.b.Tell(t.Context(), backplane.Command{Kind: backplane.SessionChanged}); err != nil {
		t.Fatal(err)
	}
	two.waitCopy("two")
	pass(t, one, one, "one")
	one.mu.Lock()
	defer one.mu.Unlock()
	if len(one.copies) != 1 || len(one.commands) != 0 {
		t.Errorf("database 1 got %d copies and %d commands of database 2", len(one.copies)-1, len(one.commands))
	}
}

func TestManyTopicsKeepTheirOwnOrderWhileOthersAnnounce(t *testing.T) {
	t.Parallel()
	const topics, each = 20, 200
	o := Options{URL: "redis://" + testenv.Redis(t)}
	a, b := listen(t, o, "a"), listen(t, o, "b")
	for i := range topics {
		b.join(topic(i))
	}
	for n := range each {
		for i := range topics {
			a.b.Announce(&backplane.Copy{Channel: topic(i), MessageID: fmt.Sprint(n)}, false, func(error) {})
		}
	}
	b.wait("all copies", func() bool { return len(b.copies) == topics*each })
	next := map[backplane.Channel]int{}
	for _, c := range b.copies {
		if want := strconv.Itoa(next[c.Channel]); c.MessageID != want {
			t.Fatalf("%v: got %s, want %s", c.Channel, c.MessageID, want)
		}
		next[c.Channel]++
	}
}
