package session

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/fastport/fastport/storage"
)

// wakeDelay is how long a stored message waits before anybody is woken for it: what comes in a burst is one push, and
// most acks have come by then.
const wakeDelay = time.Second

// errNoSealer: push credentials are stored, and there is no key to open them.
var errNoSealer = errors.New("session: push credentials do not open: there is no MASTER_KEY")

// Row under which a device's token is sealed: the table, session, user and device.
const sealDevices = "device_tokens"

// PushConfig opens a session's own Firebase project, as it was sealed when the session was made. nil: it has none, or
// has turned it off.
func (c *Catalog) PushConfig(session string, sealed []byte) (*FCMConfig, error) {
	if len(sealed) == 0 {
		return nil, nil
	}
	if c.sealer == nil {
		return nil, errNoSealer
	}
	text, err := c.sealer.Open(sealed, sealTable, session, sealFCMConfig)
	if err != nil {
		return nil, err
	}
	defer clear(text)
	var f FCMConfig
	if err := json.Unmarshal(text, &f); err != nil || !f.Enabled {
		return nil, err
	}
	return &f, nil
}

// DeviceToken opens a device's push token.
func (c *Catalog) DeviceToken(d storage.Device) (string, error) {
	if c.sealer == nil {
		return "", errNoSealer
	}
	text, err := c.sealer.Open(d.Token, sealDevices, d.Session, d.User, d.ID)
	return string(text), err
}

// pushKey opens the key of a session's push envelopes; nil: it was made without one.
func (c *Catalog) pushKey(s storage.Session) ([]byte, error) {
	if len(s.FCMKey) == 0 {
		return nil, nil
	}
	if c.sealer == nil {
		return nil, errNoSealer
	}
	return c.sealer.Open(s.FCMKey, sealTable, s.ID, sealFCMKey)
}

// sealToken seals a device's push token for the store.
func (c *Catalog) sealToken(d storage.Device, token string) ([]byte, error) {
	if c.sealer == nil {
		return nil, errNoSealer
	}
	return c.sealer.Seal([]byte(token), sealDevices, d.Session, d.User, d.ID), nil
}
