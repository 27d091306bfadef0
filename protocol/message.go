package protocol

import "strconv"

// Message is what a message frame is made of.
type Message struct {
	Topic     string
	MessageID string
	Data      []byte
	Hash      string // "": none
	Timestamp int64  // ms, as the publisher sent it, or the server's
	QoS       uint8
	Retry     int // 0: a first try
	Replay    bool
	Seq       uint64 // 0: not known
}

// AppendMessage appends a message frame, without allocation where dst has room. messageId comes right after the type
// and data last: a receiver that has had the message need not look at the rest.
func AppendMessage(dst []byte, m *Message) []byte {
	dst = append(dst, `{"type":"message","messageId":`...)
	dst = appendString(dst, m.MessageID)
	dst = append(dst, `,"topic":`...)
	dst = appendString(dst, m.Topic)
	dst = append(dst, `,"timestamp":`...)
	dst = appendInt(dst, m.Timestamp)
	if m.QoS == 0 {
		dst = append(dst, `,"qos":0`...)
	}
	if m.Retry > 0 {
		dst = append(dst, `,"retry":`...)
		dst = appendInt(dst, int64(m.Retry))
	}
	if m.Replay {
		dst = append(dst, `,"replay":true`...)
	}
	dst = appendSeq(dst, m.Seq)
	if m.Hash != "" {
		dst = append(dst, `,"hash":`...)
		dst = appendString(dst, m.Hash)
	}
	dst = append(dst, `,"data":`...)
	dst = appendString(dst, m.Data)
	return append(dst, '}')
}

// MessageSize is a bound on the bytes of m's frame where nothing in it has to be escaped.
func MessageSize(m *Message) int {
	return 192 + len(m.MessageID) + len(m.Topic) + len(m.Hash) + len(m.Data)
}

// AppendAckReceived appends an ack_received frame. seq is 0 where nothing had to be stored.
func AppendAckReceived(dst []byte, messageID, topic string, seq uint64) []byte {
	dst = append(dst, `{"type":"ack_received","messageId":`...)
	dst = appendString(dst, messageID)
	dst = append(dst, `,"topic":`...)
	dst = appendString(dst, topic)
	dst = appendSeq(dst, seq)
	return append(dst, '}')
}

func appendSeq(dst []byte, seq uint64) []byte {
	if seq == 0 {
		return dst
	}
	dst = append(dst, `,"seq":`...)
	return strconv.AppendUint(dst, seq, 10)
}
