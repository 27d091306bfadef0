package session

import (
	"encoding/binary"
	"errors"
)

// linkKind is a frame's first byte. A file's home and a guest node speak of the file's connections at the guest, each
// by the number that the guest gave it: its place.
type linkKind byte

const (
	// Guest to home.
	linkVisit   linkKind = iota + 1 // opens a link: which file, at which home
	linkPlace                       // a receiver, and how far it is
	linkCounted                     // all that an invite asks for has been said
	linkSender                      // a sender, and its init_file
	linkTook                        // the socket has taken the oldest chunk that was given
	linkAck                         // file_ack
	linkResume                      // file_resume on the same connection
	linkCancel                      // cancel_file
	linkGone                        // the connection is closed
	linkPart                        // a sender's chunk
	linkEnd                         // a sender's end_file
	// Home to guest.
	linkInvite   // opens a link, or comes on one: who has the topic?
	linkAdmit    // the connection has its place in the file
	linkFrame    // for the connection's socket
	linkBegin    // the same: init_file
	linkFinish   // the same: end_file
	linkChunk    // for the guest's buffer
	linkGive     // a chunk of the buffer is for this connection
	linkCredit   // a sender may send so many chunks more
	linkDismiss  // the connection has no place in the file any more
	linkOver     // the file is over
	linkStranger // the visit was meant for a node that is not here any more
	// Both.
	linkAlive

	linkKinds
)

// linkLayouts are the frames: after the kind come numbers as uvarints, texts behind their length as a uvarint, and,
// where there is one, the body to the frame's end.
var linkLayouts = [linkKinds]struct {
	numbers, texts int
	body           bool
}{
	linkVisit:    {0, 4, false}, // session, fileId as it was sent, the home's name, the guest's
	linkPlace:    {7, 1, false}, // place, mode, version, flags, next, queued, acked; subscriber
	linkCounted:  {0, 0, false},
	linkSender:   {5, 4, false}, // place, flags, version, fileSize, totalChunks; subscriber, topic, fileName, meta
	linkTook:     {1, 0, false}, // place
	linkAck:      {2, 0, false}, // place, next
	linkResume:   {2, 0, false}, // place, next
	linkCancel:   {1, 0, false}, // place
	linkGone:     {1, 0, false}, // place
	linkPart:     {1, 0, true},  // place; the binary frame
	linkEnd:      {1, 2, false}, // place; topic, hash
	linkInvite:   {0, 4, false}, // session, fileId as it was sent, topic, the home's name
	linkAdmit:    {1, 0, false}, // place
	linkFrame:    {2, 0, true},  // place, lane; the text frame
	linkBegin:    {1, 0, true},  // place; the text frame
	linkFinish:   {1, 0, true},  // place; the text frame
	linkChunk:    {0, 0, true},  // the binary frame
	linkGive:     {2, 0, false}, // place, index
	linkCredit:   {2, 0, false}, // place, chunks
	linkDismiss:  {1, 0, false}, // place
	linkOver:     {0, 0, false},
	linkStranger: {0, 0, false},
	linkAlive:    {0, 0, false},
}

// Modes of linkPlace, and flags of it and of linkSender.
const (
	placeFresh  = iota // subscribed to the topic now
	placeResume        // sent file_resume
	placeRejoin        // had its place until the guest lost its home
	placeModes

	flagBegun = 1  // init_file is out
	flagEnded = 2  // end_file is out
	flagAgain = 4  // the sender knows nothing of this: its node asks again
	flagName  = 8  // the init_file has a fileName
	flagMeta  = 16 // it has a meta
)

// linkMsg is a frame that was read. What it holds aliases the buffer.
type linkMsg struct {
	kind linkKind
	n    [7]uint64
	t    [4][]byte
	body []byte
}

var errLinkFrame = errors.New("session: not a frame of a link")

// appendLink appends a frame without its body.
func appendLink(dst []byte, kind linkKind, numbers []uint64, texts ...[]byte) []byte {
	dst = append(dst, byte(kind))
	for _, n := range numbers {
		dst = binary.AppendUvarint(dst, n)
	}
	for _, t := range texts {
		dst = append(binary.AppendUvarint(dst, uint64(len(t))), t...)
	}
	return dst
}

// parse reads a frame. Numbers are at most 2^53, so that none overflows what it is added to. A kind that is not known
// here, and what stands behind the last field, are a newer node's: they are let be.
func (m *linkMsg) parse(b []byte) error {
	if len(b) == 0 {
		return errLinkFrame
	}
	*m = linkMsg{kind: linkKind(b[0])}
	if m.kind == 0 || m.kind >= linkKinds {
		return nil
	}
	layout := linkLayouts[m.kind]
	b = b[1:]
	for i := range layout.numbers {
		n, size := binary.Uvarint(b)
		if size <= 0 || n > 1<<53 {
			return errLinkFrame
		}
		m.n[i], b = n, b[size:]
	}
	for i := range layout.texts {
		n, size := binary.Uvarint(b)
		if size <= 0 || n > uint64(len(b)-size) {
			return errLinkFrame
		}
		m.t[i], b = b[size:size+int(n):size+int(n)], b[size+int(n):]
	}
	if layout.body {
		m.body = b
	}
	return nil
}

// place is the number of the connection that most frames begin with.
func (m *linkMsg) place() uint64 { return m.n[0] }
