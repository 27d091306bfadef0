package storage

import "context"

// Sealed gives what stands sealed under MASTER_KEY to whoever changes the key: a session's FCMKey and FCMConfig, which
// Catalog.Sessions lists, and devices' tokens. Nobody else changes those of a session once it is made.
type Sealed interface {
	// ResealSession replaces what a session has sealed; its Version stays. ErrNotFound.
	ResealSession(ctx context.Context, id string, fcmKey, fcmConfig []byte) error
	// EveryDevice pages through the devices of all sessions, in the order of Session, User and ID: up to limit of them
	// behind after, of which only these three count.
	EveryDevice(ctx context.Context, after Device, limit int) ([]Device, error)
	// ResealDevice replaces a device's token, unless the device has another one by now than d says. It reports whether
	// it did.
	ResealDevice(ctx context.Context, d Device, token []byte) (bool, error)
}
