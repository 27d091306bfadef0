package rig

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/fastport/fastport/internal/daemon"
)

// Direction is one of the two ways through a Link.
type Direction int

// The two ways, as a node sees them.
const (
	ToServer Direction = iota
	ToNode
)

// proxy passes bytes between a node and one server, or does not, as it is told.
type proxy struct {
	addr, target string
	pumps        sync.WaitGroup

	mu      sync.Mutex // guards the following
	ports   ports      // rewritten in what the server says; nil: nothing is
	ln      net.Listener
	stalled [2]bool       // by Direction: nothing passes, and nothing is lost
	changed chan struct{} // closed when stalled changes
	pairs   map[*pair]struct{}
	closed  bool
}

// pair is a connection of the node and the one to the server that belongs to it.
type pair struct {
	node, server net.Conn
	gone         chan struct{} // closed with them
	once         sync.Once

	// Guarded by the proxy's mu.
	subscribes bool // the node has asked for what Redis publishes
	deaf       bool // what the server says is thrown away
}

func newProxy(target string) (*proxy, error) {
	addr, err := daemon.FreeAddr()
	if err != nil {
		return nil, err
	}
	p := &proxy{addr: addr, target: target, changed: make(chan struct{}), pairs: map[*pair]struct{}{}}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p, p.listen()
}

// listen takes connections; the caller holds mu.
func (p *proxy) listen() error {
	if p.ln != nil || p.closed {
		return nil
	}
	ln, err := net.Listen("tcp", p.addr)
	for until := time.Now().Add(5 * time.Second); err != nil && time.Now().Before(until); {
		time.Sleep(10 * time.Millisecond) // somebody else's for a moment
		ln, err = net.Listen("tcp", p.addr)
	}
	if err != nil {
		return fmt.Errorf("rig: proxy: %w", err)
	}
	p.ln = ln
	p.pumps.Go(func() { p.accept(ln) })
	return nil
}

func (p *proxy) accept(ln net.Listener) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		p.pumps.Go(func() { p.join(conn) })
	}
}

// join brings a node's connection to the server, and stays with it.
func (p *proxy) join(node net.Conn) {
	server, err := net.DialTimeout("tcp", p.target, 5*time.Second)
	if err != nil {
		reset(node)
		return
	}
	c := &pair{node: node, server: server, gone: make(chan struct{})}
	p.mu.Lock()
	if p.ln == nil { // cut meanwhile
		p.mu.Unlock()
		c.end()
		return
	}
	p.pairs[c] = struct{}{}
	p.mu.Unlock()
	back := make(chan struct{})
	go func() { defer close(back); p.pump(c, ToNode, c.server, c.node) }()
	p.pump(c, ToServer, c.node, c.server)
	<-back
	c.end()
	p.mu.Lock()
	delete(p.pairs, c)
	p.mu.Unlock()
}

// pump passes one direction of c until it ends.
func (p *proxy) pump(c *pair, d Direction, from, to net.Conn) {
	buffer := make([]byte, 32<<10)
	held := 0 // bytes at the front of buffer that wait for what follows
	for {
		n, err := from.Read(buffer[held:])
		all := buffer[:held+n]
		held = 0
		if n > 0 {
			if d == ToNode && err == nil {
				held = p.rewritten().rewrite(all)
			}
			if !p.pass(c, d, all[:len(all)-held], to) {
				c.end()
				return
			}
			copy(buffer, all[len(all)-held:])
		}
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // the end of this direction, which the other may outlive
			if !p.wait(c, d) {
				return
			}
			if half, ok := to.(*net.TCPConn); !ok || half.CloseWrite() != nil {
				c.end()
			}
			return
		}
	}
}

// rewrite has ports rewritten in what the server says.
func (p *proxy) rewrite(m ports) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ports = m
}

func (p *proxy) rewritten() ports {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ports
}

// pass writes b once that is allowed; false when the connection is over.
func (p *proxy) pass(c *pair, d Direction, b []byte, to net.Conn) bool {
	if !p.wait(c, d) {
		return false
	}
	p.mu.Lock()
	if d == ToServer && !c.subscribes {
		c.subscribes = bytes.Contains(bytes.ToLower(b), []byte("subscribe\r\n"))
	}
	swallow := c.deaf && d == ToNode
	p.mu.Unlock()
	if swallow {
		return true
	}
	_, err := to.Write(b)
	return err == nil
}

// wait waits while the direction is stalled; false when the connection is over.
func (p *proxy) wait(c *pair, d Direction) bool {
	for {
		p.mu.Lock()
		stalled, changed := p.stalled[d], p.changed
		p.mu.Unlock()
		if !stalled {
			return true
		}
		select {
		case <-changed:
		case <-c.gone:
			return false
		}
	}
}

// cut ends every connection and refuses new ones.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ln != nil {
		p.ln.Close()
		p.ln = nil
	}
	for c := range p.pairs {
		c.end()
	}
}

func (p *proxy) stall(d Direction) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stalled[d] = true
	p.change()
}

// deafen has what servers say on the connections of this moment thrown away.
func (p *proxy) deafen(subscriptionsOnly bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.pairs {
		c.deaf = c.subscribes || !subscriptionsOnly
	}
}

// heal undoes all of it. A connection that has lost bytes ends.
func (p *proxy) heal() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.pairs {
		if c.deaf {
			c.end()
		}
	}
	p.stalled = [2]bool{}
	p.change()
	return p.listen()
}

func (p *proxy) change() {
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *proxy) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.cut()
	p.pumps.Wait()
}

// end closes both connections as a broken network does: nobody is told in good order.
func (c *pair) end() {
	c.once.Do(func() {
		close(c.gone)
		reset(c.node)
		reset(c.server)
	})
}

func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	conn.Close()
}
