package session

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fastport/fastport/backplane"
	bus "github.com/fastport/fastport/backplane/memory"
	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/storage"
	"github.com/fastport/fastport/storage/memory"
)

// bed is a cluster for a test: nodes on one store and one bus, in the bubble's time.
type bed struct {
	*testing.T
	store  *faultyStore
	bus    *bus.Bus
	nodes  []*bedNode
	serial int
}

type bedNode struct {
	*Node
	bed   *bed
	plane *faultyPlane
	stop  context.CancelFunc
	ended chan error
}

// onBed runs a test in a bubble; what it started is stopped at its end.
func onBed(t *testing.T, test func(b *bed)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bed{T: t, store: &faultyStore{Store: memory.Open(storage.Options{}, time.Now)}, bus: bus.NewBus()}
		defer func() {
			b.store.mend()
			for _, n := range b.nodes {
				n.end()
			}
			time.Sleep(time.Second) // what devices have begun
		}()
		test(b)
	})
}

var bedPassword = sync.OnceValue(func() string { return newHasher().hash([]byte("password")) })

// session makes a session named s, with changes to its row.
func (b *bed) session(name string, change ...func(*storage.Session)) storage.Session {
	b.Helper()
	s := storage.Session{ID: fmt.Sprintf("%032x", name), Name: name, PasswordHash: bedPassword(), RetryInterval: 5 * time.Second,
		MaxRetryLimit: 100, MessageExpiry: time.Hour, SubscriptionExpiry: protocol.DefaultSubscriptionExpiry}
	for _, c := range change {
		c(&s)
	}
	if err := b.store.Store.CreateSession(b.Context(), s); err != nil {
		b.Fatal(err)
	}
	return s
}

// node starts a node with the default session's store.
func (b *bed) node(change ...func(*Config)) *bedNode {
	b.Helper()
	id := fmt.Sprintf("n%d", len(b.nodes)+1)
	plane := &faultyPlane{Backplane: b.bus.Node(id)}
	cfg := Config{NodeID: id, Store: b.store, Backplane: plane, Catalog: NewCatalog(CatalogConfig{Store: b.store, Control: plane}),
		Readers: 2}
	for _, c := range change {
		c(&cfg)
	}
	node, err := New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	n := &bedNode{Node: node, bed: b, plane: plane, stop: stop, ended: make(chan error, 1)}
	go func() { n.ended <- node.Run(ctx) }()
	b.nodes = append(b.nodes, n)
	synctest.Wait()
	return n
}

func (n *bedNode) end() {
	n.stop()
	<-n.ended
	n.plane.Close()
	n.ended <- nil
}

// device is a client in the test's hands: it records what it gets, and answers pings unless it is dead.
type device struct {
	bed  *bed
	name string
	peer Peer

	mu     sync.Mutex // guards the following
	frames []protocol.ServerFrame
	raw    []string
	code   protocol.CloseCode
	dead   bool // answers no ping
	full   bool // its outbox takes nothing
	wait   bool
	hasty  bool // hands in more frames in the same read
	pinged int
}

func (d *device) Send(l Lane, p *Packet) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.code != 0 || d.full {
		return false
	}
	var f protocol.ServerFrame
	text := append([]byte(nil), p.Payload()...)
	if err := f.Parse(text); err != nil {
		d.bed.Errorf("%s got a frame that does not parse: %v: %s", d.name, err, text)
	}
	d.frames = append(d.frames, f)
	d.raw = append(d.raw, string(text))
	return true
}

func (d *device) SendAll(l Lane, r *Run, from, to int) int { return sendEach(d, l, r, from, to) }

func (d *device) SendChunk(p *Packet, sent func()) bool { go sent(); return true }

func (d *device) Ping() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pinged++
	if at := time.Now(); !d.dead {
		go func() {
			time.Sleep(time.Millisecond)
			d.peer.Alive(at)
		}()
	}
}

