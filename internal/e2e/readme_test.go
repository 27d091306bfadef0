package e2e

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A block of the README's session: what to type, in which terminal, and what its output must have shown before the next
// block is typed.
var readmeBlock = regexp.MustCompile("(?s)<!-- readme-test: terminal (\\d+), until \"([^\"]*)\" -->\n```sh\n(.*?)```")

// TestReadme_SessionWorksAsPrinted types the README's own text into two shells, beside a broker on an empty folder.
func TestReadme_SessionWorksAsPrinted(t *testing.T) {
	doc, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := readmeBlock.FindAllStringSubmatch(string(doc), -1)
	if want := strings.Count(string(doc), "<!-- readme-test:"); len(blocks) != want || want < 5 {
		t.Fatalf("%d of %d blocks were understood", len(blocks), want)
	}
	s := serve(t)
	if err := os.Mkdir(filepath.Join(s.dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(binary, filepath.Join(s.dir, "bin", "fastport")); err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	terminals := map[string]*terminal{}
	for _, b := range blocks {
		term := terminals[b[1]]
		if term == nil {
			term = openTerminal(t, s, home)
			terminals[b[1]] = term
		}
		term.typeIn(b[3], b[2])
	}
	for _, want := range []string{"hello", "one message", "a line", "while you were away", "the same, byte for byte"} {
		if !strings.Contains(terminals["1"].out.String(), want) {
			t.Errorf("terminal 1 never showed %q:\n%s", want, terminals["1"].out)
		}
	}
}

type terminal struct {
	t     *testing.T
	in    io.Writer
	out   *lockedBuffer
	typed int
	seen  int
}

func openTerminal(t *testing.T, s *server, home string) *terminal {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-e")
	cmd.Dir = s.dir
	cmd.Env = append(cleanEnv(), "HOME="+home, "XDG_CONFIG_HOME="+home, "FASTPORT_URL="+s.http())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // what it runs, too
	term := &terminal{t: t, out: &lockedBuffer{}}
	cmd.Stdout, cmd.Stderr = term.out, term.out
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	term.in = in
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Cancel()
		cmd.Wait()
	})
	return term
}

// typeIn types text and waits until the terminal shows a word, or, where that is empty, until all of it has run.
func (term *terminal) typeIn(text, until string) {
	term.t.Helper()
	term.typed++
	mark := fmt.Sprintf("ran-block-%d", term.typed)
	if until == "" {
		until = mark
	}
	if _, err := fmt.Fprintf(term.in, "%s\necho %s\n", text, mark); err != nil {
		term.t.Fatalf("%v\n%s", err, term.out)
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		out := term.out.String()
		if i := strings.Index(out[term.seen:], until); i >= 0 {
			term.seen += i + len(until)
			return
		}
		if time.Now().After(end) {
			term.t.Fatalf("typed:\n%s\nwaited for %q, the terminal shows:\n%s", text, until, out)
		}
	}
}
