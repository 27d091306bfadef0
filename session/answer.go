package session

import (
	"errors"

	"github.com/fastport/fastport/protocol"
)

// answer sends one frame of the server's.
func (c *Conn) answer(l Lane, f *protocol.ServerFrame) {
	if f.Code != "" {
		c.node.figures.errors.Count(string(f.Code))
	}
	c.send(l, NewPacket(false, 128, f.Append))
}

// answerPublished acks a publish: version 1 is told twice, in the two ways that its clients look for.
func (c *Conn) answerPublished(p *publish) {
	if c.version == protocol.Version1 {
		c.answer(LaneAck, &protocol.ServerFrame{Type: protocol.TypePublishResponse, Success: true,
			Topic: []byte(p.topic.name), MessageID: []byte(p.copy.MessageID), DeliveredTo: p.width})
	}
	c.send(LaneAck, NewPacket(false, 96+len(p.copy.MessageID)+len(p.topic.name), func(dst []byte) []byte {
		return protocol.AppendAckReceived(dst, p.copy.MessageID, p.topic.name, p.note.Seq)
	}))
	c.answered()
}

// answerRefused tells that a publish failed.
func (c *Conn) answerRefused(p *publish, err *protocol.Error) {
	c.answer(LaneAck, &protocol.ServerFrame{Type: protocol.TypePublishResponse, Topic: []byte(p.topic.name),
		MessageID: []byte(p.copy.MessageID), Code: err.Code, Text: err.Text, Retryable: err.Code.Retryable()})
	c.answered()
}

// refuse answers a frame with a failure, in the form of its type.
func (c *Conn) refuse(f *protocol.ClientFrame, err error) {
	why := shown(err)
	answer := protocol.ServerFrame{Type: protocol.TypeError, Code: why.Code, Text: why.Text, Retryable: why.Code.Retryable(),
		Topic: f.Topic, MessageID: f.MessageID, FileID: f.FileID}
	lane := LaneControl
	switch f.Type {
	case protocol.TypeInit:
		answer = protocol.ServerFrame{Type: protocol.TypeInitResponse, Code: why.Code, Text: why.Text, Retryable: why.Code.Retryable()}
	case protocol.TypeSubscribe:
		answer.Type = protocol.TypeSubscribeResponse
	case protocol.TypeUnsubscribe:
		answer.Type = protocol.TypeUnsubscribeResponse
	case protocol.TypePublish:
		answer.Type, lane = protocol.TypePublishResponse, LaneAck
	case protocol.TypeRegisterFCMToken:
		answer.Type, answer.UserID = protocol.TypeFCMTokenResponse, f.UserID
	case protocol.TypeUnregisterFCMToken:
		answer.Type, answer.UserID = protocol.TypeFCMUnregisterResponse, f.UserID
	case protocol.TypeGetRegisteredDevices:
		answer.Type, answer.UserID = protocol.TypeRegisteredDevicesResponse, f.UserID
	case protocol.TypeInitFile, protocol.TypeEndFile, protocol.TypeCancelFile, protocol.TypeFileAck, protocol.TypeFileResume:
		answer.Type = protocol.TypeFileError
	}
	c.answer(lane, &answer)
}

// shown is what a client may see of an error.
func shown(err error) *protocol.Error {
	var why *protocol.Error
	if errors.As(err, &why) {
		return why
	}
	return errStore
}
