package session

import (
	"context"
	"log/slog"
	"time"

	"github.com/fastport/fastport/protocol"
)

// open begins a file in a cluster, or hands p to the file's home as its sender. It waits for other nodes. again: p does
// not know of it, its node asks once more because the home was lost.
func (ts *openFiles) open(ctx context.Context, p *filePeer, id fileID, f *protocol.ClientFrame, again bool) {
	t := newTransfer(ts, p, id, f)
	t.starting, t.turnBack = true, again
	if !ts.enter(t, p, again) {
		ts.disown(p, id)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	heir := false
	for {
		held, err := ts.fleet.claim(ctx, t, homeLease)
		if err != nil {
			ts.giveUp(t, protocol.Unavailable, "the cluster cannot be asked for the file: try again", again)
			return
		}
		if held == ts.fleet.lease(t.print) {
			break
		}
		home, print, ok := parseLease(held)
		if !ok || print != t.print || home == ts.fleet.name {
			ts.giveUp(t, protocol.Conflict, "this fileId is another file's: take a new UUID", false)
			return
		}
		address, err := ts.fleet.address(ctx, home)
		if err != nil {
			ts.giveUp(t, protocol.Unavailable, "the cluster cannot be asked for the file: try again", again)
			return
		}
		if address != "" {
			if p := t.vacate(); p != nil {
				ts.lend(p, id, f, home, address, again)
			}
			return
		}
		heir = true
		ts.fleet.release(ctx, t.session, id, held)
	}
	ts.disown(p, id)
	if heir {
		t.inherit()
		return
	}
	peers, err := ts.gather(ctx, t)
	if err != nil {
		ts.giveUp(t, protocol.Unavailable, "the cluster cannot be asked for the file's receivers: try again", again)
		return
	}
	t.begin(peers)
}

// giveUp ends a file that has not begun. quiet: nobody has to know.
func (ts *openFiles) giveUp(t *transfer, code protocol.Code, why string, quiet bool) {
	if p := t.vacate(); p != nil && !quiet {
		ts.disown(p, t.id)
		ts.refuse(p, t.id, t.text, code, why)
	}
}

// gather asks all other nodes for who has t's topic there.
func (ts *openFiles) gather(ctx context.Context, t *transfer) ([]*filePeer, error) {
	nodes, err := ts.fleet.others(ctx)
	if err != nil {
		return nil, err
	}
	patience := time.NewTimer(askPatience)
	defer patience.Stop()
	type asked struct {
		v       *visitor
		counted <-chan struct{}
	}
	var all []asked
	for name, address := range nodes {
		v, counted := ts.invite(t, name, address)
		all = append(all, asked{v, counted})
	}
	var peers []*filePeer
	for _, a := range all {
		select {
		case <-a.counted:
		case <-patience.C:
			patience.Reset(0)
			ts.fleet.log.Warn("a node did not say in time who receives a file; whom it names later joins late", slog.String("peer", a.v.guest))
		case <-ctx.Done():
		}
		peers = append(peers, a.v.named()...)
	}
	return peers, nil
}

// vacate takes back a file that has not begun, and returns who sends it now.
func (t *transfer) vacate() *filePeer {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		return nil
	}
	p := t.sender
	t.over = true
	t.ts.remove(t, nil)
	t.farewell()
	return p
}

// begin starts the file with its receivers at other nodes and here.
func (t *transfer) begin(peers []*filePeer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		return
	}
	t.starting = false
	if here := t.ts.receivers(t.session, t.topic); t.start(append(peers, here...)) {
		return
	}
	// Nothing was sent: the id is free.
	session, id, held := t.session, t.id, t.ts.fleet.lease(t.print)
	t.ts.fleet.spawn(func(ctx context.Context) { t.ts.fleet.release(ctx, session, id, held) })
}

// inherit goes on with a file whose home is gone: the old receivers come by themselves.
func (t *transfer) inherit() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.starting, t.unanswered, t.heirUntil = false, true, time.Now().Add(protocol.ReceiverStall)
}
