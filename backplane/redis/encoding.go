package redis

import (
	"encoding/binary"
	"errors"

	"github.com/fastport/fastport/backplane"
)

// What a message of Redis pub/sub carries: one byte of version, one of kind, and fields: a byte of id, a length
// (uvarint) and so many bytes. Numbers are uvarints, signed ones zigzag. A field that is empty or 0 is left out.
//
// A reader skips the fields that it does not know and drops a message of a kind or a version that it does not know:
// nodes of two versions side by side understand what both know. A new field needs no new version; another meaning of
// an old one does.
//
//	kind       fields
//	1 copy     1 messageId  2 hash  3 timestamp(z)  4 qos  5 flags(1 retry)  6 node  7 conn  8 origin  9 issued(z)  10 data
//	2 note     1 messageId  2 seq  5 flags(2 failed)  8 origin  11 epoch
//	3 heads    2 seq  11 epoch
//	4 command  4 kind  6 node  8 subscriber  12 session  13 name  14 token  15 sender  16 to  10 body
//	5 canary   2 number
//
// (2 is a copy's hash and elsewhere a number.) The session and the topic are the channel's name and not repeated.
const version = 1

const (
	kindCopy = iota + 1
	kindNote
	kindHeads
	kindCommand
	kindCanary
)

const (
	fieldMessageID = iota + 1
	fieldHash      // a copy's
	fieldTimestamp
	fieldQoS // of a command: its kind
	fieldFlags
	fieldNode
	fieldConn
	fieldOrigin
	fieldIssued
	fieldData
	fieldEpoch
	fieldSession
	fieldName
	fieldToken
	fieldSender
	fieldTo
	fieldSeq = fieldHash
)

const (
	flagRetry = 1 << iota
	flagFailed
)

var (
	errForeign   = errors.New("redis: a message of another version or kind")
	errMalformed = errors.New("redis: a malformed message")
)

func appendText(b []byte, field byte, text string) []byte {
	if text == "" {
		return b
	}
	return append(binary.AppendUvarint(append(b, field), uint64(len(text))), text...)
}

func appendNumber(b []byte, field byte, n uint64) []byte {
	if n == 0 {
		return b
	}
	at := len(b) + 1
	b = binary.AppendUvarint(append(b, field, 0), n)
	b[at] = byte(len(b) - at - 1)
	return b
}

func appendSigned(b []byte, field byte, n int64) []byte {
	return appendNumber(b, field, uint64(n)<<1^uint64(n>>63))
}

// appendCopy appends all of a copy but its data, which comes behind it as it is: its field is the last one.
func appendCopy(b []byte, c *backplane.Copy, issued int64) []byte {
	b = append(b, version, kindCopy)
	b = appendText(b, fieldMessageID, c.MessageID)
	b = appendText(b, fieldHash, c.Hash)
	b = appendSigned(b, fieldTimestamp, c.Timestamp)
	b = appendNumber(b, fieldQoS, uint64(c.QoS))
	if c.Retry {
		b = appendNumber(b, fieldFlags, flagRetry)
	}
	b = appendText(b, fieldNode, c.Node)
	b = appendNumber(b, fieldConn, c.Conn)
	b = appendText(b, fieldOrigin, c.Origin)
	b = appendSigned(b, fieldIssued, issued)
	return binary.AppendUvarint(append(b, fieldData), uint64(len(c.Data)))
}

func appendNote(b []byte, n *backplane.Note) []byte {
	b = append(b, version, kindNote)
	b = appendText(b, fieldMessageID, n.MessageID)
	b = appendNumber(b, fieldSeq, n.Seq)
	if n.Failed {
		b = appendNumber(b, fieldFlags, flagFailed)
	}
	b = appendText(b, fieldOrigin, n.Origin)
	return appendText(b, fieldEpoch, n.Epoch)
}

func appendHeads(b []byte, h *backplane.Heads) []byte {
	b = append(b, version, kindHeads)
	b = appendNumber(b, fieldSeq, h.Seq)
	return appendText(b, fieldEpoch, h.Epoch)
}

