package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCommands_TheSessionOfTheReadme(t *testing.T) {
	_, here := newPlace(t).broker()
	here.ok("session", "create", "demo", "--save")

	sub := here.start("sub", "demo", "chat/general")
	sub.tells("subscribed to chat/general; waiting")
	here.ok("pub", "demo", "chat/general", "hello")
	sub.prints("hello\n")
	if code := sub.interrupt(); code != exitOK {
		t.Errorf("sub: exit code %d after Ctrl-C, want 0", code)
	}
	if got := sub.out.String(); got != "hello\n" {
		t.Errorf("sub printed %q, want hello alone", got)
	}

	photo := make([]byte, 3<<20+7)
	rand.Read(photo)
	if err := os.WriteFile(filepath.Join(here.dir, "photo.jpg"), photo, 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, told := here.run("", "send", "demo", "files", "photo.jpg"); code != exitFailure || !strings.Contains(told, "photo.jpg was not sent: nobody is there to receive it") {
		t.Errorf("send to nobody: exit code %d, %q", code, told)
	}
	recv := here.start("recv", "demo", "files", "--dir", "inbox", "--count", "2")
	recv.tells("waiting")
	for _, want := range []string{"photo.jpg", "photo (1).jpg"} {
		code, _, told := here.run("", "send", "demo", "files", "photo.jpg")
		if code != exitOK || !strings.Contains(told, "sent photo.jpg to 1 receiver, 3.0 MiB") {
			t.Fatalf("send: exit code %d\n%s", code, told)
		}
		recv.prints("inbox/" + want + "\n")
		got, err := os.ReadFile(filepath.Join(here.dir, "inbox", want))
		if err != nil || !bytes.Equal(got, photo) {
			t.Errorf("%s is not what was sent: %d bytes, %v", want, len(got), err)
		}
	}
	if code := recv.wait(); code != exitOK {
		t.Errorf("recv: exit code %d, want 0\n%s", code, recv.told.String())
	}
	for _, line := range []string{"receiving photo.jpg, 3.0 MiB\n", "received photo.jpg, 3.0 MiB in "} {
		if n := strings.Count(recv.told.String(), line); n != 2 {
			t.Errorf("%q was told %d times, want 2\n%s", line, n, recv.told.String())
		}
	}
	if left, _ := filepath.Glob(filepath.Join(here.dir, "inbox", ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestCommands_PubTakesALineAMessageAndSubKeepsTheirOrder(t *testing.T) {
	_, here := newPlace(t).broker()
	here.ok("session", "create", "demo", "--save")
	const n = 2000 // more than may be in flight
	var lines strings.Builder
	for i := range n {
		fmt.Fprintf(&lines, "line %d\n", i)
	}
	sub := here.start("sub", "demo", "a", "b", "--count", fmt.Sprint(n))
	sub.tells("subscribed to a, b; waiting")
	if code, _, told := here.run(lines.String(), "pub", "demo", "b"); code != exitOK {
		t.Fatalf("pub: exit code %d: %s", code, told)
	}
	if code := sub.wait(); code != exitOK || sub.out.String() != lines.String() {
		t.Errorf("sub: exit code %d, %d bytes printed, want %d", code, len(sub.out.String()), lines.Len())
	}
}

func TestCommands_PubEndsWhenInterruptedAndSaysWhatArrived(t *testing.T) {
	_, here := newPlace(t).broker()
	here.ok("session", "create", "demo", "--save")
	sub := here.start("sub", "demo", "logs")
	sub.tells("waiting")
	pub := here.start("pub", "demo", "logs")
	fmt.Fprintln(pub.input, "one")
	sub.prints("one\n")
	fmt.Fprintln(pub.input, "two")
	sub.prints("two\n")
	if code := pub.interrupt(); code != exitFailure || !strings.Contains(pub.told.String(), "interrupted (") {
		t.Errorf("exit code %d, told %q", code, pub.told.String())
	}
}

func TestCommands_ADurableSubscriberMissesNothing(t *testing.T) {
	_, here := newPlace(t).broker()
	here.ok("session", "create", "demo", "--save")
	first := here.start("sub", "demo", "news", "--client-id", "laptop")
	first.tells("waiting")
	first.interrupt()
	for _, m := range []string{"one", "two", "three"} {
		here.ok("pub", "demo", "news", m)
	}
	if got := here.ok("sub", "demo", "news", "--client-id", "laptop", "--count", "2"); got != "one\ntwo\n" {
		t.Errorf("printed %q, want one and two", got)
	}
	// What was acked does not come back, and what was not printed was not acked.
	var m printed
	if err := json.Unmarshal([]byte(here.ok("sub", "demo", "news", "--client-id", "laptop", "--count", "1", "--json")), &m); err != nil {
		t.Fatal(err)
	}
	if m.Data == nil || *m.Data != "three" || m.Topic != "news" || !m.Replay {
		t.Errorf("got %+v, want three as a replay", m)
	}
}

func TestCommands_SubConnectsAgainByItself(t *testing.T) {
	machine := newPlace(t)
	broker, here := machine.broker()
	here.ok("session", "create", "demo", "--save")
	sub := here.start("sub", "demo", "news", "--client-id", "laptop")
	sub.tells("waiting")
	broker.cmd.Process.Kill()
	<-broker.ended
	sub.tells("connection lost: trying again")
	machine.brokerAgain(here)
	here.ok("pub", "demo", "news", "back")
	sub.prints("back\n")
	sub.tells("connected again")
}

func TestCommands_PubWaitsThroughAnOutageAndLosesNothing(t *testing.T) {
	machine := newPlace(t)
	broker, here := machine.broker()
	here.ok("session", "create", "demo", "--save")
	here.start("sub", "demo", "logs", "--client-id", "laptop").tells("waiting")
	const n = 3000 // more than the SDK would queue without a connection
	sub := here.start("sub", "demo", "logs", "--client-id", "desk", "--count", fmt.Sprint(n+1))
	sub.tells("waiting")
	pub := here.start("pub", "demo", "logs")
	fmt.Fprintln(pub.input, "first")
	sub.prints("first\n")
	broker.cmd.Process.Kill()
	<-broker.ended
	pub.tells("connection lost: trying again")

	var lines strings.Builder
	for i := range n {
		fmt.Fprintf(&lines, "line %d\n", i)
	}
	written := make(chan error, 1)
	go func() {
		_, err := io.WriteString(pub.input, lines.String())
		written <- errors.Join(err, pub.input.Close())
	}()
	machine.brokerAgain(here)
	if err := <-written; err != nil {
		t.Error(err)
	}
	if code := pub.wait(); code != exitOK {
		t.Errorf("pub: exit code %d, want 0\n%s", code, pub.told.String())
	}
	if sub.wait(); sub.out.String() != "first\n"+lines.String() {
		t.Errorf("sub printed %d bytes, want %d, in order", len(sub.out.String()), lines.Len()+len("first\n"))
	}
}

func TestCommands_PubFailsWhereTheBrokerRefuses(t *testing.T) {
	_, here := newPlace(t).broker()
	here.ok("session", "create", "strict", "--save", "--suite", "2")
	here.ok("pub", "strict", "news", "m")
	here.fails("suite", "pub", "strict", "news", "m", "--suite", "1")
}

func TestCommands_ANewSessionTakesNothingFromAnOldProfile(t *testing.T) {
	_, here := newPlace(t).broker("DB_TYPE=memory")
	old := secretsOf(t, here.ok("session", "create", "demo", "--save"))
	_, there := newPlace(t).broker("DB_TYPE=memory")
	there = there.with("FASTPORT_HOME=" + here.dir + "/profiles")
	there.fails("say --replace", "session", "create", "demo", "--save")

	// Another broker's session of the same name, dropped there: the profile here stays.
	other := secretsOf(t, there.ok("session", "create", "demo"))
	there.with("FASTPORT_PASSWORD="+other["password"], "FASTPORT_SECRET_KEY="+other["secret key"]).ok("session", "drop", "demo")
	here.ok("pub", "demo", "news", "m")

	fresh := secretsOf(t, there.ok("session", "create", "demo", "--save", "--replace"))
	for _, name := range []string{"key", "password", "secret key"} {
		if fresh[name] == old[name] || fresh[name] == other[name] {
			t.Errorf("the new session has an old one's %s", name)
		}
	}
	there.ok("pub", "demo", "news", "m")
}

func TestCommands_SendWaitsForAReceiverIfItIsTold(t *testing.T) {
	_, here := newPlace(t).broker()
	here.ok("session", "create", "demo", "--save")
	for name, size := range map[string]int{"empty": 0, "full": 200 << 10} {
		if err := os.WriteFile(filepath.Join(here.dir, name), make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
		send := here.start("send", "demo", "files", name, "--wait")
		send.tells("nobody receives on files yet; waiting")
		if got := here.ok("recv", "demo", "files", "--count", "1"); got != name+" (1)\n" {
			t.Errorf("printed %q, want %s (1)", got, name)
		}
		if code := send.wait(); code != exitOK {
			t.Errorf("send: exit code %d\n%s", code, send.told.String())
		}
		if info, err := os.Stat(filepath.Join(here.dir, name+" (1)")); err != nil || info.Size() != int64(size) {
			t.Errorf("%s: %v, %v, want %d bytes", name, info, err, size)
		}
	}
}

func TestCommands_OwnersSuspendResumeAndDrop(t *testing.T) {
	_, here := newPlace(t).broker()
	printed := here.ok("session", "create", "demo", "--save")
	sub := here.start("sub", "demo", "news")
	sub.tells("waiting")

	here.ok("session", "suspend", "demo")
	if code := sub.wait(); code != exitFailure || !strings.Contains(sub.told.String(), "session demo was suspended or dropped") {
		t.Errorf("sub of a suspended session: exit code %d, want 1\n%s", code, sub.told.String())
	}
	here.fails("`fastport session resume demo`", "pub", "demo", "news", "m")
	here.ok("session", "resume", "demo")
	here.ok("pub", "demo", "news", "m")

	here.fails("there already", "session", "create", "demo", "--save")
	here.fails("choose another name", "session", "create", "demo")
	here.with("FASTPORT_PASSWORD=x", "FASTPORT_SECRET_KEY=y").fails("are they as `session create` printed them?", "session", "drop", "nosuch")

	here.ok("session", "drop", "demo")
	if _, err := os.Stat(filepath.Join(here.dir, "profiles", "demo.json")); !os.IsNotExist(err) {
		t.Errorf("the profile is still there: %v", err)
	}
	secrets := secretsOf(t, printed)
	other := here.with("FASTPORT_PASSWORD="+secrets["password"], "FASTPORT_KEY="+secrets["key"])
	other.fails("is there such a session", "pub", "demo", "news", "m")
}

// secretsOf reads what `session create` prints.
func secretsOf(t *testing.T, text string) map[string]string {
	t.Helper()
	found := make(map[string]string)
	for line := range strings.Lines(text) {
		if i := strings.LastIndexByte(strings.TrimSpace(line), ' '); i > 0 {
			found[strings.TrimSpace(line[:i])] = strings.TrimSpace(line[i:])
		}
	}
	for _, name := range []string{"session", "password", "key", "secret key"} {
		if found[name] == "" {
			t.Fatalf("no %s in %q", name, text)
		}
	}
	return found
}

func TestCommands_SecretsComeFromTheEnvironmentOrFilesAndAreChecked(t *testing.T) {
	_, here := newPlace(t).broker()
	secrets := secretsOf(t, here.ok("session", "create", "demo"))
	if len(secrets["secret key"]) != 64 {
		t.Errorf("secret key has %d digits, want 64", len(secrets["secret key"]))
	}
	right := here.with("FASTPORT_PASSWORD="+secrets["password"], "FASTPORT_KEY="+secrets["key"])
	right.ok("pub", "demo", "news", "m")
	right.with("FASTPORT_PASSWORD=wrong").fails("is the password right?", "pub", "demo", "news", "m")
	right.with("FASTPORT_KEY="+strings.TrimSpace(here.ok("keygen"))).fails("the key is not that of session demo", "pub", "demo", "news", "m")

	for name, text := range map[string]string{"key": secrets["key"], "password": secrets["password"]} {
		if err := os.WriteFile(filepath.Join(here.dir, name), []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	here.ok("pub", "demo", "news", "m", "--key-file", "key", "--password-file", "password")
	right.with("FASTPORT_SECRET_KEY="+secrets["secret key"]).ok("session", "drop", "demo")
}

func TestCommands_TheOperatorMayWithoutSecrets(t *testing.T) {
	const pass = "a long enough sentence"
	_, here := newPlace(t).broker("ADMIN_PASS="+pass, "SESSION_CREATION=admin")
	here.fails("set FASTPORT_ADMIN_PASS", "session", "create", "demo")
	here.with("FASTPORT_ADMIN_PASS=wrong").fails("does not know this operator", "session", "create", "demo")

	operator := here.with("FASTPORT_ADMIN_PASS="+pass, "FASTPORT_ADMIN_USER=admin")
	for _, name := range []string{"b", "a"} {
		operator.ok("session", "create", name)
	}
	operator.ok("session", "suspend", "b")
	list := strings.Split(operator.ok("session", "list"), "\n")
	if len(list) != 4 || !strings.HasPrefix(list[1], "a ") || !strings.Contains(list[1], " active ") || !strings.Contains(list[2], " suspended ") {
		t.Errorf("list = %q", list)
	}
	api, err := operatorOf(t.Context(), &env{Lookup: environment{"FASTPORT_ADMIN_PASS": pass}.lookup}, here.url())
	if err != nil {
		t.Fatal(err)
	}
	api.page = 1 // the list comes in pages, and none is left out
	var names []string
	if err := api.sessions(t.Context(), func(s sessionInfo) error { names = append(names, s.SessionName); return nil }); err != nil || strings.Join(names, " ") != "a b" {
		t.Errorf("names = %q, %v, want a and b", names, err)
	}
	api.logout(t.Context())
	if err := api.sessions(t.Context(), func(sessionInfo) error { return nil }); err == nil {
		t.Error("the login is still good after the command")
	}
	operator.ok("session", "drop", "a")
	operator.fails("there is no session a", "session", "drop", "a")
}

func TestCommands_HealthcheckAsksARealBroker(t *testing.T) {
	broker, here := newPlace(t).broker()
	here.ok("healthcheck")
	broker.interrupt()
	here.fails("`fastport serve` starts a broker", "healthcheck")
}

func TestCommands_CreatedAsJSONIsAProfile(t *testing.T) {
	_, here := newPlace(t).broker()
	text := here.ok("session", "create", "demo", "--json")
	if err := os.MkdirAll(filepath.Join(here.dir, "profiles"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(here.dir, "profiles", "demo.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	here.ok("pub", "demo", "news", "m")
}