func (d *device) Resume() { d.mu.Lock(); d.wait = false; d.mu.Unlock() }

func (d *device) Close(code protocol.CloseCode, _ string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.code == 0 {
		d.code = code
		go d.peer.Closed()
	}
}

// dial opens a connection without logging in.
func (n *bedNode) dial(name string) *device {
	d := &device{bed: n.bed, name: name}
	d.peer = n.Open(d, netip.MustParseAddr("192.0.2.1"))
	return d
}

// who tells who connects: "c:x" a client, "u:x" a user, "" nobody; with 1 behind it, in version 1.
func (n *bedNode) connect(session, who string, version int) *device {
	n.bed.Helper()
	n.bed.serial++
	d := n.dial(fmt.Sprintf("%s#%d", who, n.bed.serial))
	init := fmt.Sprintf(`{"type":"init","sessionName":%q,"password":"password","protocol":%d`, session, version)
	if id, ok := strings.CutPrefix(who, "c:"); ok {
		init += fmt.Sprintf(`,"clientId":%q`, id)
	}
	if id, ok := strings.CutPrefix(who, "u:"); ok {
		init += fmt.Sprintf(`,"userId":%q`, id)
	}
	d.send(init + "}")
	if f := d.last(protocol.TypeInitResponse); !f.Success {
		n.bed.Fatalf("%s: init_response = %+v", d.name, f)
	}
	return d
}

// send hands in a frame and waits until it, and all that it set off, is done.
func (d *device) send(frame string) {
	d.hand(frame)
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.wait {
		d.bed.Logf("%s: %s is still under way", d.name, frame)
	}
}

// hand hands in a frame.
func (d *device) hand(frame string) {
	d.mu.Lock()
	d.wait = true
	d.mu.Unlock()
	wait := d.peer.Text([]byte(frame))
	if !d.hasty {
		d.peer.Rest()
	}
	if !wait {
		d.Resume()
	}
}

func (d *device) subscribe(topic string) {
	d.bed.Helper()
	d.send(fmt.Sprintf(`{"type":"subscribe","topic":%q}`, topic))
	if f := d.last(protocol.TypeSubscribeResponse); !f.Success || string(f.Topic) != topic {
		d.bed.Fatalf("%s: subscribe_response = %+v", d.name, f)
	}
}

// publish publishes and waits for what comes of it; more is further fields.
func (d *device) publish(topic, id string, more ...string) {
	d.send(publishFrame(topic, id, more...))
}

func publishFrame(topic, id string, more ...string) string {
	return fmt.Sprintf(`{"type":"publish","topic":%q,"messageId":%q,"data":"data of %s","timestamp":1%s}`,
		topic, id, id, strings.Join(append([]string{""}, more...), ","))
}

func (d *device) ack(id string) { d.send(fmt.Sprintf(`{"type":"ack","messageId":%q}`, id)) }

// leave ends the connection from the device's side.
func (d *device) leave() {
	d.mu.Lock()
	d.code = protocol.CloseNormal
	d.mu.Unlock()
	d.peer.Closed()
	synctest.Wait()
}

// last is the newest frame of a type.
func (d *device) last(t protocol.Type) protocol.ServerFrame {
	d.bed.Helper()
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := len(d.frames) - 1; i >= 0; i-- {
		if d.frames[i].Type == t {
			return d.frames[i]
		}
	}
	d.bed.Fatalf("%s got no %v; it got %s", d.name, t, strings.Join(d.raw, "\n"))
	return protocol.ServerFrame{}
}

// has reports whether a frame of a type came.
func (d *device) has(t protocol.Type) bool {
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.ContainsFunc(d.frames, func(f protocol.ServerFrame) bool { return f.Type == t })
}

