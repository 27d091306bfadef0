package client

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"

	"github.com/fastport/fastport/protocol"
)

const (
	// maxControl bounds the small frames that wait for the writer. A socket that takes none for so long is dead.
	maxControl = 1024
	// batchBytes is about how much one write takes of messages, and of chunks.
	batchBytes = 128 << 10
	// keepBuffer is the largest buffer that is kept for the next frame.
	keepBuffer   = 1 << 20
	writeTimeout = 30 * time.Second
	tick         = time.Second
)

// conn is one WebSocket. A goroutine reads and hands on what comes; another writes what there is to write, pulled from
// where it waits, so that nothing is sealed or copied before it can go out.
type conn struct {
	c     *Client
	nc    net.Conn
	login login
	born  time.Time

	// Owned by the reader.
	br    *bufio.Reader
	in    []byte
	frame protocol.ServerFrame

	// Owned by the writer.
	out     []byte
	scratch []byte

	wakeup  chan struct{} // the writer has something to do
	down    chan struct{} // closed once; err is set before
	err     error
	ended   sync.Once
	drained chan struct{} // closed when all that was read has been handed on
	heard   atomic.Int64  // when something last came, in Unix nanoseconds
	move    chan struct{} // the server asks for a new connection
	moving  atomic.Bool   // one may have logged in, which takes this one over

	// settled is closed when the subscriptions are made again.
	settled     chan struct{}
	settledOnce sync.Once

	acks     *ackQueue // those that go over this connection besides the current one
	held     holding
	replayed atomic.Int64 // when something last came that was read back from the store, while it holds

	feeding sync.Mutex // held while the writer pulls; guards the following
	fed     bool       // false: another connection gets what waits
	paused  bool       // publishes wait

	mu       sync.Mutex // guards the following
	control  [][]byte   // frames to go out first
	flushers []chan struct{}
	shutting bool
}

func newConn(c *Client, nc net.Conn, br *bufio.Reader) *conn {
	k := &conn{
		c: c, nc: nc, br: br, born: time.Now(),
		wakeup: make(chan struct{}, 1), down: make(chan struct{}), move: make(chan struct{}, 1), settled: make(chan struct{}),
		acks: newAckQueue(), drained: make(chan struct{}),
	}
	k.heard.Store(time.Now().UnixNano())
	return k
}

// start begins to read and write.
func (k *conn) start() {
	k.c.wg.Go(k.read)
	k.c.wg.Go(k.write)
}

// fail ends the connection. The first call's err counts.
func (k *conn) fail(err error) {
	k.ended.Do(func() {
		k.err = err
		close(k.down)
		k.nc.Close()
	})
}

func (k *conn) isDown() bool {
	select {
	case <-k.down:
		return true
	default:
		return false
	}
}

// wake tells the writer to look. It never blocks.
func (k *conn) wake() {
	select {
	case k.wakeup <- struct{}{}:
	default:
	}
}

// feed (true) lets the writer pull what waits; after feed(false) has returned, it pulls nothing more.
func (k *conn) feed(on bool) {
	k.feeding.Lock()
	k.fed = on
	k.feeding.Unlock()
	k.wake()
}

// pause (true) keeps publishes back; after it has returned, none goes out.
func (k *conn) pause(on bool) {
	k.feeding.Lock()
	k.paused = on
	k.feeding.Unlock()
	k.wake()
}

// send queues a frame ahead of everything else.
func (k *conn) send(f *protocol.ClientFrame) {
	k.queue(appendFrame(nil, ws.OpText, f.Append(nil)))
}

func (k *conn) queue(frame []byte) {
	k.mu.Lock()
	full := len(k.control) >= maxControl
	if !full && !k.shutting {
		k.control = append(k.control, frame)
	}
	k.mu.Unlock()
	if full {
		k.fail(errors.New("client: the socket takes nothing"))
		return
	}
	k.wake()
}

