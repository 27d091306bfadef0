package e2e

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fastport/fastport/client/e2ee"
	"github.com/fastport/fastport/fcm/fcmtest"
	"github.com/fastport/fastport/internal/testenv"
)

// project is a session with a Firebase project, and the key that its devices share.
type project struct {
	t    *testing.T
	fcm  *fcmtest.Server
	key  e2ee.Key
	ring *e2ee.KeyRing
}

const projectSession = "my_chat_with_fcm"

func newProject(t *testing.T) *project {
	p := &project{t: t, fcm: fcmtest.Start(t), key: e2ee.NewKey()}
	var err error
	if p.ring, err = e2ee.NewKeyRing(projectSession, p.key); err != nil {
		t.Fatal(err)
	}
	return p
}

// env is what the operator sets.
func (p *project) env(more ...string) []string {
	return append([]string{"FCM_ENDPOINT=" + p.fcm.Endpoint(), "FCM_TOKEN_URL=" + p.fcm.TokenURL(), "LOG_LEVEL=debug"}, more...)
}

// create makes the session as the first documents print it, with real keys in their placeholders' places.
func (p *project) create(s *server) {
	p.t.Helper()
	pem, _ := json.Marshal(p.fcm.PrivateKey())
	s.createSession(projectSession, fmt.Sprintf(`,"encryptionKey":%q,"retryInterval":5000,"maxRetryLimit":100,"messageExpiryTime":3600000,
		"fcmConfig":{"projectId":"my-chat-app","privateKey":%s,"clientEmail":"firebase-adminsdk-xxxxx@my-chat-app.iam.gserviceaccount.com","enabled":true}`,
		p.key.Base64(), pem))
}

// register registers a device over a connection.
func (p *project) register(d *device, user, id, token string) {
	p.t.Helper()
	sealed, err := p.ring.SealDevice(user, e2ee.Device{FCMToken: token, DeviceID: id, Platform: "android"})
	if err != nil {
		p.t.Fatal(err)
	}
	d.send(frame{"type": "register_fcm_token", "userId": user, "encryptedData": sealed, "hash": e2ee.Hash([]byte(sealed))})
	if f := d.until("fcm_token_response"); f["success"] != true || f["deviceId"] != id {
		p.t.Fatalf("fcm_token_response: %v", f)
	}
}

func (p *project) publish(d *device, topic, id string) {
	p.t.Helper()
	d.send(frame{"type": "publish", "topic": topic, "messageId": id, "data": "iv:ciphertext", "timestamp": time.Now().UnixMilli()})
	d.until("ack_received")
}

// pushed lists "device's token messageId" of what came.
func pushed(list []fcmtest.Push) map[string]int {
	seen := map[string]int{}
	for _, p := range list {
		seen[p.Token+" "+p.Data["messageId"]]++
	}
	return seen
}

// TestPush_SeedsStepsEndInAPushToEachDevice: the first documents' steps 1 to 5. Their client logs in without a userId and names it
// when it registers its token.
func TestPush_SeedsStepsEndInAPushToEachDevice(t *testing.T) {
	p := newProject(t)
	s := serve(t, p.env()...)
	p.create(s)
	alice := s.connect(t, "127.0.0.1", nil)
	alice.send(frame{"type": "init", "sessionName": projectSession, "password": "secure_pass_123"})
	alice.until("init_response")
	alice.send(frame{"type": "subscribe", "topic": "chat/general"})
	alice.until("subscribe_response")
	p.register(alice, "alice@example.com", "device_phone", "token-of-phone")
	p.register(alice, "alice@example.com", "device_tablet", "token-of-tablet")
	alice.conn.Close()
	wait(t, 20*time.Second, "alice to be gone", func() bool { return strings.Contains(s.log.String(), "[FCM] Device token registered") })

	bob, _ := s.dial(t, projectSession, frame{"protocol": 1})
	sent := time.Now()
	p.publish(bob, "chat/general", "msg-1")
	pushes := p.fcm.Wait(t, 30*time.Second, "a push to each device", func(list []fcmtest.Push) bool { return len(list) >= 2 })
	if seen := pushed(pushes); seen["token-of-phone msg-1"] != 1 || seen["token-of-tablet msg-1"] != 1 {
		t.Errorf("pushed %v, want one for msg-1 to each device", seen)
	}
	took := pushes[1].At.Sub(sent)
	t.Logf("the second push came %v after the publish", took)
	if took > 5*time.Second {
		t.Errorf("the second push came %v after the publish, want 5 s at most", took)
	}
	wait(t, 20*time.Second, "the log to say so", func() bool { return strings.Contains(s.log.String(), "[FCM] Sent push") })

	again, _ := s.dial(t, projectSession, frame{"userId": "alice@example.com"})
	if f := again.until("message"); f["messageId"] != "msg-1" || f["replay"] != true {
		t.Errorf("alice, awake, got %v, want msg-1", f)
	}
}

