package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// asCommand has this test's own program be fastport: what is tested is what was compiled, race detector and all.
const asCommand = "FASTPORT_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
	}
	os.Exit(m.Run())
}

// patience bounds every wait for a process; a busy machine takes seconds, a broken one for ever.
const patience = 60 * time.Second

// place is a machine of its own for processes: a folder, and an environment with nothing of this one's settings.
type place struct {
	t    *testing.T
	dir  string
	vars []string
}

func newPlace(t *testing.T) *place {
	dir := t.TempDir()
	return &place{t: t, dir: dir, vars: []string{asCommand + "=1", "PATH=" + os.Getenv("PATH"), "HOME=" + dir, "FASTPORT_HOME=" + dir + "/profiles"}}
}

// with is the place with more in its environment.
func (p *place) with(vars ...string) *place {
	other := *p
	other.vars = append(p.vars[:len(p.vars):len(p.vars)], vars...)
	return &other
}

// process is a fastport that runs.
type process struct {
	t         *testing.T
	line      string
	cmd       *exec.Cmd
	out, told output
	ended     chan struct{}
	input     io.WriteCloser
	exited    error // once ended is closed
}

// start runs a command line, and kills it when the test ends.
func (p *place) start(args ...string) *process {
	p.t.Helper()
	self, err := os.Executable()
	if err != nil {
		p.t.Fatal(err)
	}
	r := &process{t: p.t, line: strings.Join(args, " "), cmd: exec.Command(self, args...), ended: make(chan struct{})}
	r.cmd.Dir, r.cmd.Env, r.cmd.Stdout, r.cmd.Stderr = p.dir, p.vars, &r.out, &r.told
	if r.input, err = r.cmd.StdinPipe(); err != nil {
		p.t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	go func() { r.exited = r.cmd.Wait(); close(r.ended) }()
	p.t.Cleanup(func() { r.cmd.Process.Kill(); <-r.ended })
	return r
}

// run runs a command line with this standard input to its end, and returns what came of it.
func (p *place) run(stdin string, args ...string) (code int, stdout, stderr string) {
	p.t.Helper()
	r := p.start(args...)
	io.WriteString(r.input, stdin) // fails where the command ends early, and it shows there
	r.input.Close()
	code = r.wait()
	return code, r.out.String(), r.told.String()
}

// ok runs a command line that must succeed without a word of trouble, and returns what it printed.
func (p *place) ok(args ...string) string {
	p.t.Helper()
	code, out, told := p.run("", args...)
	if code != exitOK || strings.Contains(told, "lost") || strings.Contains(told, "closed") || strings.Contains(told, "no more is wanted") {
		p.t.Fatalf("fastport %s: exit code %d\n%s%s", strings.Join(args, " "), code, out, told)
	}
	return out
}

// fails runs a command line that must fail with a line that holds want.
func (p *place) fails(want string, args ...string) {
	p.t.Helper()
	code, _, told := p.run("", args...)
	if code != exitFailure || !strings.Contains(told, want) {
		p.t.Errorf("fastport %s: exit code %d, told %q, want 1 and %q", strings.Join(args, " "), code, told, want)
	}
	if strings.Count(told, "\n") != 1 {
		p.t.Errorf("fastport %s: told %q, want one line", strings.Join(args, " "), told)
	}
}

// wait waits for the end and returns the exit code.
func (r *process) wait() int {
	r.t.Helper()
	select {
	case <-r.ended:
	case <-time.After(patience):
		r.t.Fatalf("fastport %s does not end\n%s%s", r.line, r.out.String(), r.told.String())
	}
	var exit *exec.ExitError
	if errors.As(r.exited, &exit) {
		return exit.ExitCode()
	}
	if r.exited != nil {
		r.t.Fatal(r.exited)
	}
	return 0
}

// interrupt is Ctrl-C.
func (r *process) interrupt() int {
	r.t.Helper()
	if err := r.cmd.Process.Signal(os.Interrupt); err != nil {
		r.t.Fatal(err)
	}
	return r.wait()
}

// tells waits until the process has written want to standard error.
func (r *process) tells(want string) { r.t.Helper(); r.until(&r.told, regexp.QuoteMeta(want)) }

// prints waits until the process has written want to standard output.
func (r *process) prints(want string) { r.t.Helper(); r.until(&r.out, regexp.QuoteMeta(want)) }

// until waits for what matches, and returns its groups.
func (r *process) until(o *output, pattern string) []string {
	r.t.Helper()
	match := regexp.MustCompile(pattern)
	deadline := time.After(patience)
	for {
		more := o.more()
		if found := match.FindStringSubmatch(o.String()); found != nil {
			return found
		}
		select {
		case <-more:
		case <-r.ended:
			if found := match.FindStringSubmatch(o.String()); found != nil {
				return found
			}
			r.t.Fatalf("fastport %s ended without %q\n%s%s", r.line, pattern, r.out.String(), r.told.String())
		case <-deadline:
			r.t.Fatalf("fastport %s does not write %q\n%s%s", r.line, pattern, r.out.String(), r.told.String())
		}
	}
}

// output is what a process writes, to be read meanwhile.
type output struct {
	mu   sync.Mutex // guards the following
	text bytes.Buffer
	wake chan struct{}
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.wake != nil {
		close(o.wake)
		o.wake = nil
	}
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// more is closed with the next write.
func (o *output) more() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.wake == nil {
		o.wake = make(chan struct{})
	}
	return o.wake
}

// broker starts a broker, and returns a place whose commands find it.
func (p *place) broker(vars ...string) (*process, *place) {
	p.t.Helper()
	r := p.with(vars...).start("serve", "--port", "0", "--host", "127.0.0.1")
	url := r.until(&r.out, `running at (http\S+:\d+)`)[1]
	return r, p.with(fmt.Sprintf("FASTPORT_URL=%s", url))
}

// url is the broker that the commands of this place find.
func (p *place) url() string {
	for _, v := range slices.Backward(p.vars) {
		if url, ok := strings.CutPrefix(v, "FASTPORT_URL="); ok {
			return url
		}
	}
	p.t.Fatal("no broker here")
	return ""
}

// brokerAgain starts the machine's broker again, on its port and its data.
func (p *place) brokerAgain(of *place) {
	p.t.Helper()
	port := of.url()[strings.LastIndexByte(of.url(), ':')+1:]
	p.start("serve", "--port", port, "--host", "127.0.0.1").prints("running at")
}
