package protocol

import "time"

// Limits of the wire. What an operator may change is a setting whose default stands here.
const (
	MaxPayload     = 10 << 20 // bytes in a frame or an HTTP body (MAX_PAYLOAD_SIZE)
	MaxInFlight    = 256      // unacked messages out to one connection
	ChunkSize      = 64 << 10 // bytes of plaintext in a file chunk
	ChunkHeader    = 1 + 36 + 4
	FileWindow     = 64      // chunks beyond what every receiver has written
	FileAckEvery   = 16      // chunks between two file_ack at the most
	OutboxBytes    = 4 << 20 // queued for one connection (OUTBOX_BYTES)
	MaxTopics      = 1000    // a connection
	MaxOpenFiles   = 16      // a session
	MaxDevices     = 20      // a user
	MaxDepth       = 32      // of JSON
	MaxKeys        = 256     // in one JSON object
	MaxAckIDs      = 1024    // messageIds in one ack
	MaxFileName    = 1024    // bytes
	MaxSealed      = 8 << 10 // characters of meta, and of encryptedData
	MaxBadFrames   = 10      // in a row
	MaxNameBytes   = 128     // sessionName, userId, clientId, deviceId
	MaxTopicBytes  = 255
	MaxMessageID   = 64       // bytes
	MaxPassword    = 1024     // bytes
	MaxHeaderBytes = 16 << 10 // of an HTTP request
	MaxFragments   = 1024     // frames in a fragmented message
	LoginPayload   = 64 << 10 // bytes in a frame before its connection has logged in
	ControlBytes   = 64 << 10 // responses and errors queued for one connection
	FrameRate      = 1 << 10  // bytes a second that a half-received frame must make

	MaxConnectionsPerIP = 10_000 // MAX_CONNECTIONS_PER_IP
	MaxPending          = 20_000 // connections that have not logged in
	ConnectionRate      = 200    // new ones of an address a second (CONNECTION_RATE_LIMIT)
	ConnectionBurst     = 2_000

	InitTimeout       = 10 * time.Second
	HeaderTimeout     = 10 * time.Second
	FrameTimeout      = 10 * time.Second // for a half-received frame, besides what FrameRate grants
	PingInterval      = 25 * time.Second
	PongTimeout       = 10 * time.Second
	SlowConsumerAfter = 30 * time.Second // a full queue that nothing leaves
	CloseLinger       = 5 * time.Second  // between a close frame and the close
	DedupeWindow      = 15 * time.Minute
	MaxPast           = 10 * time.Minute // age of a suite 2 timestamp
	MaxFuture         = 5 * time.Minute
	MaxRetention      = 7 * 24 * time.Hour // MAX_RETENTION
	SenderAway        = 60 * time.Second   // a file's sender may be gone so long
	ReceiverStall     = 30 * time.Second   // a file's receiver may stand still so long

	DefaultRetryInterval      = 5 * time.Second
	DefaultMaxRetryLimit      = 100
	DefaultMessageExpiry      = time.Hour
	DefaultSubscriptionExpiry = 7 * 24 * time.Hour
)

// maxFileSize is the largest whole number that every client's language holds exactly.
const maxFileSize = 1<<53 - 1

// Versions of the protocol. Version 1 is that of the seed clients and stays for good.
const (
	Version1 = 1
	Version2 = 2
)
