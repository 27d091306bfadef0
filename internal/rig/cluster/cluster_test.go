package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// said is what the program prints, a line at a time.
type said struct {
	t     *testing.T
	lines *bufio.Scanner
	all   strings.Builder
}

// until reads to a line that matches, and returns its groups.
func (s *said) until(pattern string) []string {
	s.t.Helper()
	match := regexp.MustCompile(pattern)
	for s.lines.Scan() {
		s.all.WriteString(s.lines.Text() + "\n")
		if found := match.FindStringSubmatch(s.lines.Text()); found != nil {
			return found
		}
	}
	s.t.Fatalf("it ended without %q:\n%s", pattern, s.all.String())
	return nil
}

// block reads the indented lines that follow.
func (s *said) block() (script string) {
	s.t.Helper()
	for s.lines.Scan() {
		s.all.WriteString(s.lines.Text() + "\n")
		line, indented := strings.CutPrefix(s.lines.Text(), "  ")
		switch {
		case indented:
			script += line + "\n"
		case script != "":
			return script
		}
	}
	s.t.Fatalf("it ended within a block:\n%s", s.all.String())
	return ""
}

// TestCluster_WhatItPrintsWorksAndCtrlCEndsEverything does what a newcomer does: copies what is printed into two
// terminals, publishes through the load balancer, kills a node, and presses Ctrl-C.
func TestCluster_WhatItPrintsWorksAndCtrlCEndsEverything(t *testing.T) {
	dir := t.TempDir()
	for name, from := range map[string]string{"fastport": "../../../cmd/fastport", "cluster": "."} {
		if out, err := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(dir, name), from).CombinedOutput(); err != nil {
			t.Fatalf("build: %v\n%s", err, out)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(dir, "cluster"), "-port", "0", "-binary", filepath.Join(dir, "fastport"))
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	out := &said{t: t, lines: bufio.NewScanner(pipe)}
	front := out.until(`behind nginx: (http://\S+)`)[1]
	var pids []int
	var log string
	for i := range 3 {
		pid, _ := strconv.Atoi(out.until(fmt.Sprintf(`node-%d .* pid (\d+)`, i+1))[1])
		pids = append(pids, pid)
		log = out.until(`log (\S+)`)[1]
	}
	out.until(`redis-cli -p \d+`)
	out.until(`psql 'postgres://`)
	out.until("second terminal")
	listen := out.block()
	publish := out.block()
	out.until("node-1 up .*, node-2 up .*, node-3 up")

	shell := func(script string, vars ...string) *exec.Cmd {
		sh := exec.CommandContext(ctx, "bash", "-ec", script)
		sh.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "FASTPORT_HOME=" + dir}, vars...)
		sh.Stderr = os.Stderr
		return sh
	}
	sub := shell(listen)
	heard, err := sub.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	told, err := os.CreateTemp(dir, "told")
	if err != nil {
		t.Fatal(err)
	}
	sub.Stderr = told
	if err := sub.Start(); err != nil {
		t.Fatal(err)
	}
	defer sub.Process.Kill()
	for text := ""; !strings.Contains(text, "subscribed to news"); time.Sleep(20 * time.Millisecond) {
		raw, _ := os.ReadFile(told.Name())
		if text = string(raw); ctx.Err() != nil {
			t.Fatalf("terminal 2 says %q", text)
		}
	}
	if err := shell(publish).Run(); err != nil {
		t.Fatal(err)
	}
	if err := shell("export PATH="+dir+":$PATH; fastport pub demo news 'by nginx'", "FASTPORT_URL="+front).Run(); err != nil {
		t.Fatal(err)
	}
	messages := &said{t: t, lines: bufio.NewScanner(heard)}
	messages.until("^hello from the other side$")
	messages.until("^by nginx$")

	if err := syscall.Kill(pids[2], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	out.until("node-3 down")
	if res, err := http.Get(front + "/healthz"); err != nil || res.StatusCode >= 500 {
		t.Errorf("nginx, with a node down: %v, %v", res, err)
	}
	out.until("node-3 up")

	cmd.Process.Signal(os.Interrupt)
	out.until("everything has ended")
	io.Copy(io.Discard, pipe)
	if err := cmd.Wait(); err != nil {
		t.Errorf("cluster: %v", err)
	}
	sub.Process.Kill()
	sub.Wait()
	if _, err := os.Stat(filepath.Dir(filepath.Dir(log))); !os.IsNotExist(err) {
		t.Errorf("its folder is still there: %v", err)
	}
	for _, pid := range pids[:2] {
		if syscall.Kill(pid, 0) == nil {
			t.Errorf("process %d still runs", pid)
		}
	}
}
