// Package e2ee seals and opens what travels end to end: messages, file chunks, file metadata, push envelopes
// (docs/protocol.md 5 and 6). It is the only Go code of the project that can open a message, and no server package
// may import it.
//
// A [Key] is the root key that the members of a session share. A [KeyRing] holds the keys of one session, the newest
// first: it seals with the newest and opens with any. A [Sealer] seals the messages of one sender. Suite 2 is what
// versions of our own speak; suite 1 is that of the first clients and weak (docs/e2ee.md says how).
//
// Opening fails in one of three ways and tells no more: [*UnknownKeyError], [ErrMalformed], [ErrAuthentication].
package e2ee

//go:generate sh -c "go run ../../testdata/gen > ../../testdata/vectors.json"
