package protocol

// serverUses is the fields of each frame that servers send.
var serverUses = [...]fieldSet{
	TypeInitFile:   clientUses[TypeInitFile],
	TypeEndFile:    clientUses[TypeEndFile],
	TypeCancelFile: clientUses[TypeCancelFile],
	TypeInitResponse: failure | fieldsOf(fieldSuccess, fieldSessionName, fieldProtocol, fieldUserID, fieldClientID, fieldResumed,
		fieldServerTime, fieldKeyCheck, fieldTopics, fieldLimits),
	TypeSubscribeResponse:         failure | fieldsOf(fieldSuccess, fieldTopic),
	TypeUnsubscribeResponse:       failure | fieldsOf(fieldSuccess, fieldTopic),
	TypeMessage:                   fieldsOf(fieldMessageID, fieldTopic, fieldTimestamp, fieldQoS, fieldRetry, fieldReplay, fieldSeq, fieldHash, fieldData),
	TypeAckReceived:               fieldsOf(fieldMessageID, fieldTopic, fieldSeq),
	TypePublishResponse:           failure | fieldsOf(fieldSuccess, fieldMessageID, fieldTopic, fieldDeliveredTo),
	TypeFCMTokenResponse:          failure | fieldsOf(fieldSuccess, fieldUserID, fieldDeviceID),
	TypeFCMUnregisterResponse:     failure | fieldsOf(fieldSuccess, fieldUserID, fieldDeviceID),
	TypeRegisteredDevicesResponse: failure | fieldsOf(fieldSuccess, fieldUserID, fieldDevices),
	TypePong:                      fieldsOf(fieldServerTime),
	TypeFileProgress:              fieldsOf(fieldFileID, fieldReceivers, fieldAcked, fieldDone),
	TypeFileError:                 failure | fieldsOf(fieldFileID, fieldTopic),
	TypeError:                     failure | fieldsOf(fieldMessageID, fieldTopic, fieldFileID),
	TypeReconnect:                 fieldsOf(fieldAfterMs, fieldReason),
}

const failure fieldSet = 1<<fieldCode | 1<<fieldError | 1<<fieldRetryable

// has reports whether f's frame is written with a k.
func (f *ServerFrame) has(k field) bool {
	switch k {
	case fieldMessageID:
		return f.MessageID != nil
	case fieldTopic:
		return f.Topic != nil
	case fieldFileID:
		return f.FileID != nil
	case fieldSessionName:
		return f.SessionName != nil
	case fieldProtocol:
		return f.Protocol != 0
	case fieldUserID:
		return f.UserID != nil
	case fieldClientID:
		return f.ClientID != nil
	case fieldDeviceID:
		return f.DeviceID != nil
	case fieldFileName:
		return f.FileName != nil
	case fieldMeta:
		return f.Meta != nil
	case fieldHash:
		return f.Hash != nil
	case fieldKeyCheck:
		return f.KeyCheck != ""
	case fieldReason:
		return f.Reason != ""
	case fieldQoS:
		return f.QoS == 0
	case fieldRetry:
		return f.Retry > 0
	case fieldReplay:
		return f.Replay
	case fieldSeq:
		return f.Seq > 0
	case fieldServerTime:
		return f.Success || f.Type == TypePong
	case fieldResumed, fieldTopics, fieldLimits, fieldDevices, fieldDeliveredTo:
		return f.Success
	case fieldCode, fieldError:
		return f.Code != ""
	case fieldRetryable:
		return f.Retryable || f.Type == TypePublishResponse && f.Code != ""
	}
	return true
}
