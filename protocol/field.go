package protocol

// field is a key of a frame. The order of the constants is the order in which frames are written: what a reader
// switches on comes first, what may be large comes last.
type field uint8

const (
	fieldNone field = iota
	fieldType
	fieldSuccess
	fieldSessionName
	fieldPassword
	fieldProtocol
	fieldUserID
	fieldClientID
	fieldDeviceID
	fieldResumed
	fieldMessageID
	fieldMessageIDs
	fieldTopic
	fieldFileID
	fieldFileName
	fieldFileSize
	fieldTotalChunks
	fieldNext
	fieldTimestamp
	fieldQoS
	fieldRetry
	fieldReplay
	fieldSeq
	fieldDeliveredTo
	fieldReceivers
	fieldAcked
	fieldDone
	fieldServerTime
	fieldKeyCheck
	fieldTopics
	fieldLimits
	fieldDevices
	fieldAfterMs
	fieldReason
	fieldCode
	fieldError
	fieldRetryable
	fieldHash
	fieldMeta
	fieldEncryptedData
	fieldData
	// Inside limits.
	fieldMaxPayload
	fieldMaxInFlight
	fieldChunkSize
	fieldRetryInterval
	fieldMessageExpiryTime
	// Inside devices.
	fieldPlatform
	fieldCreatedAt
	fieldUpdatedAt
)

// fieldTable is every field's key and what it takes, in the words of an error text.
var fieldTable = [...]struct{ name, takes string }{
	fieldType:              {"type", "the name of a frame"},
	fieldSuccess:           {"success", "true or false"},
	fieldSessionName:       {"sessionName", "1 to 128 of A-Z a-z 0-9 . _ @ -, a letter or digit first"},
	fieldPassword:          {"password", "a string of 1 to 1024 bytes"},
	fieldProtocol:          {"protocol", "a whole number from 1"},
	fieldUserID:            {"userId", "a string of 1 to 128 bytes without control characters"},
	fieldClientID:          {"clientId", "a string of 1 to 128 bytes without control characters"},
	fieldDeviceID:          {"deviceId", "a string of 1 to 128 bytes without control characters"},
	fieldResumed:           {"resumed", "true or false"},
	fieldMessageID:         {"messageId", "a string of 1 to 64 bytes without control characters"},
	fieldMessageIDs:        {"messageIds", "a list of 1 to 1024 messageIds, each a string of 1 to 64 bytes without control characters"},
	fieldTopic:             {"topic", "a string of 1 to 255 bytes without control characters, with no $ first"},
	fieldFileID:            {"fileId", "a UUID of 36 characters"},
	fieldFileName:          {"fileName", "a string of 1 to 1024 bytes without control characters"},
	fieldFileSize:          {"fileSize", "a whole number of bytes from 0 to 2^53-1"},
	fieldTotalChunks:       {"totalChunks", "a whole number from 0 to 2^32-1, and from 1 where fileSize is not 0"},
	fieldNext:              {"next", "a whole number from 0 to 2^32-1"},
	fieldTimestamp:         {"timestamp", "a whole number of milliseconds"},
	fieldQoS:               {"qos", "0 or 1"},
	fieldRetry:             {"retry", "true or false, a count in message"},
	fieldReplay:            {"replay", "true or false"},
	fieldSeq:               {"seq", "a whole number from 0"},
	fieldDeliveredTo:       {"deliveredTo", "a whole number from 0"},
	fieldReceivers:         {"receivers", "a whole number from 0"},
	fieldAcked:             {"acked", "a whole number from 0"},
	fieldDone:              {"done", "true or false"},
	fieldServerTime:        {"serverTime", "a whole number of milliseconds"},
	fieldKeyCheck:          {"keyCheck", "a string"},
	fieldTopics:            {"topics", "a list of strings"},
	fieldLimits:            {"limits", "an object"},
	fieldDevices:           {"devices", "a list of objects"},
	fieldAfterMs:           {"afterMs", "a whole number of milliseconds from 0"},
	fieldReason:            {"reason", "a string"},
	fieldCode:              {"code", "a string"},
	fieldError:             {"error", "a string"},
	fieldRetryable:         {"retryable", "true or false"},
	fieldHash:              {"hash", "a SHA-256 as 64 lower-case hex digits"},
	fieldMeta:              {"meta", "a string of 1 to 8192 base64url characters"},
	fieldEncryptedData:     {"encryptedData", "a string of 1 to 8192 base64 characters"},
	fieldData:              {"data", "a string"},
	fieldMaxPayload:        {"maxPayload", "a whole number of bytes"},
	fieldMaxInFlight:       {"maxInFlight", "a whole number"},
	fieldChunkSize:         {"chunkSize", "a whole number of bytes"},
	fieldRetryInterval:     {"retryInterval", "a whole number of milliseconds"},
	fieldMessageExpiryTime: {"messageExpiryTime", "a whole number of milliseconds"},
	fieldPlatform:          {"platform", "a string"},
	fieldCreatedAt:         {"createdAt", "a whole number of milliseconds"},
	fieldUpdatedAt:         {"updatedAt", "a whole number of milliseconds"},
}

