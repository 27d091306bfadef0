package protocol

import (
	"math"
	"math/bits"
)

// clientUses is the fields of each frame that clients send. Others may be there, and hold anything: they are ignored.
var clientUses = [...]fieldSet{
	TypeInit:                 fieldsOf(fieldSessionName, fieldPassword, fieldProtocol, fieldUserID, fieldClientID),
	TypeSubscribe:            fieldsOf(fieldTopic),
	TypeUnsubscribe:          fieldsOf(fieldTopic),
	TypePublish:              fieldsOf(fieldMessageID, fieldTopic, fieldTimestamp, fieldQoS, fieldRetry, fieldHash, fieldData),
	TypeAck:                  fieldsOf(fieldMessageID, fieldMessageIDs, fieldTopic),
	TypeRegisterFCMToken:     fieldsOf(fieldUserID, fieldHash, fieldEncryptedData),
	TypeUnregisterFCMToken:   fieldsOf(fieldUserID, fieldHash, fieldEncryptedData),
	TypeGetRegisteredDevices: fieldsOf(fieldUserID),
	TypePing:                 0,
	TypeFileAck:              fieldsOf(fieldFileID, fieldNext),
	TypeFileResume:           fieldsOf(fieldFileID, fieldNext),
	TypeInitFile:             fieldsOf(fieldTopic, fieldFileID, fieldFileName, fieldFileSize, fieldTotalChunks, fieldMeta),
	TypeEndFile:              fieldsOf(fieldTopic, fieldFileID, fieldHash),
	TypeCancelFile:           fieldsOf(fieldTopic, fieldFileID),
}

// maxScratch is how much a frame keeps for its next Parse: one giant must not hold its memory for good.
const maxScratch = 64 << 10

// Parse resets f and fills it from b. An error is always an [*Error] of code bad_request whose text names the field, or
// the byte, and what is taken; f.MessageID, f.Topic and f.FileID then hold what was read before, for the answer. It
// checks form only as far as JSON has it: see [ClientFrame.Validate]. null is the same as absent.
func (f *ClientFrame) Parse(b []byte) error { return f.ParseAs(TypeUnknown, b) }

// ParseAs is Parse for a text that need not say its type, as an HTTP body: it is a t. One that says another is refused.
func (f *ClientFrame) ParseAs(t Type, b []byte) error {
	f.reset()
	s := scanner{b: b, text: f.scratch}
	o, name := f.scan(&s)
	f.scratch = s.text[:0]
	f.HasData = o.got.has(fieldData)
	f.HasTimestamp = o.got.has(fieldTimestamp)
	if s.err != nil {
		return s.err
	}
	if name == nil && t != TypeUnknown && !o.bad.has(fieldType) {
		f.Type = t
	} else if f.Type = ParseType(name); !f.Type.FromClient() || t != TypeUnknown && f.Type != t {
		f.Type = TypeUnknown
		return Errorf(BadRequest, "type: takes the name of a frame that clients send")
	}
	if bad := o.bad & clientUses[f.Type]; bad != 0 {
		return field(bits.TrailingZeros64(uint64(bad))).refuse()
	}
	return nil
}

func (f *ClientFrame) reset() {
	scratch, ids := f.scratch[:0], f.MessageIDs[:0]
	if cap(scratch) > maxScratch {
		scratch = nil
	}
	*f = ClientFrame{QoS: 1, FileSize: -1, TotalChunks: -1, Next: -1, MessageIDs: ids, scratch: scratch}
}

// scan fills f from the whole text and returns what it had, and the type's name.
func (f *ClientFrame) scan(s *scanner) (o object, name []byte) {
	s.begin()
	for s.open(&o); s.next(&o, true); {
		switch o.field {
		case fieldType:
			s.bytes(&o, &name)
		case fieldSessionName:
			s.bytes(&o, &f.SessionName)
		case fieldPassword:
			s.bytes(&o, &f.Password)
		case fieldProtocol:
			v := int64(0)
			s.int(&o, &v, 1, math.MaxInt32)
			f.Protocol = int(v)
		case fieldUserID:
			s.bytes(&o, &f.UserID)
		case fieldClientID:
			s.bytes(&o, &f.ClientID)
		case fieldMessageID:
			s.bytes(&o, &f.MessageID)
		case fieldMessageIDs:
			f.scanIDs(s, &o)
		case fieldTopic:
			s.bytes(&o, &f.Topic)
		case fieldFileID:
			s.bytes(&o, &f.FileID)
		case fieldFileName:
			s.bytes(&o, &f.FileName)
		case fieldFileSize:
			s.int(&o, &f.FileSize, 0, maxFileSize)
		case fieldTotalChunks:
			s.int(&o, &f.TotalChunks, 0, math.MaxUint32)
		case fieldNext:
			s.int(&o, &f.Next, 0, math.MaxUint32)
		case fieldTimestamp:
			s.int(&o, &f.Timestamp, math.MinInt64, math.MaxInt64)
		case fieldQoS:
			v := int64(1)
			s.int(&o, &v, 0, 1)
			f.QoS = uint8(v)
		case fieldRetry:
			s.bool(&o, &f.Retry)
		case fieldHash:
			s.bytes(&o, &f.Hash)
		case fieldMeta:
			s.bytes(&o, &f.Meta)
		case fieldEncryptedData:
			s.bytes(&o, &f.EncryptedData)
		case fieldData:
			s.bytes(&o, &f.Data)
		default:
			s.skip()
		}
	}
	s.end()
	return o, name
}

// scanIDs reads messageIds. A list that is too long is bad as a whole, and read on without being kept.
func (f *ClientFrame) scanIDs(s *scanner, o *object) {
	if s.peek() != '[' {
		s.other(o)
		return
	}
	n := 0
	for s.openList(); s.item(&n); {
		if s.peek() != '"' || n > MaxAckIDs {
			o.bad |= 1 << o.field
			s.skip()
			continue
		}
		f.MessageIDs = append(f.MessageIDs, s.str())
	}
	if n == 0 {
		o.bad |= 1 << o.field
	}
}
