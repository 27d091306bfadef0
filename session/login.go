package session

import (
	"context"
	"slices"
	"time"

	"github.com/fastport/fastport/backplane"
	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/storage"
)

// initFrame is what an init frame asks for.
type initFrame struct {
	session, password string
	client, user      string
	version           uint8
}

func initOf(f *protocol.ClientFrame) initFrame {
	return initFrame{session: string(f.SessionName), password: string(f.Password), client: string(f.ClientID),
		user: string(f.UserID), version: uint8(min(max(f.Protocol, protocol.Version1), protocol.Version2))}
}

// login answers init: it checks the password, and lets the connection in.
func (c *Conn) login(ctx context.Context, l initFrame) {
	row, err := c.node.catalog.Authenticate(ctx, l.session, l.password, *c.from)
	if err != nil {
		c.fail(&protocol.ClientFrame{Type: protocol.TypeInit}, err)
		return
	}
	c.enter(ctx, row, l)
}

// enter lets a connection in whose password was right: it takes an older one of the same clientId over, and attaches
// what the subscriber holds. For one that is nobody's it does not wait.
func (c *Conn) enter(ctx context.Context, row storage.Session, l initFrame) {
	f := &protocol.ClientFrame{Type: protocol.TypeInit}
	c.client, c.user, c.version, c.from = l.client, l.user, l.version, nil
	for {
		t := c.node.tenant(row)
		if t == nil {
			c.fail(f, errSessionGone)
			return
		}
		c.tenant = t
		done, rows, resumed, err := c.attach(ctx)
		if err == errForgotten {
			continue // idle until now, and forgotten between two steps
		}
		if err == errPassed {
			c.stop(protocol.CloseTakenOver, "taken over by a newer connection")
			return
		}
		if err != nil {
			c.fail(f, err)
			return
		}
		c.welcome(row, rows, resumed)
		done()
		return
	}
}

var (
	errForgotten = protocol.Errorf(protocol.Unavailable, "try again")
	errPassed    = protocol.Errorf(protocol.Unavailable, "a newer connection of the client went on")
)

// attach makes the connection its subscriber's, and returns what that holds. done ends the subscriber's turn.
func (c *Conn) attach(ctx context.Context) (done func(), rows []storage.Subscription, resumed bool, err error) {
	t := c.tenant
	var key storage.Subscriber
	switch {
	case c.client != "":
		key = clientSubscriber(c.client)
	case c.user != "":
		key = userSubscriber(c.user)
	default:
		if !t.enter(c) {
			return nil, nil, false, errForgotten
		}
		return func() {}, nil, false, nil
	}
	var alone *entry
	if c.client != "" {
		// Before the turn, which whoever takes over needs.
		alone = c.node.enterAlone(ctx, t, key, c.number)
		defer alone.end()
	}
	release, err := c.node.turns.take(ctx, turn{t.id, key})
	if err != nil {
		return nil, nil, false, errStore
	}
	defer func() {
		if err != nil {
			release()
		}
	}()
	s := t.subscriber(key)
	bump, unanswered := true, false
	switch here := t.connsOf(s); {
	case s.client():
		for _, old := range here {
			old.stop(protocol.CloseTakenOver, "taken over by a newer connection")
			old.detach()
			resumed = true
		}
		// Even so: another node may hold a newer one, whose take-over did not get here.
		if alone.heard() {
			held, released := c.node.takeOver(ctx, t, key)
			resumed, unanswered = resumed || held, !released
		}
	case len(here) > 0:
		bump = false
	default:
		bump = !c.node.elsewhere(ctx, t, key)
	}
	if rows, err = c.node.store.Attach(ctx, t.id, key, bump); err != nil {
		return nil, nil, false, errStore
	}
	if unanswered {
		// It is busy with the subscriber, or was not heard: it finds in the rows, which name the newest, that it is over.
		c.node.bus.Tell(ctx, backplane.Command{Kind: backplane.TakeOver, Session: t.id, Name: t.name, Subscriber: string(key), Node: c.node.cfg.NodeID})
	}
	if c.client != "" && c.user != "" && t.wakes.Load() {
		if err = c.own(ctx, key, c.user); err != nil {
			return nil, nil, false, err
		}
	}
	t.reattach(s, rows)
	c.subscriber = s
	if s.client() {
		c.client = s.name() // the same text, and not kept twice
	}
	if !t.enter(c) {
		c.subscriber = nil
		return nil, nil, false, errForgotten
	}
	c.node.presence.write(ctx, t, key)
	if alone.passed(ctx) {
		return nil, nil, false, errPassed
	}
	return release, rows, resumed || len(rows) > 0, nil
}

