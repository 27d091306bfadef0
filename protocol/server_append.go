package protocol

import (
	"math/bits"
	"strconv"
)

// Append appends f as JSON: its type first, success next where it has one, then the fields of that type. Failures are
// what has a Code.
func (f *ServerFrame) Append(dst []byte) []byte {
	dst = appendType(dst, f.Type)
	if f.Type.FromServer() {
		for m := serverUses[f.Type]; m != 0; m &= m - 1 {
			if k := field(bits.TrailingZeros64(uint64(m))); f.has(k) {
				dst = f.appendField(appendKey(dst, k), k)
			}
		}
	}
	return append(dst, '}')
}

func (f *ServerFrame) appendField(dst []byte, k field) []byte {
	switch k {
	case fieldSuccess:
		return appendBool(dst, f.Success)
	case fieldSessionName:
		return appendString(dst, f.SessionName)
	case fieldProtocol:
		return appendInt(dst, int64(f.Protocol))
	case fieldUserID:
		return appendString(dst, f.UserID)
	case fieldClientID:
		return appendString(dst, f.ClientID)
	case fieldDeviceID:
		return appendString(dst, f.DeviceID)
	case fieldResumed:
		return appendBool(dst, f.Resumed)
	case fieldMessageID:
		return appendString(dst, f.MessageID)
	case fieldTopic:
		return appendString(dst, f.Topic)
	case fieldFileID:
		return appendString(dst, f.FileID)
	case fieldFileName:
		return appendString(dst, f.FileName)
	case fieldFileSize:
		return appendInt(dst, f.FileSize)
	case fieldTotalChunks:
		return appendInt(dst, f.TotalChunks)
	case fieldTimestamp:
		return appendInt(dst, f.Timestamp)
	case fieldQoS:
		return appendInt(dst, int64(f.QoS))
	case fieldRetry:
		return appendInt(dst, int64(f.Retry))
	case fieldReplay:
		return appendBool(dst, f.Replay)
	case fieldSeq:
		return strconv.AppendUint(dst, f.Seq, 10)
	case fieldDeliveredTo:
		return appendInt(dst, int64(f.DeliveredTo))
	case fieldReceivers:
		return appendInt(dst, int64(f.Receivers))
	case fieldAcked:
		return appendInt(dst, f.Acked)
	case fieldDone:
		return appendBool(dst, f.Done)
	case fieldServerTime:
		return appendInt(dst, f.ServerTime)
	case fieldKeyCheck:
		return appendString(dst, f.KeyCheck)
	case fieldTopics:
		return appendList(dst, f.Topics)
	case fieldLimits:
		return f.Limits.append(dst)
	case fieldDevices:
		return appendDevices(dst, f.Devices)
	case fieldAfterMs:
		return appendInt(dst, f.AfterMs)
	case fieldReason:
		return appendString(dst, f.Reason)
	case fieldCode:
		return appendString(dst, string(f.Code))
	case fieldError:
		return appendString(dst, f.Text)
	case fieldRetryable:
		return appendBool(dst, f.Retryable)
	case fieldHash:
		return appendString(dst, f.Hash)
	case fieldMeta:
		return appendString(dst, f.Meta)
	case fieldData:
		return appendString(dst, f.Data)
	}
	return append(dst, "null"...)
}

func (l *SessionLimits) append(dst []byte) []byte {
	dst = append(dst, `{"maxPayload":`...)
	dst = appendInt(dst, int64(l.MaxPayload))
	dst = appendInt(appendKey(dst, fieldMaxInFlight), int64(l.MaxInFlight))
	dst = appendInt(appendKey(dst, fieldChunkSize), int64(l.ChunkSize))
	dst = appendInt(appendKey(dst, fieldRetryInterval), l.RetryInterval)
	dst = appendInt(appendKey(dst, fieldMessageExpiryTime), l.MessageExpiryTime)
	return append(dst, '}')
}

func appendDevices(dst []byte, list []Device) []byte {
	dst = append(dst, '[')
	for i, d := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"deviceId":`...)
		dst = appendString(dst, d.DeviceID)
		dst = appendString(appendKey(dst, fieldPlatform), d.Platform)
		dst = appendInt(appendKey(dst, fieldCreatedAt), d.CreatedAt)
		dst = appendInt(appendKey(dst, fieldUpdatedAt), d.UpdatedAt)
		dst = append(dst, '}')
	}
	return append(dst, ']')
}