// TestPush_WithoutFCMNothingFails: tokens are taken without fcmConfig, and a project that hangs slows no publish.
func TestPush_WithoutFCMNothingFails(t *testing.T) {
	p := newProject(t)
	p.fcm.Always(fcmtest.Hang)
	s := serve(t, p.env()...)
	s.createSession("plain", fmt.Sprintf(`,"encryptionKey":%q`, p.key.Base64()))
	plain, err := e2ee.NewKeyRing("plain", p.key)
	if err != nil {
		t.Fatal(err)
	}
	d, _ := s.dial(t, "plain", frame{"userId": "test_user"})
	mock := *p
	mock.ring = plain
	mock.register(d, "test_user", "test_device_001", "mock_token_for_testing")

	p.create(s)
	alice, _ := s.dial(t, projectSession, frame{"userId": "alice"})
	alice.send(frame{"type": "subscribe", "topic": "t"})
	alice.until("subscribe_response")
	p.register(alice, "alice", "phone", "token")
	alice.conn.Close()
	bob, _ := s.dial(t, projectSession, nil)
	for i := range 50 {
		p.publish(bob, "t", fmt.Sprint("m", i)) // each waits for its ack
	}
	p.fcm.Wait(t, 20*time.Second, "a push that hangs", func(list []fcmtest.Push) bool { return len(list) > 0 })
	for i := range 50 {
		p.publish(bob, "t", fmt.Sprint("n", i))
	}
}

// pushCluster is two nodes over one Redis and one Postgres.
func pushCluster(t *testing.T, p *project) (nodes [2]*server, dump func() []byte) {
	master := make([]byte, 32)
	rand.Read(master)
	dsn, redis := testenv.Postgres(t), testenv.Redis(t)
	for i := range nodes {
		nodes[i] = serve(t, p.env("DATABASE_URL="+dsn, "REDIS_URL=redis://"+redis, "MASTER_KEY="+base64.StdEncoding.EncodeToString(master),
			fmt.Sprint("NODE_ID=n", i), "PUSH_AFTER=3s")...)
	}
	return nodes, func() []byte {
		out, err := exec.Command("pg_dump", "--inserts", dsn).CombinedOutput()
		if err != nil {
			t.Fatalf("pg_dump: %v\n%s", err, out)
		}
		host, port, _ := strings.Cut(redis, ":")
		keys, err := exec.Command("redis-cli", "-h", host, "-p", port, "--no-raw", "EVAL",
			`local out = {} for _, k in ipairs(redis.call('KEYS', '*')) do table.insert(out, k) table.insert(out, redis.call('DUMP', k)) end return out`, "0").CombinedOutput()
		if err != nil {
			t.Fatalf("redis-cli: %v\n%s", err, keys)
		}
		return append(out, keys...)
	}
}

func TestPush_AcrossNodes(t *testing.T) {
	p := newProject(t)
	nodes, dump := pushCluster(t, p)
	p.create(nodes[0])
	user := func(node *server, name string) *device {
		d, _ := node.dial(t, projectSession, frame{"userId": name})
		d.send(frame{"type": "subscribe", "topic": "t"})
		d.until("subscribe_response")
		p.register(d, name, "phone of "+name, "token-of-"+name)
		return d
	}
	online, away, killed := user(nodes[0], "online"), user(nodes[1], "away"), user(nodes[1], "killed")
	away.conn.Close()
	bob, _ := nodes[0].dial(t, projectSession, nil)

	// Online on one node, and acking: not pushed to by the other. Away: once, whichever node sees to it.
	for i := range 5 {
		p.publish(bob, "t", fmt.Sprint("m", i))
		if f := online.until("message"); f["messageId"] != fmt.Sprint("m", i) {
			t.Fatalf("online got %v", f)
		}
		online.send(frame{"type": "ack", "topic": "t", "messageId": fmt.Sprint("m", i)})
		killed.until("message")
		killed.send(frame{"type": "ack", "topic": "t", "messageId": fmt.Sprint("m", i)})
		p.fcm.Wait(t, 20*time.Second, "the push to who is away", func(list []fcmtest.Push) bool { return pushed(list)[fmt.Sprint("token-of-away m", i)] > 0 })
	}

	// The node of a user dies: they are woken within 15 s of it.
	nodes[1].stop(syscall.SIGKILL)
	died := time.Now()
	p.publish(bob, "t", "after")
	online.until("message")
	online.send(frame{"type": "ack", "topic": "t", "messageId": "after"})
	pushes := p.fcm.Wait(t, 30*time.Second, "the push to the killed node's user", func(list []fcmtest.Push) bool { return pushed(list)["token-of-killed after"] > 0 })
	if took := pushes[len(pushes)-1].At.Sub(died); took > 15*time.Second {
		t.Errorf("the user of the killed node was pushed to after %v, want 15 s at most", took)
	}

	// A push whose node dies after the publish was acked goes out through another.
	p.fcm.Always(fcmtest.Hang)
	p.publish(bob, "t", "orphan")
	nodes[0].stop(syscall.SIGKILL)
	p.fcm.Always(fcmtest.Answer{})
	nodes[1].start()
	p.fcm.Wait(t, 100*time.Second, "the push that a dead node owed", func(list []fcmtest.Push) bool { return pushed(list)["token-of-away orphan"] > 0 })

	for push, n := range pushed(p.fcm.Pushes()) {
		switch {
		case strings.HasPrefix(push, "token-of-online") && !strings.HasSuffix(push, "orphan"):
			t.Errorf("%s, though its user was online and acked", push)
		case n > 1 && !strings.HasSuffix(push, "orphan"):
			t.Errorf("%s was pushed %d times", push, n)
		}
	}
	secrets := map[string]string{"device token": "token-of-", "private key": strings.Split(p.fcm.PrivateKey(), "\n")[3], "password": "secure_pass_123", "session key": p.key.Base64()}
	for where, text := range map[string][]byte{"Postgres or Redis": dump(), "log 0": []byte(nodes[0].log.String()), "log 1": []byte(nodes[1].log.String())} {
		for what, secret := range secrets {
			if strings.Contains(string(text), secret) {
				t.Errorf("a %s is readable in %s", what, where)
			}
		}
	}
}