// got lists the messages so far, as "id", "id!" for a replay, "id+2" for the second retry; it forgets them.
func (d *device) got() string {
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	var list []string
	rest := d.frames[:0]
	for _, f := range d.frames {
		if f.Type != protocol.TypeMessage {
			rest = append(rest, f)
			continue
		}
		text := string(f.MessageID)
		if f.Replay {
			text += "!"
		}
		if f.Retry > 0 {
			text += fmt.Sprintf("+%d", f.Retry)
		}
		list = append(list, text)
	}
	d.frames = rest
	return strings.Join(list, " ")
}

// wantGot fails unless exactly these messages came since the last look.
func (d *device) wantGot(want string) {
	d.bed.Helper()
	if got := d.got(); got != want {
		d.bed.Fatalf("%s got %q, want %q", d.name, got, want)
	}
}

// acks lists the publishes acked so far, as "id" or "id=seq"; it forgets them.
func (d *device) acks() string {
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	var list []string
	rest := d.frames[:0]
	for _, f := range d.frames {
		switch {
		case f.Type == protocol.TypeAckReceived && f.Seq > 0:
			list = append(list, fmt.Sprintf("%s=%d", f.MessageID, f.Seq))
		case f.Type == protocol.TypeAckReceived:
			list = append(list, string(f.MessageID))
		case f.Type == protocol.TypePublishResponse && !f.Success:
			list = append(list, fmt.Sprintf("%s:%s", f.MessageID, f.Code))
		default:
			rest = append(rest, f)
		}
	}
	d.frames = rest
	return strings.Join(list, " ")
}

func (d *device) wantAcks(want string) {
	d.bed.Helper()
	if got := d.acks(); got != want {
		d.bed.Fatalf("%s had %q acked, want %q", d.name, got, want)
	}
}

func (d *device) wantClosed(want protocol.CloseCode) {
	d.bed.Helper()
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.code != want {
		d.bed.Fatalf("%s: close code %d, want %d", d.name, d.code, want)
	}
}

// faultyStore fails, stalls or forgets on demand.
type faultyStore struct {
	storage.Store
	mu            sync.Mutex // guards the following
	broken        error
	stall         chan struct{} // Append waits for it
	appendsUntold int           // so many appends commit and then fail
	sleep         time.Duration
	settled       int
	settling      time.Duration // how long a Settle takes
	reading       time.Duration // how long a read takes
	epoch         string
	asked         []int // sessions in each read of their states
}

func (s *faultyStore) States(ctx context.Context, ids []string) ([]storage.State, error) {
	if err := s.fault(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.asked = append(s.asked, len(ids))
	s.mu.Unlock()
	return s.Store.States(ctx, ids)
}

func (s *faultyStore) fail(err error) { s.mu.Lock(); s.broken = err; s.mu.Unlock() }

// untold has so many appends commit and fail all the same.
func (s *faultyStore) untold(n int) { s.mu.Lock(); s.appendsUntold = n; s.mu.Unlock() }

func (s *faultyStore) fault() error { s.mu.Lock(); defer s.mu.Unlock(); return s.broken }

// hold stalls appends until mend.
func (s *faultyStore) hold() { s.mu.Lock(); s.stall = make(chan struct{}); s.mu.Unlock() }

func (s *faultyStore) mend() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken = nil; s.stall != nil {
		close(s.stall)
		s.stall = nil
	}
}

func (s *faultyStore) Append(ctx context.Context, g []storage.Entry) ([]storage.Appended, string, error) {
	s.mu.Lock()
	stall, sleep, untold := s.stall, s.sleep, s.appendsUntold > 0
	if untold {
		s.appendsUntold--
	}
	s.mu.Unlock()
	time.Sleep(sleep)
	if stall != nil {
		select {
		case <-stall:
		case <-ctx.Done():
			return nil, "", ctx.Err()
		}
	}
	if err := s.fault(); err != nil {
		return nil, "", err
	}
	r, epoch, err := s.Store.Append(ctx, g)
	if untold {
		return nil, "", storage.ErrUnavailable
	}
	return r, s.history(epoch), err
}

