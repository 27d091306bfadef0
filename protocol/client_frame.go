package protocol

// Type is a text frame's "type".
type Type uint8

const (
	TypeUnknown Type = iota
	// Sent by clients.
	TypeInit
	TypeSubscribe
	TypeUnsubscribe
	TypePublish
	TypeAck
	TypeRegisterFCMToken
	TypeUnregisterFCMToken
	TypeGetRegisteredDevices
	TypePing
	TypeFileAck
	TypeFileResume
	// Sent by both: relayed to receivers with the fields they were sent with.
	TypeInitFile
	TypeEndFile
	TypeCancelFile
	// Sent by servers.
	TypeInitResponse
	TypeSubscribeResponse
	TypeUnsubscribeResponse
	TypeMessage
	TypeAckReceived
	TypePublishResponse
	TypeFCMTokenResponse
	TypeFCMUnregisterResponse
	TypeRegisteredDevicesResponse
	TypePong
	TypeFileProgress
	TypeFileError
	TypeError
	TypeReconnect
)

// ClientFrame is any text frame that a client sends; Type says which fields count. Parse fills it without
// allocation where the JSON has no escapes: byte fields may alias the input, and are valid until it or the frame is
// reused. A byte field is nil where it was absent, and not nil where it was "".
type ClientFrame struct {
	Type Type

	SessionName []byte
	Password    []byte
	UserID      []byte
	ClientID    []byte
	Protocol    int // as sent; 0 where absent, which means 1

	Topic        []byte
	MessageID    []byte
	MessageIDs   [][]byte // ack, version 2
	Data         []byte   // unescaped
	Hash         []byte
	Timestamp    int64 // ms
	HasTimestamp bool
	Retry        bool
	QoS          uint8 // 1 where absent
	HasData      bool  // "data" was there, if only ""

	FileID      []byte
	FileName    []byte
	Meta        []byte
	FileSize    int64 // after Parse -1 where absent, as the two below
	TotalChunks int64
	Next        int64

	EncryptedData []byte

	// scratch holds unescaped strings; owned by the frame, reused by Parse.
	scratch []byte
}