func (f field) String() string { return fieldTable[f].name }

// refuse is the error of a field that holds something else than it takes.
func (f field) refuse() *Error {
	return &Error{Code: BadRequest, Text: f.String() + ": takes " + fieldTable[f].takes}
}

// missing is the error of a field that a frame of type t must have.
func (f field) missing(t Type) *Error {
	return &Error{Code: BadRequest, Text: f.String() + ": missing in " + t.String() + ", takes " + fieldTable[f].takes}
}

// fieldOf is the field of that exact key, fieldNone where there is none. A switch and not a walk through fieldTable:
// it runs for every key of every frame.
func fieldOf(key []byte) field {
	switch string(key) {
	case "type":
		return fieldType
	case "success":
		return fieldSuccess
	case "sessionName":
		return fieldSessionName
	case "password":
		return fieldPassword
	case "protocol":
		return fieldProtocol
	case "userId":
		return fieldUserID
	case "clientId":
		return fieldClientID
	case "deviceId":
		return fieldDeviceID
	case "resumed":
		return fieldResumed
	case "messageId":
		return fieldMessageID
	case "messageIds":
		return fieldMessageIDs
	case "topic":
		return fieldTopic
	case "fileId":
		return fieldFileID
	case "fileName":
		return fieldFileName
	case "fileSize":
		return fieldFileSize
	case "totalChunks":
		return fieldTotalChunks
	case "next":
		return fieldNext
	case "timestamp":
		return fieldTimestamp
	case "qos":
		return fieldQoS
	case "retry":
		return fieldRetry
	case "replay":
		return fieldReplay
	case "seq":
		return fieldSeq
	case "deliveredTo":
		return fieldDeliveredTo
	case "receivers":
		return fieldReceivers
	case "acked":
		return fieldAcked
	case "done":
		return fieldDone
	case "serverTime":
		return fieldServerTime
	case "keyCheck":
		return fieldKeyCheck
	case "topics":
		return fieldTopics
	case "limits":
		return fieldLimits
	case "devices":
		return fieldDevices
	case "afterMs":
		return fieldAfterMs
	case "reason":
		return fieldReason
	case "code":
		return fieldCode
	case "error":
		return fieldError
	case "retryable":
		return fieldRetryable
	case "hash":
		return fieldHash
	case "meta":
		return fieldMeta
	case "encryptedData":
		return fieldEncryptedData
	case "data":
		return fieldData
	case "maxPayload":
		return fieldMaxPayload
	case "maxInFlight":
		return fieldMaxInFlight
	case "chunkSize":
		return fieldChunkSize
	case "retryInterval":
		return fieldRetryInterval
	case "messageExpiryTime":
		return fieldMessageExpiryTime
	case "platform":
		return fieldPlatform
	case "createdAt":
		return fieldCreatedAt
	case "updatedAt":
		return fieldUpdatedAt
	}
	return fieldNone
}

// fieldSet is a set of fields: which ones a frame uses, or has had.
type fieldSet uint64

func fieldsOf(list ...field) (s fieldSet) {
	for _, f := range list {
		s |= 1 << f
	}
	return s
}

func (s fieldSet) has(f field) bool { return s&(1<<f) != 0 }