func (s *faultyStore) history(epoch string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.epoch + epoch
}

func (s *faultyStore) Read(ctx context.Context, t storage.Topic, after uint64, limit, bytes int) (storage.Page, error) {
	if err := s.fault(); err != nil {
		return storage.Page{}, err
	}
	p, err := s.Store.Read(ctx, t, after, limit, bytes)
	s.mu.Lock()
	reading := s.reading
	s.mu.Unlock()
	time.Sleep(reading)
	p.Epoch = s.history(p.Epoch)
	return p, err
}

func (s *faultyStore) Heads(ctx context.Context, t []storage.Topic) ([]uint64, string, error) {
	if err := s.fault(); err != nil {
		return nil, "", err
	}
	h, epoch, err := s.Store.Heads(ctx, t)
	return h, s.history(epoch), err
}

func (s *faultyStore) Settle(ctx context.Context, b []storage.Settlement) ([]storage.Subscription, error) {
	if err := s.fault(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	settling := s.settling
	s.mu.Unlock()
	time.Sleep(settling)
	s.mu.Lock()
	s.settled++
	b = slices.Clone(b)
	for i := range b {
		if own, ok := strings.CutPrefix(b[i].Epoch, s.epoch); ok {
			b[i].Epoch = own
		} else {
			b[i].Epoch = "another"
		}
	}
	s.mu.Unlock()
	return s.withHistory(s.Store.Settle(ctx, b))
}

// settles counts the calls of Settle.
func (s *faultyStore) settles() int { s.mu.Lock(); defer s.mu.Unlock(); return s.settled }

func (s *faultyStore) withHistory(rows []storage.Subscription, err error) ([]storage.Subscription, error) {
	for i := range rows {
		rows[i].Epoch = s.history(rows[i].Epoch)
	}
	return rows, err
}

func (s *faultyStore) Attach(ctx context.Context, id string, sub storage.Subscriber, bump bool) ([]storage.Subscription, error) {
	if err := s.fault(); err != nil {
		return nil, err
	}
	return s.withHistory(s.Store.Attach(ctx, id, sub, bump))
}

func (s *faultyStore) Subscribe(ctx context.Context, sub storage.Subscriber, t storage.Topic, attach bool) (storage.Subscription, error) {
	if err := s.fault(); err != nil {
		return storage.Subscription{}, err
	}
	row, err := s.Store.Subscribe(ctx, sub, t, attach)
	row.Epoch = s.history(row.Epoch)
	return row, err
}

// faultyPlane loses what a test tells it to lose on its way to this node.
type faultyPlane struct {
	*bus.Backplane
	mu        sync.Mutex // guards the following
	receiver  backplane.Receiver
	loseCopy  func(*backplane.Copy) bool
	loseNote  func(*backplane.Note) bool
	loseHeads bool
	deaf      bool // nothing arrives
	fenceless bool // joins and fences are not answered
	muteNotes bool // notes are not answered
	mute      bool // announces and notes are not answered
	frozen    bool // what is no routing is not answered
	age       time.Duration
	leaseless bool          // leases cannot be asked for
	slow      time.Duration // how long an answer takes
}

func (p *faultyPlane) unleased() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.leaseless }

func (p *faultyPlane) Claim(ctx context.Context, key, value string, ttl time.Duration) (string, error) {
	if p.unleased() || p.answers(ctx) != nil {
		return "", backplane.ErrUnavailable
	}
	return p.Backplane.Claim(ctx, key, value, ttl)
}

func (p *faultyPlane) Holder(ctx context.Context, key string) (string, error) {
	if p.unleased() || p.answers(ctx) != nil {
		return "", backplane.ErrUnavailable
	}
	return p.Backplane.Holder(ctx, key)
}

func (p *faultyPlane) Listen(r backplane.Receiver) { p.receiver = r; p.Backplane.Listen(p) }

