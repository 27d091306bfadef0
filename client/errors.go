package client

import (
	"errors"
	"fmt"

	"github.com/fastport/fastport/protocol"
)

// What the server refuses is a [*protocol.Error]; switch on its Code. These are the client's own:
var (
	// ErrClosed means that the client was closed.
	ErrClosed = errors.New("client: closed")
	// ErrQueueFull means that the connection is down and no more is queued.
	ErrQueueFull = errors.New("client: not connected and the queue is full")
	// ErrLost means that the connection was lost after something that is sent once only had gone out.
	ErrLost = errors.New("client: connection lost: it may or may not have arrived")
	// ErrTakenOver means that a newer connection uses this ClientID. This client has ended.
	ErrTakenOver = errors.New("client: taken over by a newer connection of the same client id")
	// ErrSubscribed means that the topic has a handler already.
	ErrSubscribed = errors.New("client: already subscribed")
	// ErrDuplicate means that a message of this topic and id is being published already.
	ErrDuplicate = errors.New("client: this message id is being published already")
	// ErrLegacy means that a message or file of suite 1 came, and AllowLegacy is not set.
	ErrLegacy = errors.New("client: refused: sealed with suite 1, which is not allowed here")
	// ErrSilent means that the server did not answer in time.
	ErrSilent = errors.New("client: no answer from the server")
	// ErrStalled means that a file made no progress for too long.
	ErrStalled = errors.New("client: file transfer stalled")
	// ErrCorrupt means that a file did not arrive as it was sent.
	ErrCorrupt = errors.New("client: file is not as it was sent")
	// ErrSource means that a file's source gave less, more or other bytes than it promised.
	ErrSource = errors.New("client: file changed while it was sent")
)

// CloseError is how the server ended a connection.
type CloseError struct {
	Code   protocol.CloseCode
	Reason string
}

func (e *CloseError) Error() string {
	return fmt.Sprintf("client: connection closed by the server: %d %s", e.Code, e.Reason)
}

// ConnectionError tells OnError why a connection was lost. The client makes another by itself.
type ConnectionError struct{ Err error }

func (e *ConnectionError) Error() string { return "client: connection lost: " + e.Err.Error() }

func (e *ConnectionError) Unwrap() error { return e.Err }

// MessageError tells OnError about one message.
type MessageError struct {
	Topic     string
	MessageID string
	Err       error // from package e2ee, ErrLegacy, or what the handler returned
}

func (e *MessageError) Error() string {
	return fmt.Sprintf("client: message %s on %s: %v", e.MessageID, e.Topic, e.Err)
}

func (e *MessageError) Unwrap() error { return e.Err }

// SubscriptionError tells OnError that a topic could not be subscribed again with a new connection.
type SubscriptionError struct {
	Topic string
	Err   error
}

func (e *SubscriptionError) Error() string {
	return fmt.Sprintf("client: subscribe %s again: %v", e.Topic, e.Err)
}

func (e *SubscriptionError) Unwrap() error { return e.Err }

// FileError tells OnError about one file that was coming in.
type FileError struct {
	Topic  string
	FileID string
	Name   string // where it is known
	Err    error
}

func (e *FileError) Error() string {
	return fmt.Sprintf("client: file %s %q on %s: %v", e.FileID, e.Name, e.Topic, e.Err)
}

func (e *FileError) Unwrap() error { return e.Err }

// IsCode reports whether err is the server's refusal with this code.
func IsCode(err error, code protocol.Code) bool {
	var refused *protocol.Error
	return errors.As(err, &refused) && refused.Code == code
}

// fatal reports whether trying again cannot help: err ends the client.
func fatal(err error) bool {
	var closed *CloseError
	if errors.As(err, &closed) {
		switch closed.Code {
		case protocol.CloseTakenOver, protocol.CloseSessionGone, protocol.CloseNotAuthenticated:
			return true
		}
		return false
	}
	var refused *protocol.Error
	if errors.As(err, &refused) {
		switch refused.Code {
		case protocol.Unavailable, protocol.RateLimited, protocol.Internal, protocol.QuotaExceeded:
			return false
		}
		return true
	}
	return errors.Is(err, ErrTakenOver) || errors.Is(err, errVersion)
}

var errVersion = errors.New("client: the server speaks version 1 only")
