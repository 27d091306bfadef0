// Package protocol is the wire: every frame, code, close code and limit of docs/protocol.md, and the codec for them.
//
// A text frame is one JSON object with a "type"; a binary frame starts with a kind byte. What a client sends is a
// [ClientFrame], what a server sends a [ServerFrame]; [Chunk] is the one binary frame. Both sides of the wire use
// this package, so it holds no policy: who may do what is decided in package session.
package protocol