func (p *faultyPlane) set(change func(p *faultyPlane)) { p.mu.Lock(); change(p); p.mu.Unlock() }

func (p *faultyPlane) Announce(c *backplane.Copy, more bool, done func(error)) {
	p.mu.Lock()
	mute := p.mute
	p.mu.Unlock()
	if mute {
		done = func(error) {}
	}
	p.Backplane.Announce(c, more, done)
}

func (p *faultyPlane) Settle(n *backplane.Note, done func(error)) {
	p.mu.Lock()
	mute := p.mute || p.muteNotes
	p.mu.Unlock()
	if mute {
		done = func(error) {}
	}
	p.Backplane.Settle(n, done)
}

// answers waits with the caller while what carries the backplane does not answer.
func (p *faultyPlane) answers(ctx context.Context) error {
	p.mu.Lock()
	frozen, slow := p.frozen, p.slow
	p.mu.Unlock()
	time.Sleep(slow)
	if frozen {
		<-ctx.Done()
		return backplane.ErrUnavailable
	}
	return nil
}

func (p *faultyPlane) Tell(ctx context.Context, c backplane.Command) error {
	if err := p.answers(ctx); err != nil {
		return err
	}
	return p.Backplane.Tell(ctx, c)
}

func (p *faultyPlane) SetPresence(ctx context.Context, session, user string, connections int) error {
	if err := p.answers(ctx); err != nil {
		return err
	}
	return p.Backplane.SetPresence(ctx, session, user, connections)
}

func (p *faultyPlane) Elsewhere(ctx context.Context, session string, users []string) ([]bool, error) {
	if err := p.answers(ctx); err != nil {
		return nil, err
	}
	return p.Backplane.Elsewhere(ctx, session, users)
}

func (p *faultyPlane) Heartbeat(ctx context.Context, n backplane.Node) error {
	if err := p.answers(ctx); err != nil {
		return err
	}
	return p.Backplane.Heartbeat(ctx, n)
}

func (p *faultyPlane) Nodes(ctx context.Context) ([]backplane.Node, error) {
	if err := p.answers(ctx); err != nil {
		return nil, err
	}
	return p.Backplane.Nodes(ctx)
}

func (p *faultyPlane) lost() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.fenceless }

func (p *faultyPlane) Join(ch backplane.Channel, done func(error)) {
	if !p.lost() {
		p.Backplane.Join(ch, done)
	}
}

func (p *faultyPlane) Fence(ch backplane.Channel, at func(error)) {
	if !p.lost() {
		p.Backplane.Fence(ch, at)
	}
}

func (p *faultyPlane) Command(c *backplane.Command) {
	p.mu.Lock()
	lost := p.deaf
	p.mu.Unlock()
	if !lost {
		p.receiver.Command(c)
	}
}

func (p *faultyPlane) Copies(cs []*backplane.Copy) {
	var left []*backplane.Copy
	p.mu.Lock()
	for _, c := range cs {
		if p.deaf || p.loseCopy != nil && p.loseCopy(c) {
			continue
		}
		if p.age != 0 {
			old := *c
			old.Issued = old.Issued.Add(-p.age)
			c = &old
		}
		left = append(left, c)
	}
	p.mu.Unlock()
	if len(left) > 0 {
		p.receiver.Copies(left)
	}
}

func (p *faultyPlane) Note(n *backplane.Note) {
	p.mu.Lock()
	lost := p.deaf || p.loseNote != nil && p.loseNote(n)
	p.mu.Unlock()
	if !lost {
		p.receiver.Note(n)
	}
}

func (p *faultyPlane) Heads(h *backplane.Heads) {
	p.mu.Lock()
	lost := p.deaf || p.loseHeads
	p.mu.Unlock()
	if !lost {
		p.receiver.Heads(h)
	}
}

func (p *faultyPlane) Link(up bool) { p.receiver.Link(up) }
