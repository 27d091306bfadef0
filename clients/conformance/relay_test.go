package conformance

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"net"
	"net/url"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"github.com/fastport/fastport/internal/daemon"
)

// relay is the network between the clients of one scenario and its nodes. It knows whose a connection is by its URL, and does with the
// frames what the scenario says, and what a fault says.
type relay struct {
	ln    net.Listener
	fault fault
	wg    sync.WaitGroup

	mu     sync.Mutex // guards the following, and is held while a frame is judged
	route  string     // where new connections go: a node's host:port
	links  map[*link]struct{}
	off    map[string]bool    // clients without a network
	cutAt  map[string]int     // clients that are cut when so many chunks have passed
	chunks map[string]int     // how many have, from and to a client
	lose   map[string]string  // clients, and the type of the next frame that does not reach them
	late   map[string]*late   // clients whose login is held
	sent   map[string][]frame // what clients sent
	came   map[string]frame   // client, messageId: the message as it last came
	ended  bool
}

// link is one connection of a client.
type link struct {
	r        *relay
	client   string
	down, up *end
	held     bool // its login is: the server shall not see it go
}

// late is a login that is held until the client's next one is in.
type late struct {
	link  *link
	login frame
}

func newRelay(route string, f fault) (*relay, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &relay{
		ln: ln, fault: f, route: route, links: make(map[*link]struct{}), off: make(map[string]bool), cutAt: make(map[string]int),
		chunks: make(map[string]int), lose: make(map[string]string), late: make(map[string]*late), sent: make(map[string][]frame),
		came: make(map[string]frame),
	}
	r.wg.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			r.wg.Go(func() { r.serve(nc) })
		}
	})
	return r, nil
}

// url is where a client connects.
func (r *relay) url(client string) string { return "ws://" + r.ln.Addr().String() + "/ws?as=" + client }

func (r *relay) close() {
	r.mu.Lock()
	r.ended = true
	links := maps.Clone(r.links)
	r.mu.Unlock()
	r.ln.Close()
	for l := range links {
		l.cut()
	}
	r.wg.Wait()
}

// serve takes a client's connection and makes the one to its node.
func (r *relay) serve(nc net.Conn) {
	defer nc.Close()
	l := &link{r: r}
	route := ""
	upgrader := ws.Upgrader{OnRequest: func(uri []byte) error {
		u, err := url.ParseRequestURI(string(uri))
		if err != nil {
			return err
		}
		l.client = u.Query().Get("as")
		r.mu.Lock()
		defer r.mu.Unlock()
		if route = r.route; r.off[l.client] || r.ended {
			return ws.RejectConnectionError(ws.RejectionStatus(503), ws.RejectionReason("no network"))
		}
		return nil
	}}
	nc.SetDeadline(time.Now().Add(daemon.Patience))
	if _, err := upgrader.Upgrade(nc); err != nil {
		return
	}
	nc.SetDeadline(time.Time{})
	ctx, cancel := context.WithTimeout(context.Background(), daemon.Patience)
	defer cancel()
	up, br, _, err := ws.Dial(ctx, "ws://"+route+"/ws")
	if err != nil {
		return
	}
	defer up.Close()
	if br == nil {
		br = bufio.NewReader(up)
	}
	l.down, l.up = &end{nc: nc, br: bufio.NewReader(nc)}, &end{nc: up, br: br, server: true}
	r.mu.Lock()
	if r.off[l.client] || r.ended { // since it was asked
		r.mu.Unlock()
		return
	}
	r.links[l] = struct{}{}
	r.mu.Unlock()
	l.run()
	r.mu.Lock()
	delete(r.links, l)
	r.mu.Unlock()
}

// run passes frames on until both sides have ended.
func (l *link) run() {
	var wg sync.WaitGroup
	wg.Go(func() {
		l.pump(l.down, l.up, l.r.toServer)
		l.r.mu.Lock()
		held := l.held
		l.r.mu.Unlock()
		if !held {
			l.last(l.up)
		}
	})
	wg.Go(func() {
		l.pump(l.up, l.down, l.r.toClient)
		l.last(l.down)
	})
	wg.Wait()
}

// last ends the direction to a side, and gives the other direction a moment: closing both at once could reset the connection and eat
// what is under way, a close code perhaps.
func (l *link) last(to *end) {
	to.bye()
	for _, e := range []*end{l.down, l.up} {
		e.nc.SetReadDeadline(time.Now().Add(5 * time.Second))
	}
}

// pump passes frames on until the connection ends.
func (l *link) pump(from, to *end, judge func(*link, frame) (client, server []frame)) {
	var partial ws.Frame
	for {
		f, err := from.read(&partial)
		if err != nil {
			return
		}
		if !from.server && l.isHeld() {
			continue // what is behind the login waits for it, and nobody will miss it
		}
		switch f.Header.OpCode {
		case ws.OpText:
			var text frame
			if err := json.Unmarshal(f.Payload, &text); err != nil {
				return
			}
			client, server := judge(l, text)
			for _, f := range client {
				err = cmp.Or(err, l.down.say(f))
			}
			for _, f := range server {
				err = cmp.Or(err, l.up.say(f))
			}
		case ws.OpBinary:
			if l.r.chunk(l) {
				l.r.cut(l.client)
				return
			}
			err = to.write(ws.OpBinary, f.Payload)
		case ws.OpClose:
			if code, _ := ws.ParseCloseFrameData(f.Payload); from.server && l.r.fault.close != nil && l.r.fault.close(int(code)) {
				l.cut()
				return
			}
			err = to.write(ws.OpClose, f.Payload)
		default:
			err = to.write(f.Header.OpCode, f.Payload)
		}
		if err != nil && !l.isHeld() {
			return
		}
	}
}

func (l *link) isHeld() bool {
	l.r.mu.Lock()
	defer l.r.mu.Unlock()
	return l.held
}

func (l *link) cut() {
	l.down.nc.Close()
	l.up.nc.Close()
}
