package fcm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fastport/fastport/backplane"
	bus "github.com/fastport/fastport/backplane/memory"
	"github.com/fastport/fastport/fcm/fcmtest"
	"github.com/fastport/fastport/storage"
	"github.com/fastport/fastport/storage/memory"
)

// bed is a store with a session, its topic and a fake FCM.
type bed struct {
	t       *testing.T
	store   *memory.Store
	bus     *bus.Bus
	fcm     *fcmtest.Server
	session string
	at      storage.Topic
	log     *lines

	mu   sync.Mutex // guards the following
	now  time.Time
	real time.Time
}

// lines is a log that tests read.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), text)
}

// openVault keeps nothing sealed.
type openVault struct{}

func (openVault) Account(_ string, sealed []byte) (a Account, enabled bool, err error) {
	if len(sealed) == 0 {
		return a, false, nil
	}
	err = json.Unmarshal(sealed, &a)
	return a, true, err
}

func (openVault) Token(d storage.Device) (string, error) { return string(d.Token), nil }

func newBed(t *testing.T) *bed {
	b := &bed{t: t, bus: bus.NewBus(), fcm: fcmtest.Start(t), log: &lines{}, now: time.Now(), real: time.Now()}
	b.store = memory.Open(storage.Options{}, b.clock)
	b.session = b.newSession("chat")
	b.at = storage.Topic{Session: b.session, Name: "room"}
	return b
}

// clock is the store's: the wall's, and what Pass added.
func (b *bed) clock() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now.Add(time.Since(b.real))
}

func (b *bed) pass(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = b.now.Add(d)
}

func (b *bed) newSession(name string) string {
	config, _ := json.Marshal(account(b.fcm))
	id := fmt.Sprintf("%032x", name)
	b.ok(b.store.CreateSession(b.t.Context(), storage.Session{ID: id, Name: name, FCMConfig: config}))
	return id
}

func (b *bed) ok(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// user subscribes a bare user with devices; a device's token is its name.
func (b *bed) user(at storage.Topic, user string, devices ...string) {
	b.t.Helper()
	_, err := b.store.Subscribe(b.t.Context(), storage.Subscriber("u:"+user), at, false)
	b.ok(err)
	for _, d := range devices {
		b.ok(b.store.SaveDevice(b.t.Context(), storage.Device{Session: at.Session, User: user, ID: d, Token: []byte(d)}))
	}
}

// publish stores messages whose users may be woken at once.
func (b *bed) publish(at storage.Topic, ids ...string) {
	b.t.Helper()
	var group []storage.Entry
	for _, id := range ids {
		group = append(group, storage.Entry{Topic: at, MessageID: id, Data: []byte("2.x"), Expiry: time.Hour, Wake: time.Nanosecond})
	}
	results, _, err := b.store.Append(b.t.Context(), group)
	b.ok(err)
	for _, r := range results {
		if r.Outcome != storage.Stored {
			b.t.Fatalf("append: %+v", r)
		}
	}
}

// push runs a Pusher; stop ends it.
func (b *bed) push(edit ...func(*Config)) (p *Pusher, stop func()) {
	b.t.Helper()
	sender := NewSender(Options{Endpoint: b.fcm.Endpoint(), TokenURL: b.fcm.TokenURL(), Timeout: 2 * time.Second})
	c := Config{Store: b.store, Presence: b.bus.Node("pusher"), Vault: openVault{}, Sender: sender,
		Logger: slog.New(slog.NewTextHandler(b.log, nil)), After: time.Minute, Every: 10 * time.Millisecond}
	for _, f := range edit {
		f(&c)
	}
	p = NewPusher(c)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { p.Run(ctx) })
	stop = sync.OnceFunc(func() {
		cancel()
		wg.Wait()
		sender.Close()
	})
	b.t.Cleanup(stop)
	return p, stop
}

// online connects a user on a node of its own.
func (b *bed) online(user string) {
	n := b.bus.Node("node of " + user)
	b.ok(n.Heartbeat(b.t.Context(), backplane.Node{ID: "node of " + user}))
	b.ok(n.SetPresence(b.t.Context(), b.session, "u:"+user, 1))
}

// rows is how many rows the outbox has.
func (b *bed) rows() int64 {
	b.t.Helper()
	totals, err := b.store.Totals(b.t.Context())
	b.ok(err)
	return totals.Wakes
}

func tokens(pushes []fcmtest.Push) (list []string) {
	for _, p := range pushes {
		list = append(list, p.Token)
	}
	slices.Sort(list)
	return list
}

func came(n int) func([]fcmtest.Push) bool {
	return func(p []fcmtest.Push) bool { return len(p) >= n }
}

const patience = 20 * time.Second

func (b *bed) until(what string, met func() bool) {
	b.t.Helper()
	for end := time.Now().Add(patience); !met(); <-time.After(10 * time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("waited %v in vain for %s", patience, what)
		}
	}
}

