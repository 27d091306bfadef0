package main

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAccess_FlagsGoBeforeTheEnvironmentBeforeTheProfile(t *testing.T) {
	home := profiles{t.TempDir()}
	if _, err := home.Save(demo, false); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(home.dir, "secret")
	if err := os.WriteFile(file, []byte("from file\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	vars := environment{
		"FASTPORT_HOME": home.dir, "FASTPORT_KEY": "key of env", "FASTPORT_PASSWORD": "password of env",
		"FASTPORT_SECRET_KEY": "owner of env", "FASTPORT_URL": "https://env.example.com/",
	}
	for _, c := range []struct {
		name string
		vars environment
		access
		want profile
	}{
		{"profile", environment{"FASTPORT_HOME": home.dir}, access{}, demo},
		{"environment", vars, access{}, profile{"demo", "https://env.example.com", "key of env", "password of env", "owner of env"}},
		{"flags", vars, access{url: "ws://[::1]:8080/ws", keyFile: file, passwordFile: file}, profile{"demo", "http://[::1]:8080", "from file", "from file", "owner of env"}},
		{"nothing", environment{"FASTPORT_HOME": t.TempDir()}, access{}, profile{Session: "demo", URL: defaultURL}},
	} {
		var told bytes.Buffer
		got, err := c.access.resolve(&env{Lookup: c.vars.lookup, Stderr: &told}, "demo")
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if got != c.want {
			t.Errorf("%s: got {%s %s %s %s}, want {%s %s %s %s}", c.name, got.URL, got.Key, got.Password, got.SecretKey, c.want.URL, c.want.Key, c.want.Password, c.want.SecretKey)
		}
		if told.Len() > 0 {
			t.Errorf("%s: told %q, want nothing", c.name, told.String())
		}
	}
}

func TestAccess_WarnsWherePasswordsCanBeRead(t *testing.T) {
	for base, want := range map[string]bool{
		"http://127.0.0.1:3000": false, "http://localhost:3000": false, "http://[::1]:3000": false, "https://broker.example.com": false,
		"http://broker.example.com": true, "http://192.0.2.7:3000": true,
	} {
		var told bytes.Buffer
		a := access{url: base}
		if _, err := a.server(&env{Lookup: environment{}.lookup, Stderr: &told}, ""); err != nil {
			t.Error(err)
		}
		if got := strings.Contains(told.String(), "use https"); got != want {
			t.Errorf("%s: warned %v, want %v", base, got, want)
		}
	}
}

func TestAddress_TakesWhatPeopleWrite(t *testing.T) {
	for text, want := range map[string]string{
		"http://h:1": "http://h:1", "http://h:1/": "http://h:1", "ws://h:1/ws": "http://h:1", "wss://h/ws/": "https://h", "https://h/fastport": "https://h/fastport",
		"h:1": "", "localhost:3000": "", "ftp://h": "", "http://": "", "http://user:secret@h": "", "": "", "http://h?x=1": "",
	} {
		got, err := parseURL(text)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v, want %q", text, got, err, want)
		}
	}
	if got, want := socketURL("https://h/fastport"), "wss://h/fastport/ws"; got != want {
		t.Errorf("socket = %s, want %s", got, want)
	}
}

func TestAddresses_TakeTheNodesOfACluster(t *testing.T) {
	got, err := parseURLs("http://h:1/, wss://i/ws")
	if err != nil || got != "http://h:1,https://i" {
		t.Errorf("urls = %q, %v", got, err)
	}
	if sockets := strings.Join(socketURLs(got), " "); sockets != "ws://h:1/ws wss://i/ws" {
		t.Errorf("sockets = %s", sockets)
	}
	for _, text := range []string{"http://h:1,", "http://h:1,i:2", ","} {
		if got, err := parseURLs(text); err == nil {
			t.Errorf("%q: %q, want an error", text, got)
		}
	}
}

func TestReachable_IsTheFirstThatTakesAConnection(t *testing.T) {
	up, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer up.Close()
	down, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	down.Close()
	at, not := "http://"+up.Addr().String(), "http://"+down.Addr().String()
	for urls, want := range map[string]string{at: at, not: not, not + "," + at: at, at + "," + not: at, not + "," + not: not} {
		if got := reachable(t.Context(), urls); got != want {
			t.Errorf("%s: %s, want %s", urls, got, want)
		}
	}
}

func TestStates_TellsOfALossAndAReturnOnly(t *testing.T) {
	var lines []string
	told := states(func(format string, _ ...any) { lines = append(lines, format) })
	for _, up := range []bool{true, false, true, true} {
		told(up)
	}
	if got, want := strings.Join(lines, "; "), "connection lost: trying again; connected again"; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
}

func TestPrintable_DoesATerminalNoHarm(t *testing.T) {
	for text, want := range map[string]string{
		"plain":             "plain",
		"ünï 日本 🙂":          "ünï 日本 🙂",
		`C:\new`:            `C:\new`,
		"a\tb":              "a\tb",
		"two\nlines\r":      `two\nlines\r`,
		"\x1b[2Jgone\x07":   `\x1b[2Jgone\x07`,
		"\u009b31m":         `\x9b31m`,
		"\xff\xfe":          `\xff\xfe`,
		"\uFFFD":            "\uFFFD",
		"photo\u202egpj.sh": `photo\u202egpj.sh`,
	} {
		if got := printable(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
