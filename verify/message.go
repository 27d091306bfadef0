package verify

import (
	"fmt"
	"strconv"
	"strings"
)

// ID names a message of a run: the N-th, from 0, that a publisher sends on a topic of a session.
type ID struct {
	Session, Publisher, Topic, N int
}

// naming turns IDs into what goes over the wire, and back. Every run has a name of its own, so that what an earlier one
// left behind is not taken for this one's.
type naming struct {
	run  string
	size int // bytes of a payload, at least
}

func (n naming) messageID(id ID) string {
	return fmt.Sprintf("%s.%d.%d.%d.%d", n.run, id.Session, id.Publisher, id.Topic, id.N)
}

func (n naming) parse(messageID string) (id ID, ok bool) {
	parts := strings.Split(messageID, ".")
	if len(parts) != 5 || parts[0] != n.run {
		return ID{}, false
	}
	for i, to := range []*int{&id.Session, &id.Publisher, &id.Topic, &id.N} {
		v, err := strconv.Atoi(parts[i+1])
		if err != nil || v < 0 {
			return ID{}, false
		}
		*to = v
	}
	return id, n.messageID(id) == messageID
}

// payload is the message's id again, filled up to size, so that a message with another's content is noticed.
func (n naming) payload(id ID) string {
	text := n.messageID(id)
	if missing := n.size - len(text) - 1; missing > 0 {
		text += " " + strings.Repeat(text[len(text)-1:], missing)
	}
	return text
}

// topicName is the same in every session, so that one which strays into another finds a subscriber there.
func topicName(topic int) string { return "verify/" + strconv.Itoa(topic) }
