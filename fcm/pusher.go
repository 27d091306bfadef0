package fcm

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fastport/fastport/storage"
)

// Presence says which users are connected anywhere; a backplane does.
type Presence interface {
	Online(ctx context.Context, session string, users []string) ([]bool, error)
}

// Vault opens what the store keeps sealed.
type Vault interface {
	// Account opens a session's Firebase project. Not enabled: its users are not to be woken.
	Account(session string, sealed []byte) (a Account, enabled bool, err error)
	// Token opens a device's.
	Token(d storage.Device) (string, error)
}

// Config is what a Pusher is made of.
type Config struct {
	Store    storage.Waker
	Presence Presence
	Vault    Vault
	Sender   *Sender
	Logger   *slog.Logger

	// Pushed is told what FCM made of a push to some devices, one result at a time; nil: nobody. It must not block.
	Pushed func(at storage.Topic, messageID, result string, devices int)

	After time.Duration // how long a connected user has to ack before they are woken all the same (PUSH_AFTER); 0: 15 s
	Every time.Duration // how often the outbox is looked at; 0: 500 ms
}

// What a Pusher does at once, and how long it waits.
const (
	claimRows  = 512
	claimLease = time.Minute // longer than a topic's work takes, which has a deadline
	workTime   = 45 * time.Second
	workersOf  = 4               // topics of one session at once: a project that hangs holds up nobody else's
	owedPage   = 500             // users at once
	backoffMin = 5 * time.Second // after a failure, doubled with each up to
	backoffMax = 10 * time.Minute
	storeTime  = 5 * time.Second // one call of the store
)

// Pusher empties the outbox: see the package's comment. Several nodes do at once; each row is one's at a time.
type Pusher struct {
	cfg     Config
	log     *slog.Logger
	figures figures

	mu     sync.Mutex // guards the following
	queues map[string]*queue
	told   map[string]time.Time
}

// queue is the work of one session. It takes new work when it is empty, so that a project that hangs holds what it has
// claimed and no more.
type queue struct {
	jobs    []*job
	running int
}

// figures count; all only grow.
type figures struct{ sent, gone, later, refused, timedOut atomic.Int64 }

// Stats is what a Pusher has done.
type Stats struct {
	Sent     int64 // pushes that FCM took
	Gone     int64 // devices forgotten: their tokens are of no use any more
	Later    int64 // pushes to be tried again
	Refused  int64 // pushes that FCM will not take
	TimedOut int64 // of Later: no answer in time
}

// NewPusher makes a Pusher.
func NewPusher(c Config) *Pusher {
	c.After, c.Every = cmp.Or(c.After, 15*time.Second), cmp.Or(c.Every, 500*time.Millisecond)
	if c.Pushed == nil {
		c.Pushed = func(storage.Topic, string, string, int) {}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	return &Pusher{cfg: c, log: c.Logger, queues: map[string]*queue{}, told: map[string]time.Time{}}
}

// Stats tells what was done since the start.
func (p *Pusher) Stats() Stats {
	f := &p.figures
	return Stats{Sent: f.sent.Load(), Gone: f.gone.Load(), Later: f.later.Load(), Refused: f.refused.Load(), TimedOut: f.timedOut.Load()}
}

// Run pushes until ctx is done; it returns once what was begun has ended.
func (p *Pusher) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	tick := time.NewTicker(p.cfg.Every)
	defer tick.Stop()
	for {
		rows, err := p.claim(ctx)
		if err != nil && ctx.Err() == nil {
			p.log.Warn("the push outbox could not be read, will be repeated", slog.Any("error", err))
		}
		for _, session := range p.add(jobs(rows)) {
			wg.Go(func() { p.work(ctx, session) })
		}
		if len(rows) == claimRows {
			continue
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// add queues jobs. It returns the sessions that each of its new workers is for.
func (p *Pusher) add(list []*job) (hire []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, j := range list {
		session := j.topic.Session
		q := p.queues[session]
		if q == nil {
			q = &queue{}
			p.queues[session] = q
		}
		q.jobs = append(q.jobs, j)
		if q.running < workersOf {
			q.running++
			hire = append(hire, session)
		}
	}
	return hire
}

// work does a session's jobs until there are none.
func (p *Pusher) work(ctx context.Context, session string) {
	for {
		j := p.next(session)
		if j == nil {
			return
		}
		// What waited too long would outlive its lease, and be done twice: another claim finds it.
		if ctx.Err() == nil && time.Since(j.claimed) < claimLease-workTime {
			p.do(ctx, j)
		}
	}
}

// next takes a job, or lets its worker go.
func (p *Pusher) next(session string) *job {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := p.queues[session]
	if len(q.jobs) == 0 {
		if q.running--; q.running == 0 {
			delete(p.queues, session)
		}
		return nil
	}
	j := q.jobs[0]
	q.jobs = q.jobs[1:]
	return j
}

// full lists the sessions that have all the work that they may.
func (p *Pusher) full() (list []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, q := range p.queues {
		if q.running >= workersOf || len(q.jobs) > 0 {
			list = append(list, id)
		}
	}
	return list
}

func (p *Pusher) claim(ctx context.Context) ([]storage.Wake, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	return p.cfg.Store.ClaimWakes(ctx, claimRows, claimLease, p.full())
}

// tellEvery is how often a session's log may say that nobody has a device: it would say so for every message.
const tellEvery = time.Minute

func (p *Pusher) mayTell(session string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for id, at := range p.told {
		if now.Sub(at) >= tellEvery {
			delete(p.told, id)
		}
	}
	if _, told := p.told[session]; told {
		return false
	}
	p.told[session] = now
	return true
}

// job is the claimed rows of one topic. Each user gets one push for the newest that they are owed.
type job struct {
	topic   storage.Topic
	claimed time.Time
	rows    map[uint64]storage.Wake
	seqs    []uint64
}

func jobs(rows []storage.Wake) (list []*job) {
	by := map[storage.Topic]*job{}
	for _, r := range rows {
		j := by[r.Topic]
		if j == nil {
			j = &job{topic: r.Topic, claimed: time.Now(), rows: map[uint64]storage.Wake{}}
			by[r.Topic] = j
			list = append(list, j)
		}
		j.rows[r.Seq] = r
		j.seqs = append(j.seqs, r.Seq)
	}
	return list
}

// any is one of the job's rows: what they say of their session is the same.
func (j *job) any() storage.Wake { return j.rows[j.seqs[0]] }

// do works a job off: it wakes who is to be woken, and makes its rows due again for whom that must wait.
func (p *Pusher) do(ctx context.Context, j *job) {
	work, cancel := context.WithTimeout(ctx, workTime)
	defer cancel()
	account, enabled, err := p.cfg.Vault.Account(j.topic.Session, j.any().Config)
	if err != nil {
		p.log.Error(logInit, slog.String("session", j.any().SessionName), slog.Any("error", err))
	}
	r := round{pusher: p, job: j, account: account, begun: time.Now()}
	if enabled && err == nil {
		err = r.everybody(work)
		if err != nil && ctx.Err() == nil {
			p.log.Warn("a push was interrupted, will be repeated", slog.Any("error", err))
		}
		r.failed = r.failed || err != nil
	}
	end, cancelEnd := context.WithTimeout(context.WithoutCancel(ctx), storeTime)
	defer cancelEnd()
	if err := r.finish(end); err != nil {
		p.log.Warn("the push outbox could not be written, its rows come again", slog.Any("error", err))
	}
}

// timedOut reports whether FCM did not answer in time.
func timedOut(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}
