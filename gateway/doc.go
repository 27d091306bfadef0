// Package gateway carries frames between sockets and sessions.
//
// A [Server] takes connections from its listeners within the limits. On Linux, without TLS, the pollers read their
// first bytes: a plain upgrade of / or /ws that passes the limits becomes a conn there and then. All else is net/http's,
// from its first byte: other requests, wrong or unusual upgrades, whatever a limit refuses, TLS, other systems. What is
// an upgrade there after all is taken out of it by the same rules; the rest goes to the fallback handler. A conn is a
// parser for what comes in, an outbox for what goes out, and the Peer that the engine opened for it.
//
// Two loops move the bytes of a conn. On Linux, without TLS, a poller owns its share of all sockets: one goroutine
// that epoll wakes, with one read buffer, so that an idle connection costs its few hundred bytes and nothing else.
// Elsewhere a goroutine per connection reads. Parser, outbox, limits and the rules of closing are the same in both.
//
//	listener > greeting > conn, or net/http > conn or fallback
//	socket > poller or loop > parser > Peer      (reader: one goroutine at a time per connection)
//	Socket.Send > outbox > dirty list > flusher > socket
//
// Time has one goroutine for all connections, see roster: it pings, and closes who is late.
package gateway