func TestPusher_WakesEveryDeviceOfWhoIsOffline(t *testing.T) {
	b := newBed(t)
	b.user(b.at, "ann", "ann-1", "ann-2")
	b.user(b.at, "bob", "bob-1")
	b.user(b.at, "eve")
	b.publish(b.at, "m1")
	b.push()
	pushes := b.fcm.Wait(t, patience, "a push to each device", came(3))
	if got := tokens(pushes); !slices.Equal(got, []string{"ann-1", "ann-2", "bob-1"}) {
		t.Errorf("pushed to %v", got)
	}
	if p := pushes[0]; p.Data["messageId"] != "m1" || p.Data["topic"] != "room" || p.Data["session"] != "chat" || p.Data["data"] != "" {
		t.Errorf("data = %v", p.Data)
	}
	b.until("the row to go", func() bool { return b.rows() == 0 })
	if !b.log.has(logSent) {
		t.Error("the log does not say that it was sent")
	}
}

func TestPusher_TellsWhatCameOfEachPush(t *testing.T) {
	b := newBed(t)
	at := storage.Topic{Session: b.session, Name: "t"}
	b.user(at, "ann", "phone", "gone")
	b.fcm.Answer(func(token string) fcmtest.Answer {
		if strings.Contains(token, "gone") {
			return fcmtest.Unregistered
		}
		return fcmtest.Answer{}
	})
	told := make(chan string, 8)
	b.push(func(c *Config) {
		c.Pushed = func(got storage.Topic, id, result string, devices int) {
			told <- fmt.Sprint(got == at, " ", id, " ", result, " ", devices)
		}
	})
	b.publish(at, "m1")
	got := []string{<-told, <-told}
	slices.Sort(got)
	if want := []string{"true m1 gone 1", "true m1 sent 1"}; !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
}

func TestPusher_LeavesWhoIsConnectedTheirTimeToAck(t *testing.T) {
	b := newBed(t)
	b.user(b.at, "acks", "acks-1")
	b.user(b.at, "sits", "sits-1")
	b.user(b.at, "away", "away-1")
	b.online("acks")
	b.online("sits")
	b.publish(b.at, "m1")
	b.push()
	b.fcm.Wait(t, patience, "the push to who is away", came(1))
	_, err := b.store.Settle(t.Context(), []storage.Settlement{{Subscriber: "u:acks", Topic: b.at, Acked: storage.Span(1, 1)}})
	b.ok(err)
	b.until("the push to who did not ack, and the row to go", func() bool {
		b.pass(time.Minute)
		return b.rows() == 0
	})
	if got := tokens(b.fcm.Pushes()); !slices.Equal(got, []string{"away-1", "sits-1"}) {
		t.Errorf("pushed to %v, want who was away, then who did not ack; never who did", got)
	}
}

func TestPusher_WithoutPresenceNobodyIsWokenBeforeTheirTime(t *testing.T) {
	b := newBed(t)
	b.user(b.at, "ann", "ann-1")
	b.publish(b.at, "m1")
	gone := b.bus.Node("gone")
	gone.Close()
	b.push(func(c *Config) { c.Presence = gone })
	b.until("the row to be put off", func() bool {
		list, err := b.store.ClaimWakes(t.Context(), 1, time.Nanosecond, nil)
		return err == nil && len(list) == 0
	})
	if n := len(b.fcm.Pushes()); n != 0 {
		t.Fatalf("%d pushes, though nobody can say whether she is connected", n)
	}
	b.until("the push once her time is over", func() bool {
		b.pass(2 * time.Minute) // again: the row may have been put off just now, by the clock as it was then
		return len(b.fcm.Pushes()) == 1
	})
}

func TestPusher_BurstIsOnePushForTheNewest(t *testing.T) {
	b := newBed(t)
	b.user(b.at, "ann", "ann-1")
	var ids []string
	for i := range 100 {
		ids = append(ids, fmt.Sprint("m", i))
	}
	b.publish(b.at, ids...)
	b.push()
	b.until("the rows to go", func() bool { return b.rows() == 0 })
	if pushes := b.fcm.Pushes(); len(pushes) != 1 || pushes[0].Data["messageId"] != "m99" {
		t.Errorf("%d pushes, the first for %v; want one for m99", len(pushes), pushes[0].Data)
	}
}

func TestPusher_TriesAgainWhatMayWorkLater(t *testing.T) {
	for name, answer := range map[string]fcmtest.Answer{
		"out": {Status: 500, Code: "INTERNAL"}, "quota": fcmtest.QuotaExceeded, "garbage": fcmtest.Garbage, "hang": fcmtest.Hang,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t)
			b.user(b.at, "ann", "ann-1")
			b.user(b.at, "bob", "bob-1")
			var mu sync.Mutex
			tries := 0
			b.fcm.Answer(func(token string) fcmtest.Answer {
				mu.Lock()
				defer mu.Unlock()
				if token != "bob-1" {
					return fcmtest.Answer{}
				}
				if tries++; tries == 1 {
					return answer
				}
				return fcmtest.Answer{}
			})
			b.publish(b.at, "m1")
			p, _ := b.push()
			b.until("the failure", func() bool { return p.Stats().Later > 0 })
			if name == "hang" && !b.log.has(logTimeout) || !b.log.has(logFailed) {
				t.Error("the log does not say what failed")
			}
			b.until("the row to go", func() bool { b.pass(backoffMin); return b.rows() == 0 })
			got := tokens(b.fcm.Pushes())
			if n := len(got); n != 3 || got[0] != "ann-1" || got[1] != "bob-1" {
				t.Errorf("pushed to %v, want ann once and bob twice", got)
			}
		})
	}
}

