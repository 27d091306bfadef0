// Package session is what a connected device may do: log in, publish, subscribe, get messages until it acks them,
// pass files on. It knows no sockets, no SQL and no Redis.
//
// A [Node] is the engine of one process. The gateway opens a [Conn] for each socket and hands it frames; the engine
// answers through the [Socket]. A publish goes two ways at once: announced on the backplane, which brings it back to
// every interested node in one order, and appended to the store, which gives it a seq; the note of that seq follows,
// and then the publisher's ack.
package session