// welcome answers a good init, and has the held topics flow: to version 1 only once it subscribes.
func (c *Conn) welcome(row storage.Session, rows []storage.Subscription, resumed bool) {
	n := c.node
	answer := &protocol.ServerFrame{Type: protocol.TypeInitResponse, Success: true, SessionName: []byte(row.Name),
		Protocol: int(c.version), Resumed: resumed, ServerTime: n.storeNow().UnixMilli(), KeyCheck: row.KeyCheck,
		Limits: protocol.SessionLimits{MaxPayload: n.cfg.MaxPayload, MaxInFlight: n.cfg.MaxInFlight,
			ChunkSize: protocol.ChunkSize, RetryInterval: row.RetryInterval.Milliseconds(),
			MessageExpiryTime: c.tenant.expiry().Milliseconds()}}
	if c.client != "" {
		answer.ClientID = []byte(c.client)
	}
	if c.user != "" {
		answer.UserID = []byte(c.user)
	}
	for _, r := range rows {
		answer.Topics = append(answer.Topics, r.Topic.Name)
	}
	slices.Sort(answer.Topics)
	c.answer(LaneControl, answer)
	c.ready.Store(true)
	c.counts()
	if c.version < protocol.Version2 {
		if c.subscriber != nil && c.subscriber.client() {
			c.held = make(map[string]int64, len(rows))
			for _, r := range rows {
				c.held[r.Topic.Name] = r.Attach
			}
		}
		return
	}
	for _, r := range rows {
		if t := c.tenant.topic([]byte(r.Topic.Name)); t != nil {
			n.observe(r.Epoch)
			if f := c.follow(t, c.tenant.acquire(c.subscriber, r), r.Head); f != nil {
				t.fence(func(error) { f.open() })
			}
		}
	}
}

// fail answers a bad init and closes behind the answer.
func (c *Conn) fail(f *protocol.ClientFrame, err error) {
	c.node.figures.rejected.Add(1)
	c.refuse(f, err)
	c.stop(protocol.CloseNotAuthenticated, "not authenticated")
}

// takeOverPatience bounds the wait for other nodes.
const takeOverPatience = 2 * time.Second

// takeOver has other nodes let go of a subscriber, if one holds it. It reports whether one did, and whether all of them
// have said so.
func (n *Node) takeOver(ctx context.Context, t *tenant, key storage.Subscriber) (held, released bool) {
	ctx, cancel := context.WithTimeout(ctx, takeOverPatience)
	defer cancel()
	if !n.elsewhere(ctx, t, key) {
		return false, true
	}
	others, err := n.others(ctx)
	if err != nil {
		return true, false
	}
	return true, n.ask(ctx, backplane.Command{Kind: backplane.TakeOver, Session: t.id, Name: t.name, Subscriber: string(key)}, others)()
}

// others are the ids of the other living nodes.
func (n *Node) others(ctx context.Context) (ids []string, err error) {
	nodes, err := n.bus.Nodes(ctx)
	for _, other := range nodes {
		if other.ID != n.cfg.NodeID {
			ids = append(ids, other.ID)
		}
	}
	return ids, err
}

// ask tells all others something. What it returns waits until these have answered that it is done, for
// takeOverPatience at most, and reports whether they have.
func (n *Node) ask(ctx context.Context, c backplane.Command, others []string) (wait func() bool) {
	ctx, cancel := context.WithTimeout(ctx, takeOverPatience)
	token, released := n.releases.expect(others)
	c.Node, c.Token = n.cfg.NodeID, token
	err := n.bus.Tell(ctx, c)
	return func() bool {
		defer cancel()
		defer n.releases.forget(token)
		if err != nil || len(others) == 0 {
			return err == nil
		}
		select {
		case <-released:
			return true
		case <-ctx.Done():
			return false
		}
	}
}

// elsewhere reports whether another node holds a connection of a subscriber; false where nobody can say.
func (n *Node) elsewhere(ctx context.Context, t *tenant, key storage.Subscriber) bool {
	ctx, cancel := context.WithTimeout(ctx, takeOverPatience)
	defer cancel()
	list, err := n.bus.Elsewhere(ctx, t.id, []string{string(key)})
	return err == nil && len(list) == 1 && list[0]
}

// release answers another node's TakeOver: it stops the subscriber here, and says so when its acks are in the store. Who
// waits no more, and sends no token, has written who is the newest: the rows are looked at.
func (n *Node) release(ctx context.Context, cmd *backplane.Command) {
	ctx, cancel := context.WithTimeout(ctx, takeOverPatience)
	defer cancel()
	key := storage.Subscriber(cmd.Subscriber)
	t := n.tenantByID(cmd.Session)
	if cmd.Token == 0 {
		if t != nil {
			if s := t.known(key); s != nil {
				t.look(s)
				n.cursors.soon()
			}
		}
		return
	}
	if t != nil {
		done, err := n.turns.take(ctx, turn{t.id, key})
		if err != nil {
			return
		}
		defer done()
		if s := t.known(key); s != nil {
			if n.leased(n.clock()) {
				t.takenOver(s)
			} else {
				t.look(s) // a late word: the client may have come back since, and the rows know
			}
			if s.unflushed.Load() > 0 && n.cursors.flush(ctx) != nil {
				return
			}
		}
	}
	n.bus.Tell(ctx, backplane.Command{Kind: backplane.Released, Session: cmd.Session, Name: cmd.Name,
		Subscriber: cmd.Subscriber, Node: n.cfg.NodeID, Token: cmd.Token})
}