func TestPush_SecretsAreInNoFile(t *testing.T) {
	p := newProject(t)
	s := serve(t, p.env()...)
	p.create(s)
	d, _ := s.dial(t, projectSession, frame{"userId": "ann"})
	d.send(frame{"type": "subscribe", "topic": "t"})
	d.until("subscribe_response")
	p.register(d, "ann", "phone", "token-of-ann")
	d.conn.Close()
	bob, _ := s.dial(t, projectSession, nil)
	p.publish(bob, "t", "m1")
	p.fcm.Wait(t, 20*time.Second, "the push", func(list []fcmtest.Push) bool { return len(list) > 0 })
	s.stop(syscall.SIGTERM)
	secrets := map[string]string{"device token": "token-of-ann", "private key": strings.Split(p.fcm.PrivateKey(), "\n")[3], "session key": p.key.Base64()}
	err := filepath.WalkDir(s.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		for what, secret := range secrets {
			if strings.Contains(string(text), secret) {
				t.Errorf("a %s is readable in %s", what, filepath.Base(path))
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for what, secret := range secrets {
		if strings.Contains(s.log.String(), secret) {
			t.Errorf("a %s is readable in the log", what)
		}
	}
}

var pushUsers = flag.Int("push.users", 200, "offline users of TestPush_OfflineUsersDoNotSlowAPublish")

// TestPush_OfflineUsersDoNotSlowAPublish: a publish to many users who are away is acked as fast as one to a single client who is, though
// their pushes go out meanwhile. What it prints, with 10,000 of them, is in docs/benchmarks.md.
func TestPush_OfflineUsersDoNotSlowAPublish(t *testing.T) {
	p := newProject(t)
	s := serve(t, append(storeEnv(t, "postgres"), p.env("LOG_LEVEL=error", "CONNECTION_RATE_LIMIT=0")...)...)
	p.create(s)
	for i := range *pushUsers {
		name := fmt.Sprint("user-", i)
		d, _ := s.dial(t, projectSession, frame{"userId": name})
		d.send(frame{"type": "subscribe", "topic": "many"})
		d.until("subscribe_response")
		p.register(d, name, "phone", "token-of-"+name)
		d.conn.Close()
	}
	one, _ := s.dial(t, projectSession, frame{"clientId": "one"})
	one.send(frame{"type": "subscribe", "topic": "one"})
	one.until("subscribe_response")
	one.conn.Close()

	bob, _ := s.dial(t, projectSession, nil)
	const rounds = 300
	took := map[string][]time.Duration{}
	for i := range rounds {
		for _, topic := range []string{"one", "many"} { // in turns: what else the machine does, it does to both
			begun := time.Now()
			p.publish(bob, topic, fmt.Sprint(topic, i))
			took[topic] = append(took[topic], time.Since(begun))
		}
	}
	median := func(topic string) time.Duration {
		slices.Sort(took[topic])
		return took[topic][rounds/2]
	}
	with, without := median("many"), median("one")
	ratio := float64(with) / float64(without)
	t.Logf("publish to ack, median of %d: %v with %d offline users, %v with none: ratio %.2f", rounds, with, *pushUsers, without, ratio)
	if ratio > 3 {
		t.Errorf("a publish with %d offline users takes %.1f times as long", *pushUsers, ratio)
	}
	last := time.Now()
	p.fcm.Wait(t, 5*time.Minute, "a push to everybody", func(list []fcmtest.Push) bool {
		woken := map[string]bool{}
		for _, push := range list {
			woken[push.Token] = true
		}
		return len(woken) == *pushUsers
	})
	t.Logf("everybody was pushed to %v after the last publish, with %d pushes in all", time.Since(last).Round(time.Millisecond), len(p.fcm.Pushes()))
}
