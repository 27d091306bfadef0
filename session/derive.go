package session

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// Sizes of what belongs to a session's root key.
const (
	rootKeySize  = 32
	fcmKeySize   = 32
	keyCheckSize = 16
)

// derived is what a server may know of a session's root key: the key of push registrations, and a check by which a
// client finds out that it holds another root key. Neither leads back to it, nor to any message.
type derived struct {
	fcmKey   []byte
	keyCheck string
}

// derive computes both from the root key, salted by the session's name.
func derive(root []byte, name string) (derived, error) {
	fcmKey, err := hkdf.Key(sha256.New, root, []byte(name), "fastport/2/fcm", fcmKeySize)
	if err != nil {
		return derived{}, fmt.Errorf("session: derive: %w", err)
	}
	check, err := hkdf.Key(sha256.New, root, []byte(name), "fastport/2/keycheck", keyCheckSize)
	if err != nil {
		return derived{}, fmt.Errorf("session: derive: %w", err)
	}
	return derived{fcmKey: fcmKey, keyCheck: hex.EncodeToString(check)}, nil
}

// weakKey finds keys that nobody drew at random: all bytes equal, or counting up or down in any step.
func weakKey(key []byte) bool {
	if len(key) < 3 {
		return true
	}
	step := key[1] - key[0]
	for i := 2; i < len(key); i++ {
		if key[i]-key[i-1] != step {
			return false
		}
	}
	return true
}
