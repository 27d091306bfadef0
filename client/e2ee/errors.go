package e2ee

import (
	"encoding/hex"
	"errors"
)

var (
	// ErrMalformed means that what came has not the form of a sealed text at all.
	ErrMalformed = errors.New("e2ee: malformed")
	// ErrAuthentication means that it was not sealed under this key for this place, or was changed. Why is not told,
	// not even for suite 1, where telling a bad padding from a bad text would open messages to whoever sends forgeries.
	ErrAuthentication = errors.New("e2ee: authentication failed")
	// ErrReplay means that this very message was accepted before.
	ErrReplay = errors.New("e2ee: replayed")
	// ErrWeakKey refuses a key that anyone would guess: all bytes equal, or counting.
	ErrWeakKey = errors.New("e2ee: weak key: make one with fastport keygen")
)

// UnknownKeyError means that a message was sealed with a key that the ring does not hold. The key may come later.
type UnknownKeyError struct{ KID [4]byte }

func (e *UnknownKeyError) Error() string {
	return "e2ee: unknown key " + hex.EncodeToString(e.KID[:])
}
