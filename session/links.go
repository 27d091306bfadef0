package session

// Links are this node's ways to the other nodes, for files alone: chunks never go by the backplane. Package dataplane
// is one; without any, this node's files stay within it.
type Links interface {
	// Listen names who takes the links that other nodes open. Once, before the node says its address to anybody.
	Listen(accept func(Link) LinkEnd)
	// Open opens a link to the node at address. It does not block: what is sent waits for the connection, and a link
	// that comes to nothing is Lost.
	Open(address string, end LinkEnd) Link
}

// Link carries frames to another node and back, each way in order. Both methods are safe for concurrent use, never
// block, and never call a LinkEnd before they return.
type Link interface {
	// Send queues a frame: head, and body behind it. Neither may change afterwards, body not before done is called (which
	// may be nil): once, from any goroutine, when nobody will read body any more; perhaps never where the link ends first.
	// False: the link has ended, and done is not called. A queue that grows over its bound ends the link.
	Send(head, body []byte, done func()) bool
	// Close ends the link once what is queued has gone out.
	Close()
}

// LinkEnd takes what arrives on a link: one call at a time, none before the method that was given it has returned.
type LinkEnd interface {
	// Frame takes a frame; b is valid during the call. An error ends the link: what is at the other end talks nonsense.
	Frame(b []byte) error
	// Lost tells that the link has ended, from whichever side. Once, and last. nobody: nothing listens at the address.
	Lost(nobody bool)
}