// flush waits until all that waited has been written. False: the connection is down, or stop is closed.
func (k *conn) flush(stop <-chan struct{}) bool {
	done := make(chan struct{})
	k.mu.Lock()
	k.flushers = append(k.flushers, done)
	k.mu.Unlock()
	k.wake()
	select {
	case <-done:
		return true
	case <-k.down:
	case <-stop:
	}
	return false
}

// shutdown says goodbye and waits a moment for the answer.
func (k *conn) shutdown(stop <-chan struct{}) {
	k.mu.Lock()
	// Together: the answer may come before anything else is done here, and must be known for one.
	k.control = append(k.control, appendFrame(nil, ws.OpClose, ws.NewCloseFrameBody(ws.StatusCode(protocol.CloseNormal), "")))
	k.shutting = true
	k.mu.Unlock()
	k.wake()
	t := time.NewTimer(time.Second)
	defer t.Stop()
	select {
	case <-k.down:
	case <-t.C:
	case <-stop:
	}
	k.fail(ErrClosed)
}

func (k *conn) write() {
	ticker := time.NewTicker(min(tick, k.c.o.PingInterval, k.c.o.AckTimeout))
	defer ticker.Stop()
	var pinged int64 // what heard was when a ping was sent
	var pingedAt time.Time
	for {
		select {
		case <-k.down:
			return
		case <-ticker.C:
			heard := k.heard.Load()
			switch silent := time.Since(time.Unix(0, heard)); {
			case pinged == heard && time.Since(pingedAt) > k.c.o.PongTimeout:
				k.fail(ErrSilent)
				return
			case pinged != heard && silent > k.c.o.PingInterval:
				pinged, pingedAt = heard, time.Now()
				k.send(&protocol.ClientFrame{Type: protocol.TypePing, QoS: 1})
			}
			k.c.tick(k)
		case <-k.wakeup:
		}
		for k.fill() {
			k.nc.SetWriteDeadline(time.Now().Add(writeTimeout))
			if _, err := k.nc.Write(k.out); err != nil {
				k.fail(fmt.Errorf("client: write: %w", err))
				return
			}
			if cap(k.out) > keepBuffer {
				k.out = nil
			}
			k.out = k.out[:0]
		}
	}
}

// fill pulls what is to be written next: small frames, then acks, messages, files. False: there is nothing.
func (k *conn) fill() bool {
	k.mu.Lock()
	control, flushers := k.control, k.flushers
	k.control = nil
	k.mu.Unlock()
	for _, frame := range control {
		k.out = append(k.out, frame...)
	}
	k.feeding.Lock()
	if k.fed {
		k.c.requests.pull(k)
		k.c.acks.pull(k)
		if !k.paused {
			k.c.outbox.pull(k)
		}
	}
	k.feeding.Unlock()
	k.acks.pull(k)
	k.c.receiving.pull(k)
	k.c.sending.pull(k)
	if len(k.out) > 0 {
		return true
	}
	if len(flushers) > 0 {
		k.mu.Lock()
		k.flushers = k.flushers[len(flushers):]
		k.mu.Unlock()
		for _, done := range flushers {
			close(done)
		}
	}
	return false
}

// text adds a frame to what is written next. For the writer alone.
func (k *conn) text(f *protocol.ClientFrame) {
	k.scratch = f.Append(k.scratch[:0])
	k.out = appendFrame(k.out, ws.OpText, k.scratch)
	if cap(k.scratch) > keepBuffer {
		k.scratch = nil
	}
}

func (k *conn) read() {
	defer close(k.drained)
	for {
		op, payload, err := k.next()
		if err != nil {
			k.fail(err)
			return
		}
		if op == ws.OpBinary {
			if chunk, err := protocol.ParseChunk(payload); err == nil {
				k.c.receiving.chunk(k, chunk)
			}
			continue
		}
		if err := k.frame.Parse(payload); err != nil {
			k.c.log.Warn("a frame of the server is not understood", "error", err)
			continue
		}
		k.c.dispatch(k, &k.frame)
	}
}