func TestPusher_ProjectThatHangsHoldsUpNobodyElses(t *testing.T) {
	b := newBed(t)
	b.fcm.Answer(func(token string) fcmtest.Answer {
		if token == "stuck" {
			return fcmtest.Hang
		}
		return fcmtest.Answer{}
	})
	for i := range 10 * workersOf {
		at := storage.Topic{Session: b.session, Name: fmt.Sprint("t", i)}
		b.user(at, "ann", "stuck")
		b.publish(at, "m")
	}
	b.push(func(c *Config) { c.Sender.options.Timeout = patience })
	b.fcm.Wait(t, patience, "the first to hang", came(workersOf))
	other := storage.Topic{Session: b.newSession("other"), Name: "room"}
	b.user(other, "bob", "free")
	b.publish(other, "m")
	b.fcm.Wait(t, patience/2, "the other session's push", func(p []fcmtest.Push) bool { return slices.Contains(tokens(p), "free") })
}

func TestPusher_ForgetsTokensOfNoUseAndNoOthers(t *testing.T) {
	b := newBed(t)
	b.user(b.at, "ann", "unregistered", "invalid", "refused", "good")
	b.fcm.Answer(func(token string) fcmtest.Answer {
		return map[string]fcmtest.Answer{"unregistered": fcmtest.Unregistered, "invalid": fcmtest.InvalidArgument, "refused": fcmtest.InvalidPush}[token]
	})
	b.publish(b.at, "m1")
	b.push()
	b.until("the row to go", func() bool { return b.rows() == 0 })
	list, err := b.store.Devices(t.Context(), b.session, []string{"ann"})
	b.ok(err)
	if len(list) != 2 || list[0].ID != "good" || list[1].ID != "refused" {
		t.Errorf("devices = %+v, want the good one and the one whose push was refused", list)
	}
	if !b.log.has(logGone) {
		t.Error("the log does not say that tokens were removed")
	}
}

func TestPusher_ManyNodesPushOnce(t *testing.T) {
	b := newBed(t)
	const topics = 40
	for range 3 {
		b.push()
	}
	for i := range topics {
		at := storage.Topic{Session: b.session, Name: fmt.Sprint("t", i)}
		b.user(at, fmt.Sprint("u", i), fmt.Sprint("d", i))
		b.publish(at, "m")
	}
	b.until("the rows to go", func() bool { return b.rows() == 0 })
	seen := map[string]int{}
	for _, p := range b.fcm.Pushes() {
		seen[p.Token+p.Data["topic"]]++
	}
	for push, n := range seen {
		if n != 1 {
			t.Errorf("%s was pushed %d times", push, n)
		}
	}
}

func TestPusher_AnotherNodeGoesOnWhereOneDied(t *testing.T) {
	b := newBed(t)
	b.user(b.at, "ann", "ann-1")
	b.publish(b.at, "m1")
	if list, err := b.store.ClaimWakes(t.Context(), 10, claimLease, nil); err != nil || len(list) != 1 {
		t.Fatalf("claim: %v, %v", list, err)
	}
	b.push() // the claimer does nothing with it
	b.pass(claimLease + time.Second)
	b.fcm.Wait(t, patience, "the push", came(1))
}

func TestPusher_AccountThatDoesNotOpenIsLoggedAndLeft(t *testing.T) {
	b := newBed(t)
	b.user(b.at, "ann", "ann-1")
	b.publish(b.at, "m1")
	b.push(func(c *Config) { c.Vault = brokenVault{} })
	b.until("the row to go", func() bool { return b.rows() == 0 })
	if !b.log.has(logInit) {
		t.Error("the log does not say so")
	}
}

func TestPusher_NobodyHasADeviceIsSaidOnce(t *testing.T) {
	b := newBed(t)
	b.user(b.at, "ann")
	b.push()
	for i := range 3 {
		b.publish(b.at, fmt.Sprint("m", i))
		b.until("the row to go", func() bool { return b.rows() == 0 })
	}
	b.log.mu.Lock()
	defer b.log.mu.Unlock()
	if n := strings.Count(b.log.text.String(), logNobody); n != 1 {
		t.Errorf("said %d times that nobody has a device, want once a minute", n)
	}
}

type brokenVault struct{ openVault }

func (brokenVault) Account(string, []byte) (Account, bool, error) {
	return Account{}, false, errors.New("sealed under another key")
}
