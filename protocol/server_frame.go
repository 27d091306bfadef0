package protocol

// ServerFrame is any text frame that a server sends; Type says which fields count. The same rules of
// aliasing and absence as for [ClientFrame] hold. The hot ones (message, ack_received) have Append functions of their own.
type ServerFrame struct {
	Type    Type
	Success bool
	Code    Code
	Text    string // the "error" field

	SessionName []byte
	Protocol    int // 0: absent
	ClientID    []byte
	UserID      []byte
	DeviceID    []byte
	Resumed     bool
	Topics      []string
	ServerTime  int64 // ms
	KeyCheck    string
	Limits      SessionLimits

	Topic       []byte
	MessageID   []byte
	Data        []byte
	Hash        []byte
	Timestamp   int64
	QoS         uint8 // message: 1 where absent
	Retry       int   // message: 0 on a first try
	Replay      bool
	Seq         uint64 // 0 where absent
	DeliveredTo int
	Retryable   bool

	FileID      []byte
	FileName    []byte
	Meta        []byte
	FileSize    int64
	TotalChunks int64
	Receivers   int
	Acked       int64
	Done        bool

	Devices []Device

	AfterMs int64
	Reason  string

	scratch []byte
}

// SessionLimits is the "limits" object of init_response.
type SessionLimits struct {
	MaxPayload        int   // bytes
	MaxInFlight       int   // messages
	ChunkSize         int   // bytes of plaintext
	RetryInterval     int64 // ms
	MessageExpiryTime int64 // ms, the server's cap where the session has none
}

// Device is a registered push device, without its token.
type Device struct {
	DeviceID  string
	Platform  string
	CreatedAt int64 // ms
	UpdatedAt int64 // ms
}
