package client

import (
	"slices"
	"testing"

	"github.com/fastport/fastport/client/e2ee"
	"github.com/fastport/fastport/protocol"
)

func TestDevices_AreRegisteredSealedAndListed(t *testing.T) {
	p := newPeer(t)
	c, k := connect(t, p, nil)
	d := e2ee.Device{FCMToken: "token", DeviceID: "phone", Platform: "android"}
	p.wg.Go(func() {
		for _, answer := range []protocol.Type{protocol.TypeFCMTokenResponse, protocol.TypeFCMUnregisterResponse} {
			f := k.next()
			got, err := c.o.Keys.OpenDevice("alice", string(f.EncryptedData))
			if err != nil || got != d || string(f.Hash) != e2ee.Hash(f.EncryptedData) {
				t.Errorf("%v carries %+v, %v, want %+v", f.Type, got, err, d)
			}
			k.send(protocol.ServerFrame{Type: answer, Success: true, UserID: []byte("alice"), DeviceID: []byte("phone")})
		}
	})
	ctx := testContext(t)
	if err := c.RegisterFCMToken(ctx, "alice", d); err != nil {
		t.Fatal(err)
	}
	if err := c.UnregisterFCMToken(ctx, "alice", d); err != nil {
		t.Fatal(err)
	}
	want := []protocol.Device{{DeviceID: "phone", Platform: "android", CreatedAt: 1, UpdatedAt: 2}}
	p.wg.Go(func() {
		k.expect(protocol.TypeGetRegisteredDevices)
		k.send(protocol.ServerFrame{Type: protocol.TypeRegisteredDevicesResponse, Success: true, UserID: []byte("alice"), Devices: want})
		k.expect(protocol.TypeGetRegisteredDevices)
		k.send(protocol.ServerFrame{Type: protocol.TypeRegisteredDevicesResponse, UserID: []byte("bob"), Code: protocol.Unavailable, Text: "no"})
	})
	if list, err := c.RegisteredDevices(ctx, "alice"); err != nil || !slices.Equal(list, want) {
		t.Errorf("RegisteredDevices = %+v, %v, want %+v", list, err, want)
	}
	if _, err := c.RegisteredDevices(ctx, "bob"); !IsCode(err, protocol.Unavailable) {
		t.Errorf("RegisteredDevices = %v, want %v", err, protocol.Unavailable)
	}
}
