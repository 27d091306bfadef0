package protocol

// typeNames is the one table of frame types; Type is its index.
var typeNames = [...]string{
	TypeInit:                      "init",
	TypeSubscribe:                 "subscribe",
	TypeUnsubscribe:               "unsubscribe",
	TypePublish:                   "publish",
	TypeAck:                       "ack",
	TypeRegisterFCMToken:          "register_fcm_token",
	TypeUnregisterFCMToken:        "unregister_fcm_token",
	TypeGetRegisteredDevices:      "get_registered_devices",
	TypePing:                      "ping",
	TypeFileAck:                   "file_ack",
	TypeFileResume:                "file_resume",
	TypeInitFile:                  "init_file",
	TypeEndFile:                   "end_file",
	TypeCancelFile:                "cancel_file",
	TypeInitResponse:              "init_response",
	TypeSubscribeResponse:         "subscribe_response",
	TypeUnsubscribeResponse:       "unsubscribe_response",
	TypeMessage:                   "message",
	TypeAckReceived:               "ack_received",
	TypePublishResponse:           "publish_response",
	TypeFCMTokenResponse:          "fcm_token_response",
	TypeFCMUnregisterResponse:     "fcm_unregister_response",
	TypeRegisteredDevicesResponse: "registered_devices_response",
	TypePong:                      "pong",
	TypeFileProgress:              "file_progress",
	TypeFileError:                 "file_error",
	TypeError:                     "error",
	TypeReconnect:                 "reconnect",
}

// ParseType is the type of that wire name, TypeUnknown where there is none. Names are exact, case included.
func ParseType(name []byte) Type {
	for t := TypeInit; int(t) < len(typeNames); t++ {
		if string(name) == typeNames[t] {
			return t
		}
	}
	return TypeUnknown
}

// String is the type's wire name, "unknown" where it has none.
func (t Type) String() string {
	if t == TypeUnknown || int(t) >= len(typeNames) {
		return "unknown"
	}
	return typeNames[t]
}

// FromClient reports whether clients send frames of this type.
func (t Type) FromClient() bool { return t >= TypeInit && t <= TypeCancelFile }

// FromServer reports whether servers send frames of this type.
func (t Type) FromServer() bool { return t >= TypeInitFile && int(t) < len(typeNames) }
