package session

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"

	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/storage"
)

// logRegistered is what operators search for; docs/push.md quotes it.
const logRegistered = "[FCM] Device token registered"

var errNoPushKey = protocol.Errorf(protocol.BadRequest, "this session takes no devices: it was created with neither encryptionKey nor fcmKey")

// deviceFrame is what a register_fcm_token or unregister_fcm_token frame asks for.
type deviceFrame struct {
	forget             bool
	user, sealed, hash string
}

func deviceOf(f *protocol.ClientFrame, forget bool) deviceFrame {
	return deviceFrame{forget: forget, user: string(f.UserID), sealed: string(f.EncryptedData), hash: string(f.Hash)}
}

// device answers register_fcm_token and unregister_fcm_token.
func (c *Conn) device(ctx context.Context, d deviceFrame) {
	asked, answered := protocol.TypeRegisterFCMToken, protocol.TypeFCMTokenResponse
	if d.forget {
		asked, answered = protocol.TypeUnregisterFCMToken, protocol.TypeFCMUnregisterResponse
	}
	id, err := c.changeDevice(ctx, d)
	if err != nil {
		c.refuse(&protocol.ClientFrame{Type: asked, UserID: []byte(d.user)}, err)
		return
	}
	c.answer(LaneControl, &protocol.ServerFrame{Type: answered, Success: true, UserID: []byte(d.user), DeviceID: []byte(id)})
}

// changeDevice stores or forgets a device, and returns its ID. Who registers for a user is that user's from then on.
func (c *Conn) changeDevice(ctx context.Context, d deviceFrame) (id string, err error) {
	n := c.node
	if sum := sha256.Sum256([]byte(d.sealed)); hex.EncodeToString(sum[:]) != d.hash {
		return "", protocol.Errorf(protocol.HashMismatch, "hash: is not the SHA-256 of encryptedData")
	}
	row, err := n.catalog.Lookup(ctx, c.tenant.name)
	if err != nil {
		return "", err
	}
	key, err := n.catalog.pushKey(row)
	if err != nil {
		n.log.Error("a session's push key does not open", slog.String("session", row.Name), slog.Any("error", err))
		return "", errStore
	}
	if key == nil {
		return "", errNoPushKey
	}
	defer clear(key)
	tokenMin := 1
	if d.forget {
		tokenMin = 0
	}
	e, err := openEnvelope(key, d.user, d.sealed, tokenMin)
	if err != nil {
		return "", err
	}
	device := storage.Device{Session: c.tenant.id, User: d.user, ID: e.DeviceID, Platform: e.Platform}
	if d.forget {
		_, err := n.store.DeleteDevice(ctx, device.Session, device.User, device.ID, nil)
		return e.DeviceID, deviceRefusal(err)
	}
	if device.Token, err = n.catalog.sealToken(device, e.FCMToken); err != nil {
		return "", errStore
	}
	if err := n.store.SaveDevice(ctx, device); err != nil {
		return "", deviceRefusal(err)
	}
	if err := c.belong(ctx, d.user); err != nil {
		return "", err
	}
	n.log.Info(logRegistered, slog.String("session", row.Name), slog.String("platform", e.Platform))
	return e.DeviceID, nil
}

func deviceRefusal(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, storage.ErrNoSession):
		return errSessionGone
	case errors.Is(err, storage.ErrQuota):
		return protocol.Errorf(protocol.QuotaExceeded, "this user has their full number of devices: unregister one")
	case errors.Is(err, storage.ErrInvalid):
		return protocol.Errorf(protocol.BadRequest, "userId, deviceId: hold text that cannot be stored")
	}
	return errStore
}

// devices answers get_registered_devices.
func (c *Conn) devices(ctx context.Context, user string) {
	f := &protocol.ClientFrame{Type: protocol.TypeGetRegisteredDevices, UserID: []byte(user)}
	list, err := c.node.store.Devices(ctx, c.tenant.id, []string{user})
	if err != nil {
		c.refuse(f, errStore)
		return
	}
	answer := &protocol.ServerFrame{Type: protocol.TypeRegisteredDevicesResponse, Success: true, UserID: f.UserID, Devices: []protocol.Device{}}
	for _, d := range list {
		answer.Devices = append(answer.Devices, protocol.Device{DeviceID: d.ID, Platform: d.Platform,
			CreatedAt: d.CreatedAt.UnixMilli(), UpdatedAt: d.UpdatedAt.UnixMilli()})
	}
	c.answer(LaneControl, answer)
}

// belong makes the connection's messages a user's, who is woken for them: a client's by a note in the store, those of a
// connection that is nobody yet by making it the user's.
func (c *Conn) belong(ctx context.Context, user string) error {
	switch {
	case c.client != "":
		return c.own(ctx, c.subscriber.key, user)
	case c.user != "":
		return nil // that user's for good, whoever else it registers a device for
	default:
		return c.adopt(ctx, user)
	}
}

// own notes whose a client is.
func (c *Conn) own(ctx context.Context, client storage.Subscriber, user string) error {
	return deviceRefusal(c.node.store.Own(ctx, c.tenant.id, client, user))
}

// adopt turns an ephemeral connection, with its subscriptions, into a user's. What is out on it stays out, and is sent
// again until it is acked; what is published from here on is owed to the user, whether they are connected or not.
func (c *Conn) adopt(ctx context.Context, user string) error {
	t, key := c.tenant, userSubscriber(user)
	release, err := c.node.turns.take(ctx, turn{t.id, key})
	if err != nil {
		return errStore
	}
	defer release()
	s := t.subscriber(key)
	bump := len(t.connsOf(s)) == 0 && !c.node.elsewhere(ctx, t, key)
	rows, err := c.node.store.Attach(ctx, t.id, key, bump)
	if err != nil {
		return errStore
	}
	t.reattach(s, rows)
	held := map[string]storage.Subscription{}
	for _, row := range rows {
		held[row.Topic.Name] = row
	}
	c.mu.Lock()
	old := append([]*feed(nil), c.feeds...)
	c.mu.Unlock()
	for _, f := range old {
		if _, has := held[f.topic.name]; has {
			continue
		}
		row, err := c.node.store.Subscribe(ctx, key, f.topic.stored(), false)
		if err != nil {
			return subscribeRefusal(err)
		}
		c.node.observe(row.Epoch)
		held[f.topic.name] = row
	}
	if !t.become(c, s, user) {
		return errSessionGone
	}
	c.node.presence.write(ctx, t, key)
	for _, f := range old {
		c.replace(f, t.acquire(s, held[f.topic.name]), held[f.topic.name].Head)
	}
	return nil
}

// replace puts a durable feed in an ephemeral one's place. What comes in between reaches it from the store.
func (c *Conn) replace(old *feed, sub *subscription, head uint64) {
	c.end(old)
	if f := c.follow(old.topic, sub, head); f != nil {
		old.topic.fence(func(error) { f.open() })
	}
}
