package protocol

import (
	"math"
	"math/bits"
)

// clientNeeds is the fields that a frame must have. What more is needed, of several one, stands in Validate.
var clientNeeds = [...]fieldSet{
	TypeInit:                 fieldsOf(fieldSessionName, fieldPassword),
	TypeSubscribe:            fieldsOf(fieldTopic),
	TypeUnsubscribe:          fieldsOf(fieldTopic),
	TypePublish:              fieldsOf(fieldMessageID, fieldTopic, fieldData),
	TypeRegisterFCMToken:     fieldsOf(fieldUserID, fieldHash, fieldEncryptedData),
	TypeUnregisterFCMToken:   fieldsOf(fieldUserID, fieldHash, fieldEncryptedData),
	TypeGetRegisteredDevices: fieldsOf(fieldUserID),
	TypeFileAck:              fieldsOf(fieldFileID, fieldNext),
	TypeFileResume:           fieldsOf(fieldFileID, fieldNext),
	TypeInitFile:             fieldsOf(fieldTopic, fieldFileID, fieldFileSize, fieldTotalChunks),
	TypeEndFile:              fieldsOf(fieldTopic, fieldFileID),
	TypeCancelFile:           fieldsOf(fieldFileID),
}

// Validate checks the form of f's fields: what is there that must be, and lengths, characters and ranges. An error is
// an [*Error] of code bad_request whose text names the field and what it takes. It knows nothing of rights or state.
func (f *ClientFrame) Validate() error {
	if !f.Type.FromClient() {
		return fieldType.refuse()
	}
	var needs fieldSet
	if int(f.Type) < len(clientNeeds) {
		needs = clientNeeds[f.Type]
	}
	for m := clientUses[f.Type]; m != 0; m &= m - 1 {
		k := field(bits.TrailingZeros64(uint64(m)))
		if !f.has(k) {
			if needs.has(k) {
				return k.missing(f.Type)
			}
		} else if !f.valid(k) {
			return k.refuse()
		}
	}
	switch f.Type {
	case TypeAck:
		switch ids := len(f.MessageIDs) > 0; {
		case !ids && f.MessageID == nil:
			return fieldMessageID.missing(f.Type)
		case ids && f.MessageID != nil:
			return Errorf(BadRequest, "messageIds: stands in place of messageId, not beside it")
		case ids && f.Topic == nil:
			return fieldTopic.missing(f.Type)
		}
	case TypeInitFile:
		if f.FileName == nil && f.Meta == nil {
			return Errorf(BadRequest, "fileName: missing in init_file, or meta in its place")
		}
		if f.FileSize > 0 && f.TotalChunks == 0 {
			return fieldTotalChunks.refuse()
		}
	}
	return nil
}

// has reports whether f holds a k: in the words of [ClientFrame], not nil, not below zero.
func (f *ClientFrame) has(k field) bool {
	switch k {
	case fieldSessionName:
		return f.SessionName != nil
	case fieldPassword:
		return f.Password != nil
	case fieldProtocol:
		return f.Protocol != 0
	case fieldUserID:
		return f.UserID != nil
	case fieldClientID:
		return f.ClientID != nil
	case fieldMessageID:
		return f.MessageID != nil
	case fieldMessageIDs:
		return len(f.MessageIDs) > 0
	case fieldTopic:
		return f.Topic != nil
	case fieldFileID:
		return f.FileID != nil
	case fieldFileName:
		return f.FileName != nil
	case fieldFileSize:
		return f.FileSize >= 0
	case fieldTotalChunks:
		return f.TotalChunks >= 0
	case fieldNext:
		return f.Next >= 0
	case fieldTimestamp:
		return f.HasTimestamp
	case fieldQoS:
		return f.QoS != 1
	case fieldRetry:
		return f.Retry
	case fieldHash:
		return f.Hash != nil
	case fieldMeta:
		return f.Meta != nil
	case fieldEncryptedData:
		return f.EncryptedData != nil
	case fieldData:
		return f.HasData
	}
	return false
}

// valid reports whether the k that f has is of the form it takes.
func (f *ClientFrame) valid(k field) bool {
	switch k {
	case fieldSessionName:
		return validSessionName(f.SessionName)
	case fieldPassword:
		return ValidPassword(f.Password)
	case fieldProtocol:
		return f.Protocol >= 1
	case fieldUserID:
		return ValidName(f.UserID)
	case fieldClientID:
		return ValidName(f.ClientID)
	case fieldMessageID:
		return ValidMessageID(f.MessageID)
	case fieldMessageIDs:
		for _, id := range f.MessageIDs {
			if !ValidMessageID(id) {
				return false
			}
		}
		return len(f.MessageIDs) <= MaxAckIDs
	case fieldTopic:
		return ValidTopic(f.Topic)
	case fieldFileID:
		return ValidFileID(f.FileID)
	case fieldFileName:
		return validText(f.FileName, MaxFileName)
	case fieldFileSize:
		return f.FileSize <= maxFileSize
	case fieldTotalChunks:
		return f.TotalChunks <= math.MaxUint32
	case fieldNext:
		return f.Next <= math.MaxUint32
	case fieldQoS:
		return f.QoS <= 1
	case fieldHash:
		// That of a file is of its plaintext: the server passes it on and reads nothing into it.
		if f.Type == TypeEndFile {
			return validText(f.Hash, MaxNameBytes)
		}
		return ValidHash(f.Hash)
	case fieldMeta:
		return validBase64(f.Meta, MaxSealed)
	case fieldEncryptedData:
		return validBase64(f.EncryptedData, MaxSealed)
	}
	return true
}