func appendOrder(b []byte, c *backplane.Command, sender string) []byte {
	b = append(b, version, kindCommand)
	b = appendNumber(b, fieldQoS, uint64(c.Kind))
	b = appendText(b, fieldNode, c.Node)
	b = appendText(b, fieldOrigin, c.Subscriber)
	b = appendText(b, fieldSession, c.Session)
	b = appendText(b, fieldName, c.Name)
	b = appendNumber(b, fieldToken, c.Token)
	b = appendText(b, fieldSender, sender)
	b = appendText(b, fieldTo, c.To)
	return appendText(b, fieldData, c.Body)
}

func appendCanary(b []byte, number uint64) []byte {
	return appendNumber(append(b, version, kindCanary), fieldSeq, number)
}

// fields walks what is left of a message.
type fields struct {
	rest  []byte
	id    byte
	value []byte
	err   error
}

// open checks a message's head and returns its kind.
func open(b []byte) (kind byte, f fields, err error) {
	if len(b) < 2 {
		return 0, fields{}, errMalformed
	}
	if b[0] != version || b[1] < kindCopy || b[1] > kindCanary {
		return 0, fields{}, errForeign
	}
	return b[1], fields{rest: b[2:]}, nil
}

// next moves on to the next field; false at the end, and at a fault, which is in err.
func (f *fields) next() bool {
	if len(f.rest) == 0 || f.err != nil {
		return false
	}
	length, n := binary.Uvarint(f.rest[1:])
	if n <= 0 || length > uint64(len(f.rest)-1-n) {
		f.err = errMalformed
		return false
	}
	end := 1 + n + int(length)
	f.id, f.value, f.rest = f.rest[0], f.rest[1+n:end:end], f.rest[end:]
	return true
}

func (f *fields) text() string { return string(f.value) }

func (f *fields) number() uint64 {
	n, size := binary.Uvarint(f.value)
	if size != len(f.value) {
		f.err = errMalformed
	}
	return n
}

func (f *fields) signed() int64 {
	n := f.number()
	return int64(n>>1) ^ -int64(n&1)
}

// decodeCopy reads a copy, whose Data lies in the message, and when it was issued by Redis's clock.
func (f *fields) decodeCopy(c *backplane.Copy) (issued int64, err error) {
	for f.next() {
		switch f.id {
		case fieldMessageID:
			c.MessageID = f.text()
		case fieldHash:
			c.Hash = f.text()
		case fieldTimestamp:
			c.Timestamp = f.signed()
		case fieldQoS:
			c.QoS = uint8(f.number())
		case fieldFlags:
			c.Retry = f.number()&flagRetry != 0
		case fieldNode:
			c.Node = f.text()
		case fieldConn:
			c.Conn = f.number()
		case fieldOrigin:
			c.Origin = f.text()
		case fieldIssued:
			issued = f.signed()
		case fieldData:
			c.Data = f.value
		}
	}
	return issued, f.err
}

func (f *fields) decodeNote(n *backplane.Note) error {
	for f.next() {
		switch f.id {
		case fieldMessageID:
			n.MessageID = f.text()
		case fieldSeq:
			n.Seq = f.number()
		case fieldFlags:
			n.Failed = f.number()&flagFailed != 0
		case fieldOrigin:
			n.Origin = f.text()
		case fieldEpoch:
			n.Epoch = f.text()
		}
	}
	return f.err
}

func (f *fields) decodeHeads(h *backplane.Heads) error {
	for f.next() {
		switch f.id {
		case fieldSeq:
			h.Seq = f.number()
		case fieldEpoch:
			h.Epoch = f.text()
		}
	}
	return f.err
}

// decodeCommand reads a command and which end of the backplane sent it.
func (f *fields) decodeCommand(c *backplane.Command) (sender string, err error) {
	for f.next() {
		switch f.id {
		case fieldQoS:
			c.Kind = backplane.CommandKind(f.number())
		case fieldNode:
			c.Node = f.text()
		case fieldOrigin:
			c.Subscriber = f.text()
		case fieldSession:
			c.Session = f.text()
		case fieldName:
			c.Name = f.text()
		case fieldToken:
			c.Token = f.number()
		case fieldTo:
			c.To = f.text()
		case fieldData:
			c.Body = f.text()
		case fieldSender:
			sender = f.text()
		}
	}
	return sender, f.err
}

func (f *fields) decodeCanary() (number uint64, err error) {
	for f.next() {
		if f.id == fieldSeq {
			number = f.number()
		}
	}
	return number, f.err
}
