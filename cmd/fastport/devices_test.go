package main

import (
	"strings"
	"testing"
)

func TestDevices_AreRegisteredListedAndForgotten(t *testing.T) {
	_, here := newPlace(t).broker()
	here.ok("session", "create", "demo", "--save")
	if code, _, told := here.run("a-token\n", "devices", "register", "demo", "alice", "phone", "--platform", "ios"); code != exitOK || !strings.Contains(told, "registered phone for alice") {
		t.Fatalf("register: exit code %d, %q", code, told)
	}
	code, out, _ := here.run("", "devices", "list", "demo", "alice")
	if lines := strings.Split(strings.TrimSpace(out), "\n"); code != exitOK || len(lines) != 2 || !strings.HasPrefix(lines[1], "phone ") || !strings.Contains(lines[1], "ios") || strings.Contains(out, "a-token") {
		t.Errorf("list: exit code %d\n%s", code, out)
	}
	if code, _, told := here.run("", "devices", "unregister", "demo", "alice", "phone"); code != exitOK {
		t.Errorf("unregister: exit code %d, %q", code, told)
	}
	if _, out, told := here.run("", "devices", "list", "demo", "alice"); out != "" || !strings.Contains(told, "alice has no devices") {
		t.Errorf("list of none: %q, %q", out, told)
	}
	if code, _, told := here.run("", "devices", "register", "demo", "alice", "phone"); code != exitUsage || !strings.Contains(told, "no token on standard input") {
		t.Errorf("register without a token: exit code %d, %q", code, told)
	}
}
