package client

import (
	"context"

	"github.com/fastport/fastport/client/e2ee"
	"github.com/fastport/fastport/protocol"
)

// RegisterFCMToken registers a push token for a user, sealed. It makes the client's subscriptions that user's, where the client
// has neither a ClientID nor a UserID.
func (c *Client) RegisterFCMToken(ctx context.Context, userID string, d e2ee.Device) error {
	return c.device(ctx, protocol.TypeRegisterFCMToken, protocol.TypeFCMTokenResponse, userID, d)
}

// UnregisterFCMToken forgets the device of a user with d's DeviceID; the rest of d may be empty.
func (c *Client) UnregisterFCMToken(ctx context.Context, userID string, d e2ee.Device) error {
	return c.device(ctx, protocol.TypeUnregisterFCMToken, protocol.TypeFCMUnregisterResponse, userID, d)
}

// RegisteredDevices lists a user's registered devices.
func (c *Client) RegisteredDevices(ctx context.Context, userID string) ([]protocol.Device, error) {
	if err := c.open(); err != nil {
		return nil, err
	}
	return c.requests.do(ctx, &request{
		frame: protocol.ClientFrame{Type: protocol.TypeGetRegisteredDevices, UserID: []byte(userID), QoS: 1},
		want:  protocol.TypeRegisteredDevicesResponse, about: userID,
	})
}

func (c *Client) device(ctx context.Context, typ, want protocol.Type, userID string, d e2ee.Device) error {
	if err := c.open(); err != nil {
		return err
	}
	sealed, err := c.o.Keys.SealDevice(userID, d)
	if err != nil {
		return err
	}
	_, err = c.requests.do(ctx, &request{
		frame: protocol.ClientFrame{
			Type: typ, UserID: []byte(userID), EncryptedData: []byte(sealed), Hash: []byte(e2ee.Hash([]byte(sealed))), QoS: 1,
		},
		want: want, about: userID,
	})
	return err
}
