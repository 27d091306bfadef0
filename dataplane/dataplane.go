// Package dataplane carries files between the nodes of a cluster.
//
// A link is one file's, between two nodes: a stream of an HTTP/2 connection under TLS 1.3, which only holders of the
// cluster's secret complete. Frames go both ways on it, each behind its length, as session.Links asks for; what they
// say is package session's business. One connection carries all links that a node has opened to another.
//
//	session.Link.Send > queue (bounded) > HTTP/2 stream > the other node's session.LinkEnd.Frame
package dataplane

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"github.com/fastport/fastport/session"
)

// Limits of the plane.
const (
	maxFrame    = 128 << 10 // bytes: a chunk and its header are 65,609
	maxQueue    = 8 << 20   // bytes waiting for one link; a file's window is 4 MiB
	maxStreams  = 4096      // links that one connection carries; a node that wants more opens another
	maxConns    = 1024      // that others have open to this node
	maxHeader   = 4 << 10   // bytes of a link's request
	dialTimeout = 3 * time.Second
	pingAfter   = 5 * time.Second // of silence, so that no link is opened on a dead connection
	pingTimeout = 3 * time.Second
	idleTimeout = 2 * time.Minute
	lingerTime  = 5 * time.Second // for a closed link to send what is queued

	path = "/fastport/files/1"
)

// Plane is a node's end of it.
type Plane struct {
	log    *slog.Logger
	server *http.Server
	client *http.Transport
	ctx    context.Context // ends with Close
	cancel context.CancelFunc

	mu     sync.Mutex // guards the following
	accept func(session.Link) session.LinkEnd
	closed bool
	links  sync.WaitGroup // begun only while not closed
}

var _ session.Links = (*Plane)(nil)

// New makes a plane whose nodes know each other by key. Serve takes links; Open opens them at once.
func New(key Key, log *slog.Logger) *Plane {
	p := &Plane{log: log}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	flow := &http.HTTP2Config{
		MaxConcurrentStreams: maxStreams, MaxReadFrameSize: 64 << 10,
		MaxReceiveBufferPerConnection: 8 << 20, MaxReceiveBufferPerStream: 1 << 20,
		SendPingTimeout: pingAfter, PingTimeout: pingTimeout,
	}
	p.server = &http.Server{
		Handler: http.HandlerFunc(p.serve), TLSConfig: key.server(), Protocols: protocols, HTTP2: flow,
		ReadHeaderTimeout: dialTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	p.client = &http.Transport{
		DialContext:     (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSClientConfig: key.client(), TLSHandshakeTimeout: dialTimeout, Protocols: protocols, HTTP2: flow,
		IdleConnTimeout: idleTimeout, DisableCompression: true, MaxResponseHeaderBytes: maxHeader,
	}
	return p
}

// Listen names who takes the links that others open. Until then they are refused.
func (p *Plane) Listen(accept func(session.Link) session.LinkEnd) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.accept = accept
}

// Serve takes other nodes' connections until Close.
func (p *Plane) Serve(ln net.Listener) error {
	if err := p.server.ServeTLS(limited(ln, maxConns), "", ""); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Close ends every link and connection. Idempotent.
func (p *Plane) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.cancel()
	err := p.server.Close()
	p.links.Wait()
	p.client.CloseIdleConnections()
	return err
}

// hold has Close wait for a link. False: the plane is closed.
func (p *Plane) hold() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.links.Add(1)
	}
	return !p.closed
}

// Open opens a link to the node at address.
func (p *Plane) Open(address string, end session.LinkEnd) session.Link {
	l := newLink(p.ctx)
	if !p.hold() {
		l.abort()
		go end.Lost(false) // Open never calls back
		return l
	}
	go func() {
		defer p.links.Done()
		p.dial(address, l, end)
	}()
	return l
}

// dial runs a link that this node opens.
func (p *Plane) dial(address string, l *link, end session.LinkEnd) {
	defer l.abort()
	request, err := http.NewRequestWithContext(l.ctx, http.MethodPost, "https://"+address+path, l.body())
	if err != nil {
		p.log.Error("a node's address makes no URL", slog.String("address", address), slog.Any("error", err))
		end.Lost(false)
		return
	}
	response, err := p.client.RoundTrip(request)
	if err != nil {
		if l.ctx.Err() == nil {
			p.log.Warn("a link to another node failed", slog.String("address", address), slog.Any("error", err))
		}
		end.Lost(errors.Is(err, syscall.ECONNREFUSED))
		return
	}
	defer response.Body.Close()
	// A request whose body waits for the other end's window does not see its context end once its response is here: to
	// close the response wakes it.
	defer context.AfterFunc(l.ctx, func() { response.Body.Close() })()
	if response.StatusCode != http.StatusOK {
		p.log.Warn("another node refused a link", slog.String("address", address), slog.Int("status", response.StatusCode))
	} else {
		p.read(response.Body, l, end)
	}
	end.Lost(false)
}

// serve runs a link that another node opens.
func (p *Plane) serve(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	accept := p.accept
	p.mu.Unlock()
	switch {
	case r.ProtoMajor != 2 || r.Method != http.MethodPost || r.URL.Path != path:
		w.WriteHeader(http.StatusNotFound)
		return
	case accept == nil:
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	if !p.hold() {
		return
	}
	defer p.links.Done()
	control := http.NewResponseController(w)
	w.WriteHeader(http.StatusOK)
	if control.Flush() != nil {
		return
	}
	l := newLink(p.ctx)
	defer l.abort()
	end := accept(l)
	// The handler outlives whoever touches its response. What blocks in a read or a write ends with the link.
	var parts sync.WaitGroup
	defer parts.Wait()
	parts.Go(func() {
		defer l.abort()
		p.read(r.Body, l, end)
		end.Lost(false)
	})
	written := make(chan struct{})
	parts.Go(func() {
		select {
		case <-l.ctx.Done():
			control.SetWriteDeadline(time.Now())
		case <-written:
		}
		control.SetReadDeadline(time.Now())
	})
	l.pump(w, control.Flush)
	close(written)
}

// read hands frames to the link's end until one side ends it.
func (p *Plane) read(from io.Reader, l *link, end session.LinkEnd) {
	frames := newReader(from)
	for {
		frame, err := frames.next()
		if err == nil {
			if err = end.Frame(frame); err != nil {
				p.log.Warn("another node's frame makes no sense, its link is ended", slog.Any("error", err))
			}
		} else if errors.Is(err, errFrame) {
			p.log.Warn("another node's link is ended", slog.Any("error", err))
		}
		if err != nil {
			return
		}
	}
}