// next reads the next whole data frame, and answers control frames on the way. The payload is valid until the next call.
func (k *conn) next() (op ws.OpCode, payload []byte, err error) {
	if cap(k.in) > keepBuffer {
		k.in = nil
	}
	k.in = k.in[:0]
	limit := int64(max(protocol.MaxPayload, k.login.limits.MaxPayload)) + 64<<10 // what the server adds is less
	for {
		h, err := ws.ReadHeader(k.br)
		if err != nil {
			return 0, nil, fmt.Errorf("client: read: %w", err)
		}
		k.heard.Store(time.Now().UnixNano())
		switch {
		case h.Rsv != 0 || h.Masked || h.OpCode.IsControl() && (!h.Fin || h.Length > ws.MaxControlFramePayloadSize) || h.OpCode.IsReserved():
			return 0, nil, errors.New("client: read: not a WebSocket frame of a server")
		case h.OpCode.IsControl():
			if err := k.controlFrame(h); err != nil {
				return 0, nil, err
			}
			continue
		case h.OpCode == ws.OpContinuation && op == 0 || h.OpCode != ws.OpContinuation && op != 0:
			return 0, nil, errors.New("client: read: fragments out of order")
		case h.Length > limit-int64(len(k.in)):
			return 0, nil, fmt.Errorf("client: read: a frame of more than %d bytes", limit)
		}
		if h.OpCode != ws.OpContinuation {
			op = h.OpCode
		}
		start := len(k.in)
		k.in = grow(k.in, int(h.Length))
		if _, err := io.ReadFull(k.br, k.in[start:]); err != nil {
			return 0, nil, fmt.Errorf("client: read: %w", err)
		}
		k.heard.Store(time.Now().UnixNano())
		if h.Fin {
			return op, k.in, nil
		}
	}
}

func (k *conn) controlFrame(h ws.Header) error {
	var body [ws.MaxControlFramePayloadSize]byte
	payload := body[:h.Length]
	if _, err := io.ReadFull(k.br, payload); err != nil {
		return fmt.Errorf("client: read: %w", err)
	}
	switch h.OpCode {
	case ws.OpPing:
		k.queue(appendFrame(nil, ws.OpPong, payload))
	case ws.OpClose:
		code, reason := ws.ParseCloseFrameData(payload)
		if k.isShutting() {
			return ErrClosed
		}
		// A courtesy: the server closes either way. A write is whole, also beside the writer's.
		k.nc.SetWriteDeadline(time.Now().Add(time.Second))
		k.nc.Write(appendFrame(nil, ws.OpClose, payload[:min(2, len(payload))]))
		return &CloseError{Code: protocol.CloseCode(code), Reason: reason}
	}
	return nil
}

func (k *conn) isShutting() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.shutting
}

func (k *conn) settle() { k.settledOnce.Do(func() { close(k.settled) }) }

func grow(b []byte, n int) []byte {
	if need := len(b) + n; need > cap(b) {
		bigger := make([]byte, len(b), max(need, 2*cap(b), 4<<10))
		copy(bigger, b)
		b = bigger
	}
	return b[:len(b)+n]
}

// appendFrame appends a whole masked frame.
func appendFrame(dst []byte, op ws.OpCode, payload []byte) []byte {
	const fin, masked = 0x80, 0x80
	dst = append(dst, fin|byte(op))
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, masked|byte(n))
	case n < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, masked|126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, masked|127), uint64(n))
	}
	var mask [4]byte
	binary.LittleEndian.PutUint32(mask[:], rand.Uint32())
	dst = append(dst, mask[:]...)
	start := len(dst)
	dst = append(dst, payload...)
	ws.Cipher(dst[start:], mask, 0)
	return dst
}
