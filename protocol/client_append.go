package protocol

import "math/bits"

// Append appends f as JSON: its type first, then the fields of that type that it has. Parse reads back the same.
func (f *ClientFrame) Append(dst []byte) []byte {
	dst = appendType(dst, f.Type)
	if f.Type.FromClient() {
		for m := clientUses[f.Type]; m != 0; m &= m - 1 {
			if k := field(bits.TrailingZeros64(uint64(m))); f.has(k) {
				dst = f.appendField(appendKey(dst, k), k)
			}
		}
	}
	return append(dst, '}')
}

func (f *ClientFrame) appendField(dst []byte, k field) []byte {
	switch k {
	case fieldSessionName:
		return appendString(dst, f.SessionName)
	case fieldPassword:
		return appendString(dst, f.Password)
	case fieldProtocol:
		return appendInt(dst, int64(f.Protocol))
	case fieldUserID:
		return appendString(dst, f.UserID)
	case fieldClientID:
		return appendString(dst, f.ClientID)
	case fieldMessageID:
		return appendString(dst, f.MessageID)
	case fieldMessageIDs:
		return appendList(dst, f.MessageIDs)
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
	case fieldNext:
		return appendInt(dst, f.Next)
	case fieldTimestamp:
		return appendInt(dst, f.Timestamp)
	case fieldQoS:
		return appendInt(dst, int64(f.QoS))
	case fieldRetry:
		return appendBool(dst, f.Retry)
	case fieldHash:
		return appendString(dst, f.Hash)
	case fieldMeta:
		return appendString(dst, f.Meta)
	case fieldEncryptedData:
		return appendString(dst, f.EncryptedData)
	case fieldData:
		return appendString(dst, f.Data)
	}
	return append(dst, "null"...)
}
