package protocol

import (
	"math"
	"math/bits"
)

// Parse resets f and fills it from b. It is strict in JSON and lenient in the rest: a frame of a type that this version
// does not know is no error and leaves Type at TypeUnknown, to be ignored; a field that the type does not use may hold
// anything. An error is an [*Error] of code bad_request.
func (f *ServerFrame) Parse(b []byte) error {
	scratch := f.scratch[:0]
	if cap(scratch) > maxScratch {
		scratch = nil
	}
	*f = ServerFrame{QoS: 1}
	s := scanner{b: b, text: scratch}
	o, name := f.scan(&s)
	f.scratch = s.text[:0]
	if s.err != nil {
		return s.err
	}
	if name == nil {
		return fieldType.refuse()
	}
	if f.Type = ParseType(name); !f.Type.FromServer() {
		f.Type = TypeUnknown
		return nil
	}
	if bad := o.bad & serverUses[f.Type]; bad != 0 {
		return field(bits.TrailingZeros64(uint64(bad))).refuse()
	}
	return nil
}

func (f *ServerFrame) scan(s *scanner) (o object, name []byte) {
	s.begin()
	for s.open(&o); s.next(&o, true); {
		switch o.field {
		case fieldType:
			s.bytes(&o, &name)
		case fieldMessageID:
			s.bytes(&o, &f.MessageID)
		case fieldTopic:
			s.bytes(&o, &f.Topic)
		case fieldTimestamp:
			s.int(&o, &f.Timestamp, math.MinInt64, math.MaxInt64)
		case fieldQoS:
			v := int64(1)
			s.int(&o, &v, 0, 1)
			f.QoS = uint8(v)
		case fieldRetry:
			s.count(&o, &f.Retry)
		case fieldReplay:
			s.bool(&o, &f.Replay)
		case fieldSeq:
			v := int64(0)
			s.int(&o, &v, 0, math.MaxInt64)
			f.Seq = uint64(v)
		case fieldHash:
			s.bytes(&o, &f.Hash)
		case fieldData:
			s.bytes(&o, &f.Data)
		case fieldSuccess:
			s.bool(&o, &f.Success)
		case fieldDeliveredTo:
			s.count(&o, &f.DeliveredTo)
		case fieldCode:
			s.string(&o, (*string)(&f.Code))
		case fieldError:
			s.string(&o, &f.Text)
		case fieldRetryable:
			s.bool(&o, &f.Retryable)
		case fieldServerTime:
			s.int(&o, &f.ServerTime, math.MinInt64, math.MaxInt64)
		case fieldAfterMs:
			s.int(&o, &f.AfterMs, 0, math.MaxInt64)
		case fieldReason:
			s.string(&o, &f.Reason)
		default:
			if !f.scanInit(s, &o) && !f.scanFile(s, &o) {
				s.skip()
			}
		}
	}
	s.end()
	return o, name
}

// scanFile reads the fields that only files have.
func (f *ServerFrame) scanFile(s *scanner, o *object) bool {
	switch o.field {
	case fieldFileID:
		s.bytes(o, &f.FileID)
	case fieldFileName:
		s.bytes(o, &f.FileName)
	case fieldMeta:
		s.bytes(o, &f.Meta)
	case fieldFileSize:
		s.int(o, &f.FileSize, 0, maxFileSize)
	case fieldTotalChunks:
		s.int(o, &f.TotalChunks, 0, math.MaxUint32)
	case fieldReceivers:
		s.count(o, &f.Receivers)
	case fieldAcked:
		s.int(o, &f.Acked, 0, math.MaxUint32)
	case fieldDone:
		s.bool(o, &f.Done)
	default:
		return false
	}
	return true
}

// scanInit reads the fields that only the answers to init and about devices have.
func (f *ServerFrame) scanInit(s *scanner, o *object) bool {
	switch o.field {
	case fieldSessionName:
		s.bytes(o, &f.SessionName)
	case fieldProtocol:
		s.count(o, &f.Protocol)
	case fieldUserID:
		s.bytes(o, &f.UserID)
	case fieldClientID:
		s.bytes(o, &f.ClientID)
	case fieldDeviceID:
		s.bytes(o, &f.DeviceID)
	case fieldResumed:
		s.bool(o, &f.Resumed)
	case fieldKeyCheck:
		s.string(o, &f.KeyCheck)
	case fieldTopics:
		s.strings(o, &f.Topics)
	case fieldLimits:
		s.limits(o, &f.Limits)
	case fieldDevices:
		s.devices(o, &f.Devices)
	default:
		return false
	}
	return true
}

// count reads a whole number from 0 that an int of any platform holds.
func (s *scanner) count(o *object, p *int) {
	v := int64(*p)
	s.int(o, &v, 0, math.MaxInt32)
	*p = int(v)
}

func (s *scanner) strings(o *object, p *[]string) {
	if s.peek() != '[' {
		s.other(o)
		return
	}
	n := 0
	for s.openList(); s.item(&n); {
		if s.peek() != '"' {
			o.bad |= 1 << o.field
			s.skip()
			continue
		}
		*p = append(*p, string(s.str()))
	}
}

func (s *scanner) limits(o *object, l *SessionLimits) {
	if s.peek() != '{' {
		s.other(o)
		return
	}
	var in object
	for s.open(&in); s.next(&in, true); {
		switch in.field {
		case fieldMaxPayload:
			s.count(&in, &l.MaxPayload)
		case fieldMaxInFlight:
			s.count(&in, &l.MaxInFlight)
		case fieldChunkSize:
			s.count(&in, &l.ChunkSize)
		case fieldRetryInterval:
			s.int(&in, &l.RetryInterval, 0, math.MaxInt64)
		case fieldMessageExpiryTime:
			s.int(&in, &l.MessageExpiryTime, 0, math.MaxInt64)
		default:
			s.skip()
		}
	}
	if in.bad != 0 {
		o.bad |= 1 << o.field
	}
}

func (s *scanner) devices(o *object, p *[]Device) {
	if s.peek() != '[' {
		s.other(o)
		return
	}
	n := 0
	for s.openList(); s.item(&n); {
		if s.peek() != '{' {
			o.bad |= 1 << o.field
			s.skip()
			continue
		}
		var d Device
		var in object
		for s.open(&in); s.next(&in, true); {
			switch in.field {
			case fieldDeviceID:
				s.string(&in, &d.DeviceID)
			case fieldPlatform:
				s.string(&in, &d.Platform)
			case fieldCreatedAt:
				s.int(&in, &d.CreatedAt, math.MinInt64, math.MaxInt64)
			case fieldUpdatedAt:
				s.int(&in, &d.UpdatedAt, math.MinInt64, math.MaxInt64)
			default:
				s.skip()
			}
		}
		if in.bad != 0 {
			o.bad |= 1 << o.field
		}
		*p = append(*p, d)
	}
}
