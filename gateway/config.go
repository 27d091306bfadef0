package gateway

import (
	"crypto/tls"
	"log/slog"
	"net/netip"
	"runtime"
	"time"

	"github.com/fastport/fastport/protocol"
)

// Config is what a Server is made of. A limit that says "0: off" is off in the zero Config; every other zero field
// takes the protocol's value. [DefaultConfig] has all limits on.
type Config struct {
	Logger *slog.Logger
	TLS    *tls.Config // nil: plain

	// Goroutines has every connection read by a goroutine of its own, also where epoll could serve it.
	Goroutines bool
	Pollers    int // epoll instances; 0: GOMAXPROCS

	MaxPayload     int      // bytes in a message (MAX_PAYLOAD_SIZE)
	LoginPayload   int      // bytes in a message before its connection has logged in; at most MaxPayload
	OutboxBytes    int      // queued for one connection's messages, and as much for its file chunks (OUTBOX_BYTES)
	ControlBytes   int      // queued for one connection's responses and errors
	Compression    bool     // negotiate permessage-deflate (COMPRESSION)
	CORSOrigins    []string // browsers' origins that may connect; none: all (CORS_ORIGINS)
	TrustedProxies []netip.Prefix

	MaxConnections      int // WebSocket connections; 0: off
	MaxConnectionsPerIP int // an address; 0: off
	MaxPending          int // connections of any kind that have not logged in; 0: off
	ConnectionRate      int // new connections of an address a second; 0: off
	ConnectionBurst     int // how many of them at once; at least ConnectionRate
	MessageRate         int // frames of one connection a second, control and empty ones too; 0: off
	ByteRate            int // bytes of one connection a second; 0: off

	HeaderTimeout     time.Duration // for a request's head, and a TLS handshake
	InitTimeout       time.Duration // from the upgrade to Peer.Ready
	PingInterval      time.Duration
	PongTimeout       time.Duration
	SlowConsumerAfter time.Duration // an outbox that nothing leaves
	CloseLinger       time.Duration // between a close and the end of the socket, at most
	FrameTimeout      time.Duration // for a half-received message, besides what FrameRate grants
	FrameRate         int           // bytes a second that a half-received message must make
}

// DefaultConfig has every limit on, at the protocol's value.
func DefaultConfig() Config {
	return Config{
		MaxConnectionsPerIP: protocol.MaxConnectionsPerIP,
		MaxPending:          protocol.MaxPending,
		ConnectionRate:      protocol.ConnectionRate,
		ConnectionBurst:     protocol.ConnectionBurst,
	}
}

func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	def(&c.Pollers, runtime.GOMAXPROCS(0))
	def(&c.MaxPayload, protocol.MaxPayload)
	def(&c.LoginPayload, protocol.LoginPayload)
	c.LoginPayload = min(c.LoginPayload, c.MaxPayload)
	def(&c.OutboxBytes, protocol.OutboxBytes)
	def(&c.ControlBytes, protocol.ControlBytes)
	c.ConnectionBurst = max(c.ConnectionBurst, c.ConnectionRate)
	def(&c.HeaderTimeout, protocol.HeaderTimeout)
	def(&c.InitTimeout, protocol.InitTimeout)
	def(&c.PingInterval, protocol.PingInterval)
	def(&c.PongTimeout, protocol.PongTimeout)
	def(&c.SlowConsumerAfter, protocol.SlowConsumerAfter)
	def(&c.CloseLinger, protocol.CloseLinger)
	def(&c.FrameTimeout, protocol.FrameTimeout)
	def(&c.FrameRate, protocol.FrameRate)
	return c
}

// def sets a zero field to its default.
func def[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
