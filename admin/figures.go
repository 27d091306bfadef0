package admin

import (
	"encoding/json"

	"github.com/fastport/fastport/session"
)

// MaxFigures bounds what a node says of itself in a heartbeat, in bytes. What is larger is not shown.
const MaxFigures = 4 << 10

// Figures is what each heartbeat carries of a node for operators. Nodes of another version may lack some, which are 0
// then, or have more, which are passed over.
type Figures struct {
	Connections int64    `json:"connections"`
	Publishes   float64  `json:"publishesPerSecond"` // the rates and the quantiles are those of the last 15 s or so
	Deliveries  float64  `json:"deliveriesPerSecond"`
	AckP50      float64  `json:"ackP50Ms"` // from a publish's arrival to its ack, ms
	AckP99      float64  `json:"ackP99Ms"`
	DeliveryP50 float64  `json:"deliveryP50Ms"` // from a message's announce, on any node, to its first connection here
	DeliveryP99 float64  `json:"deliveryP99Ms"`
	CPU         float64  `json:"cpu"`         // processors kept busy; 0 where the system does not tell
	Pending     int64    `json:"pending"`     // sent to a connection and not acked
	OutboxBytes int64    `json:"outboxBytes"` // queued for all connections
	HeapUsed    uint64   `json:"heapUsed"`    // bytes in live and not yet swept objects
	HeapTotal   uint64   `json:"heapTotal"`   // bytes that the heap has of the system
	Faults      []string `json:"faults"`      // why it is not ready: its own
	Degraded    []string `json:"degraded"`    // what does not work elsewhere: it is ready all the same
}

// ReadFigures measures this process.
func ReadFigures(connections int64) Figures {
	used, total := session.Heap()
	return Figures{Connections: connections, HeapUsed: used, HeapTotal: total}
}

// Encode is f for a heartbeat; nil where it is too large for one.
func (f Figures) Encode() []byte {
	text, err := json.Marshal(f)
	if err != nil || len(text) > MaxFigures {
		return nil
	}
	return text
}

// decode reads another node's figures. What is not figures at all is an error, and leaves them zero.
func (f *Figures) decode(text []byte) error {
	if len(text) == 0 {
		return nil
	}
	if len(text) > MaxFigures {
		return errLarge
	}
	var read Figures
	if err := json.Unmarshal(text, &read); err != nil {
		return err
	}
	*f = read
	return nil
}
