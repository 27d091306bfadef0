// Package gateway carries frames between sockets and sessions.
//
// A [Server] takes connections from its listeners through net/http, whose head parser, deadlines and TLS handshake
// guard the front door. What is no WebSocket upgrade goes to the fallback handler. An upgrade that passes the limits
// is taken out of net/http and becomes a conn: a parser for what comes in, an outbox for what goes out, and the Peer
// that the engine opened for it.
//
// Two loops move the bytes of a conn. On Linux, without TLS, a poller owns its share of all sockets: one goroutine
// that epoll wakes, with one read buffer, so that an idle connection costs its few hundred bytes and nothing else.
// Elsewhere a goroutine per connection reads. Parser, outbox, limits and the rules of closing are the same in both.
//
//	socket > poller or loop > parser > Peer      (reader: one goroutine at a time per connection)
//	Socket.Send > outbox > dirty list > flusher > socket
//
// Time has one goroutine for all connections, see roster: it pings, and closes who is late.
package gateway
