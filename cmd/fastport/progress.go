package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/fastport/fastport/client"
)

const (
	redraw  = 100 * time.Millisecond // on a terminal
	relate  = 10 * time.Second       // where lines stay
	horizon = 5 * time.Second        // what the rate is taken over
)

// progress shows how files get on: on a terminal one line that is drawn again and again, elsewhere a line now and then.
type progress struct {
	env   *env
	verb  string // "sending"
	width func() int

	mu    sync.Mutex // guards the following
	files map[string]*meter
	order []string // of files' ids, as they began
	drawn bool     // there is a line without its end
}

func newProgress(e *env, verb string) *progress {
	return &progress{env: e, verb: verb, width: terminalWidth(e), files: make(map[string]*meter)}
}

// terminalWidth tells the columns of the terminal that standard error is, 0 where it is none.
func terminalWidth(e *env) func() int {
	f, ok := e.Stderr.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) || e.setting("TERM") == "dumb" {
		return func() int { return 0 }
	}
	return func() int {
		width, _, err := term.GetSize(int(f.Fd()))
		if err != nil || width <= 0 {
			return 80
		}
		return width
	}
}

// Run draws until ctx ends.
func (p *progress) Run(ctx context.Context) {
	every := relate
	if p.width() > 0 {
		every = redraw
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			p.draw()
		}
	}
}

// Report notes how far a file is. It is quick.
func (p *progress) Report(f client.FileProgress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.files[f.FileID]
	if m == nil {
		m = &meter{name: printable(f.Name), began: time.Now()}
		p.files[f.FileID], p.order = m, append(p.order, f.FileID)
		if p.width() == 0 {
			p.println(fmt.Sprintf("%s %s, %s", p.verb, m.name, size(f.Size)))
		}
	}
	m.size, m.done, m.receivers = f.Size, f.Done, f.Receivers
}

// End forgets a file and returns what is known of it.
func (p *progress) End(id string) meter {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.files[id]
	if m == nil { // one so small or so early that nothing was reported
		return meter{began: time.Now()}
	}
	delete(p.files, id)
	for i, other := range p.order {
		if other == id {
			p.order = append(p.order[:i:i], p.order[i+1:]...)
			break
		}
	}
	p.clear()
	return *m
}

// Say prints a line of its own.
func (p *progress) Say(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.println(fmt.Sprintf(format, args...))
}

// println and those below are called with mu held.
func (p *progress) println(line string) {
	p.clear()
	fmt.Fprintln(p.env.Stderr, "fastport: "+line)
}

func (p *progress) clear() {
	if p.drawn {
		fmt.Fprint(p.env.Stderr, "\r\x1b[K")
		p.drawn = false
	}
}

func (p *progress) draw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.order) == 0 {
		return
	}
	now := time.Now()
	for _, m := range p.files {
		m.sample(now)
	}
	m, more := p.files[p.order[0]], len(p.order)-1
	width := p.width()
	if width == 0 {
		p.println(p.verb + " " + m.plain(more))
		return
	}
	fmt.Fprint(p.env.Stderr, "\r"+m.bar(width-1, more)+"\x1b[K") // in the last column some terminals begin a new line
	p.drawn = true
}
