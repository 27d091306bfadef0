package fcm

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/fastport/fastport/storage"
)

// What is logged of pushes: an operator searches for these words, so they never change. docs/push.md has the cure of each.
const (
	logInit    = "[FCM] Initialization failed for session"
	logSent    = "[FCM] Sent push"
	logNobody  = "[FCM] Sent push to 0 devices"
	logTimeout = "[FCM] Push notification timed out"
	logFailed  = "[FCM] Failed to send"
	logGone    = "[FCM] Removed invalid token"
)

// round is one pass of a job through everybody who is owed it.
type round struct {
	pusher  *Pusher
	job     *job
	account Account
	begun   time.Time

	waits  bool          // somebody is connected and has time left to ack
	failed bool          // somebody could not be woken, and may be later
	pause  time.Duration // how long FCM asked to be left alone
}

// everybody pages through those who are owed one of the job's messages.
func (r *round) everybody(ctx context.Context) error {
	var after storage.Subscriber
	for r.pause == 0 {
		page, err := r.pusher.cfg.Store.Owed(ctx, r.job.topic, r.job.seqs, after, owedPage)
		if err != nil || len(page) == 0 {
			return err
		}
		after = page[len(page)-1].Subscriber
		if err := r.wake(ctx, page); err != nil {
			return err
		}
		if len(page) < owedPage {
			return nil
		}
	}
	r.failed = true // the rest waits with the pause
	return nil
}

// wake wakes the users of a page that are not connected, or have been for too long without acking.
func (r *round) wake(ctx context.Context, page []storage.Owing) error {
	byUser := map[string][]storage.Owing{}
	for _, o := range page {
		byUser[o.User] = append(byUser[o.User], o)
	}
	users := slices.Sorted(maps.Keys(byUser))
	asleep := r.asleep(ctx, users, byUser)
	if len(asleep) == 0 {
		return nil
	}
	devices, err := r.pusher.cfg.Store.Devices(ctx, r.job.topic.Session, asleep)
	if err != nil {
		return err
	}
	if len(devices) == 0 && r.pusher.mayTell(r.job.topic.Session) {
		r.pusher.log.Info(logNobody, slog.String("session", r.job.any().SessionName))
	}
	bySeq := map[uint64][]storage.Device{}
	for _, d := range devices {
		seq := newest(byUser[d.User])
		bySeq[seq] = append(bySeq[seq], d)
	}
	late := map[string]bool{}
	for seq, list := range bySeq {
		for part := range slices.Chunk(list, Batch) {
			if err := r.send(ctx, r.job.rows[seq], part, late); err != nil {
				return err
			}
		}
	}
	var woken []storage.Owing
	for _, user := range asleep {
		if !late[user] {
			woken = append(woken, byUser[user]...)
		}
	}
	if len(woken) == 0 {
		return nil
	}
	// Known now, or a crash repeats the page: the time is short, and not the caller's to end.
	record, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTime)
	defer cancel()
	return r.pusher.cfg.Store.Woken(record, r.job.topic, woken)
}

func newest(list []storage.Owing) (seq uint64) {
	for _, o := range list {
		seq = max(seq, o.Seq)
	}
	return seq
}

// asleep picks the users to be woken now. Where nobody can say who is connected, all are given their time to ack.
func (r *round) asleep(ctx context.Context, users []string, owed map[string][]storage.Owing) (list []string) {
	keys := make([]string, len(users))
	for i, user := range users {
		keys[i] = "u:" + user
	}
	online, err := r.pusher.cfg.Presence.Online(ctx, r.job.topic.Session, keys)
	for i, user := range users {
		patient := r.job.rows[newest(owed[user])].Age+time.Since(r.begun) < r.pusher.cfg.After
		if patient && (err != nil || online[i]) {
			r.waits = true
			continue
		}
		list = append(list, user)
	}
	return list
}

// send hands one push to some devices. late gets the users of those that must be tried again.
func (r *round) send(ctx context.Context, row storage.Wake, devices []storage.Device, late map[string]bool) error {
	p := r.pusher
	var tokens []string
	var sent []storage.Device
	for _, d := range devices {
		token, err := p.cfg.Vault.Token(d)
		if err != nil {
			p.log.Error(logFailed, slog.String("session", row.SessionName), slog.Int("devices", 1), slog.Any("error", err))
			p.figures.refused.Add(1)
			continue
		}
		tokens, sent = append(tokens, token), append(sent, d)
	}
	if len(tokens) == 0 {
		return nil
	}
	results, pause, err := p.cfg.Sender.Send(ctx, row.Topic.Session, r.account, Push{
		Session: row.SessionName, Topic: row.Topic.Name, MessageID: row.MessageID, Timestamp: row.Timestamp,
		Data: row.Data, TTL: row.Left - time.Since(r.begun),
	}, tokens)
	if err != nil {
		p.log.Error(logInit, slog.String("session", row.SessionName), slog.Any("error", err))
		p.figures.refused.Add(int64(len(tokens)))
		return nil // the same again would fail the same
	}
	r.pause = max(r.pause, pause)
	var count, failures, timeouts int
	var cause error
	outcomes := map[Outcome]int{}
	defer func() {
		for outcome, devices := range outcomes {
			p.cfg.Pushed(row.Topic, row.MessageID, outcome.String(), devices)
		}
	}()
	for i, result := range results {
		outcomes[result.Outcome]++
		switch result.Outcome {
		case Sent:
			count++
			continue
		case Gone:
			p.figures.gone.Add(1)
			d := sent[i]
			if _, err := p.cfg.Store.DeleteDevice(ctx, d.Session, d.User, d.ID, d.Token); err != nil {
				return err
			}
			p.log.Info(logGone, slog.String("session", row.SessionName), slog.Any("error", result.Err))
		case Later:
			p.figures.later.Add(1)
			r.failed = true
			late[sent[i].User] = true
			if timedOut(result.Err) {
				timeouts++
			}
		case Refused:
			p.figures.refused.Add(1)
		}
		failures++
		cause = result.Err
	}
	p.figures.sent.Add(int64(count))
	p.figures.timedOut.Add(int64(timeouts))
	session := slog.String("session", row.SessionName)
	if count > 0 {
		p.log.Info(logSent, session, slog.Int("devices", count))
	}
	if timeouts > 0 {
		p.log.Warn(logTimeout, session, slog.Int("devices", timeouts))
	}
	if failures > 0 {
		p.log.Warn(logFailed, session, slog.Int("devices", failures), slog.Any("error", cause))
	}
	return nil
}

// finish makes the rows due again for those who are left, or deletes them.
func (r *round) finish(ctx context.Context) error {
	store, t := r.pusher.cfg.Store, r.job.topic
	if !r.waits && !r.failed {
		return store.Done(ctx, t, r.job.seqs)
	}
	for _, seq := range r.job.seqs {
		row := r.job.rows[seq]
		wait := max(r.pusher.cfg.After-row.Age-time.Since(r.begun), 0)
		if r.failed {
			again := max(min(backoffMin<<min(row.Attempts, 10), backoffMax), r.pause)
			if !r.waits || again < wait {
				wait = again
			}
		}
		if err := store.PutOff(ctx, t, []uint64{seq}, wait); err != nil {
			return err
		}
	}
	return nil
}
