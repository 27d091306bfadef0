package conformance

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// request is one line to an agent: what a client of its is to do.
type request struct {
	ID        int      `json:"id"`
	Client    string   `json:"client"`
	Do        string   `json:"do"`
	Options   *options `json:"options,omitempty"` // connect
	Topic     string   `json:"topic,omitempty"`
	Text      string   `json:"text,omitempty"`
	MessageID string   `json:"messageId,omitempty"`
	Failing   int      `json:"failing,omitempty"` // subscribe: how many messages the handler fails with
	Name      string   `json:"name,omitempty"`    // send
	Size      int      `json:"size,omitempty"`
	UserID    string   `json:"userId,omitempty"`
	DeviceID  string   `json:"deviceId,omitempty"`
	Token     string   `json:"token,omitempty"`
}

// options are what connect takes. What is absent is left to the SDK, but for its backoff, of 20 to 300 ms.
type options struct {
	URL            string `json:"url"`
	SessionName    string `json:"sessionName"`
	Password       string `json:"password"`
	AESKey         string `json:"aesKey"`
	ClientID       string `json:"clientId,omitempty"`
	UserID         string `json:"userId,omitempty"`
	Suite          int    `json:"suite,omitempty"`
	AllowLegacy    bool   `json:"allowLegacy,omitempty"`
	Wait           bool   `json:"wait,omitempty"`
	AckTimeout     int    `json:"ackTimeout,omitempty"`     // ms until a publish that is not acked goes out again
	ConnectTimeout int    `json:"connectTimeout,omitempty"` // ms
	DedupeSize     int    `json:"dedupeSize,omitempty"`
}

// report is one line of an agent: the answer to a request, or an event of a client of its.
type report struct {
	ID      int      `json:"id,omitempty"`
	Code    string   `json:"code,omitempty"` // a failure's: those of docs/protocol.md and of clients/js/src/errors.js
	Error   string   `json:"error,omitempty"`
	Devices []string `json:"devices,omitempty"`

	Event  string `json:"event,omitempty"` // message, file, state or error
	Client string `json:"client,omitempty"`
	Topic  string `json:"topic,omitempty"`
	Text   string `json:"text,omitempty"`
	Retry  int    `json:"retry,omitempty"`
	Replay bool   `json:"replay,omitempty"`
	Name   string `json:"name,omitempty"` // file
	Size   int    `json:"size,omitempty"`
	SHA256 string `json:"sha256,omitempty"`
	State  string `json:"state,omitempty"` // connected, disconnected, moved, or closed, with the code why
}

// agent is a program that has clients of one SDK do what requests say.
type agent struct {
	name string
	cmd  *exec.Cmd
	said bytes.Buffer // stderr; to be read once it has ended

	writing sync.Mutex // held while a line is written, so that requests go out in the order of the calls
	in      io.WriteCloser

	mu      sync.Mutex // guards the following
	last    int
	waiting map[int]chan report
	clients map[string]*actor
	err     error

	gone chan struct{} // closed once it has ended
}

// startAgent takes a command with a context. It returns at once: what is asked before the agent is ready waits in its pipe.
func startAgent(name string, cmd *exec.Cmd) (*agent, error) {
	a := &agent{
		name: name, cmd: cmd, waiting: make(map[int]chan report), clients: make(map[string]*actor), gone: make(chan struct{}),
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = &a.said
	// Chromium is many processes: they go together.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("agent %s: %w", name, err)
	}
	a.in = in
	go func() {
		defer close(a.gone)
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 16<<20)
		for lines.Scan() {
			a.take(lines.Bytes())
		}
		err := cmd.Wait()
		a.end(fmt.Errorf("agent %s has ended: %w\n%s", name, errors.Join(lines.Err(), err), &a.said))
	}()
	return a, nil
}

// stop closes the agent's input, at which it ends.
func (a *agent) stop(ctx context.Context) error {
	a.in.Close()
	select {
	case <-a.gone:
		return nil
	case <-ctx.Done():
		a.cmd.Cancel()
		<-a.gone
		return fmt.Errorf("agent %s did not end by itself", a.name)
	}
}

// take hands on one line.
func (a *agent) take(line []byte) {
	var r report
	if err := json.Unmarshal(line, &r); err != nil {
		a.end(fmt.Errorf("agent %s said %.200q: %w", a.name, line, err))
		return
	}
	a.mu.Lock()
	answer, c := a.waiting[r.ID], a.clients[r.Client]
	delete(a.waiting, r.ID)
	a.mu.Unlock()
	switch {
	case r.Event == "" && answer != nil:
		answer <- r
	case c != nil:
		c.take(r)
	}
}

func (a *agent) end(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err == nil {
		a.err = err
	}
	for id, answer := range a.waiting {
		answer <- report{Code: "agent", Error: a.err.Error()}
		delete(a.waiting, id)
	}
}

// send asks for something. Requests of one client are begun in the order of the calls.
func (a *agent) send(r request) <-chan report {
	a.writing.Lock()
	defer a.writing.Unlock()
	answer := make(chan report, 1)
	a.mu.Lock()
	a.last++
	r.ID = a.last
	a.waiting[r.ID] = answer
	a.mu.Unlock()
	if err := json.NewEncoder(a.in).Encode(r); err != nil {
		a.end(fmt.Errorf("agent %s: %w", a.name, err))
	}
	return answer
}

// add makes a client known, whose events come from then on.
func (a *agent) add(c *actor) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.clients[c.id] = c
}
