package admin

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/fastport/fastport/backplane"
)

// What is in one node's memory alone any node can be asked for: a question goes out as a command to one node or to all,
// and answers come back as commands. A node that does not answer in time is left out, as one of an older version is
// that does not know the question.
const (
	askTime    = time.Second
	answerTime = 3 * time.Second
	maxAnswers = 16 // questions that a node answers at once; what is beyond is not answered
)

var (
	errUnknown = errors.New("admin: a question of another version")
	errTooLong = errors.New("admin: an answer is too long")
)

// question is the Body of backplane.Asked.
type question struct {
	About string          `json:"about"`
	Body  json.RawMessage `json:"body,omitempty"`
}

// answerer answers one kind of question.
type answerer func(ctx context.Context, body json.RawMessage) (any, error)

// peers asks other nodes and answers them.
type peers struct {
	self    string
	bus     backplane.Backplane
	log     *slog.Logger
	answers map[string]answerer
	turns   chan struct{}

	ctx    context.Context // of answers
	cancel context.CancelFunc

	mu      sync.Mutex // guards the following
	waiting map[uint64]chan<- *backplane.Command
	closed  bool
	work    sync.WaitGroup // answers; begun only while not closed
}

func newPeers(self string, bus backplane.Backplane, log *slog.Logger) *peers {
	p := &peers{self: self, bus: bus, log: log, answers: map[string]answerer{}, turns: make(chan struct{}, maxAnswers),
		waiting: map[uint64]chan<- *backplane.Command{}}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// command takes Asked and Answered. It does not block.
func (p *peers) command(c *backplane.Command) {
	switch c.Kind {
	case backplane.Answered:
		p.mu.Lock()
		to := p.waiting[c.Token]
		p.mu.Unlock()
		if to != nil {
			select {
			case to <- c:
			default: // it has more answers than there are nodes
			}
		}
	case backplane.Asked:
		if c.To != "" && c.To != p.self {
			return
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.closed {
			return
		}
		select {
		case p.turns <- struct{}{}:
		default:
			return
		}
		p.work.Go(func() {
			defer func() { <-p.turns }()
			p.reply(c)
		})
	}
}

func (p *peers) reply(c *backplane.Command) {
	ctx, cancel := context.WithTimeout(p.ctx, answerTime)
	defer cancel()
	var q question
	if err := json.Unmarshal([]byte(c.Body), &q); err != nil {
		return
	}
	text, err := p.answer(ctx, q)
	if err != nil {
		if !errors.Is(err, errUnknown) {
			p.log.Warn("admin: another node's question was not answered", slog.String("about", q.About), slog.Any("cause", err))
		}
		return
	}
	if err := p.bus.Tell(ctx, backplane.Command{Kind: backplane.Answered, Token: c.Token, To: c.Node, Body: string(text)}); err != nil {
		p.log.Debug("admin: an answer was not sent", slog.Any("cause", err))
	}
}

func (p *peers) answer(ctx context.Context, q question) (json.RawMessage, error) {
	f := p.answers[q.About]
	if f == nil {
		return nil, errUnknown
	}
	given, err := f(ctx, q.Body)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(given)
	if err == nil && len(text) > backplane.MaxCommandBody {
		err = errTooLong
	}
	return text, err
}

// ask asks a node, or all where to is "", and returns what they answered within askTime, by node.
func (p *peers) ask(ctx context.Context, to, about string, body any) (map[string]json.RawMessage, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	q := question{About: about, Body: text}
	got := map[string]json.RawMessage{}
	if to == "" || to == p.self {
		if got[p.self], err = p.answer(ctx, q); err != nil || to != "" {
			return got, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	expected := 1
	if to == "" {
		nodes, err := p.bus.Nodes(ctx)
		if err != nil {
			return got, nil // this node is all that can be reached
		}
		expected = 0
		for _, n := range nodes {
			if n.ID != p.self {
				expected++
			}
		}
	}
	if expected == 0 {
		return got, nil
	}
	whole, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	token, answers := rand.Uint64(), make(chan *backplane.Command, expected)
	p.mu.Lock()
	p.waiting[token] = answers
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.waiting, token)
		p.mu.Unlock()
	}()
	if err := p.bus.Tell(ctx, backplane.Command{Kind: backplane.Asked, To: to, Token: token, Body: string(whole)}); err != nil {
		return got, nil
	}
	for range expected {
		select {
		case c := <-answers:
			if json.Valid([]byte(c.Body)) {
				got[c.Node] = json.RawMessage(c.Body)
			}
		case <-ctx.Done():
			return got, nil
		}
	}
	return got, nil
}

// tell has all nodes do what the question is about, this one at once, and waits for no other.
func (p *peers) tell(ctx context.Context, about string) {
	q := question{About: about}
	if _, err := p.answer(ctx, q); err != nil {
		p.log.Error("admin: this node does not do what it asks of others", slog.String("about", about), slog.Any("cause", err))
	}
	whole, err := json.Marshal(q)
	if err == nil {
		err = p.bus.Tell(ctx, backplane.Command{Kind: backplane.Asked, Body: string(whole)})
	}
	if err != nil {
		p.log.Debug("admin: a word to other nodes was not sent", slog.String("about", about), slog.Any("cause", err))
	}
}

// close ends what is being answered.
func (p *peers) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.cancel()
	p.work.Wait()
}
