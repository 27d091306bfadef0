package verify

import (
	"fmt"
	"time"
)

// Breach is a way in which a promise can be broken.
type Breach string

// The breaches, in the order of reports.
const (
	Lost       Breach = "lost"       // acked, owed to a durable subscriber, and never handed over
	Unanswered Breach = "unanswered" // published, and neither acked nor refused
	Refused    Breach = "refused"    // refused for good
	Duplicate  Breach = "duplicated" // handed to an application twice
	Disorder   Breach = "out of order"
	Stale      Breach = "stale"      // after its expiry, or again though it was acked and settled
	Foreign    Breach = "foreign"    // another session's, of a topic not subscribed to, or never published
	Corrupt    Breach = "corrupt"    // not the content that was published
	Echo       Breach = "echoed"     // to its own publisher
	Unflagged  Breach = "unflagged"  // sent again without saying so
	Repeated   Breach = "repeated"   // of qos 0, and sent again, numbered, or from the store
	Renumbered Breach = "renumbered" // one message with two positions, or two with one
	Missed     Breach = "missed"     // of qos 0 or to an ephemeral subscriber, and never came though it was there all the time
	Slow       Breach = "slow"       // not back within the promised time after a fault
	Unready    Breach = "unready"    // a node called itself unready for what is none of its fault
	Died       Breach = "died"       // a process ended by itself
)

// Breaches are all there are.
var Breaches = []Breach{
	Lost, Unanswered, Refused, Duplicate, Disorder, Stale, Foreign, Corrupt, Echo, Unflagged, Repeated, Renumbered, Missed, Slow, Unready, Died,
}

// Finding is one broken promise.
type Finding struct {
	Breach Breach        `json:"breach"`
	At     time.Duration `json:"atNs"` // since the load began
	Text   string        `json:"text"` // who, what and when, as evidence
}

// maxEvidence is how many findings of a kind are kept in words. All are counted.
const maxEvidence = 20

// findings counts every breach and keeps the first of each kind.
type findings struct {
	counts map[Breach]int
	list   []Finding
}

func (f *findings) add(b Breach, at time.Duration, format string, args ...any) {
	if f.counts == nil {
		f.counts = make(map[Breach]int)
	}
	f.counts[b]++
	if f.counts[b] <= maxEvidence {
		f.list = append(f.list, Finding{b, at, fmt.Sprintf(format, args...)})
	}
}
