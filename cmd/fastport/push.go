package main

import (
	"github.com/fastport/fastport/fcm"
	"github.com/fastport/fastport/session"
	"github.com/fastport/fastport/storage"
)

// newPusher makes what wakes users who are not connected. It costs a look at the outbox now and then where no session
// has a Firebase project.
func (n *Node) newPusher(catalog *session.Catalog) *fcm.Pusher {
	c := n.config
	sender := fcm.NewSender(fcm.Options{
		Endpoint: c.FCMEndpoint, TokenURL: c.FCMTokenURL, Payload: fcm.Payload(c.PushPayload), Title: c.PushTitle,
	})
	return fcm.NewPusher(fcm.Config{
		Store: n.store, Presence: n.plane, Vault: vault{catalog}, Sender: sender, Logger: n.log, After: c.PushAfter,
		Pushed: func(at storage.Topic, messageID, result string, devices int) {
			n.engine.Pushed(at.Session, at.Name, messageID, result, devices)
		},
	})
}

// vault opens what the catalog has sealed.
type vault struct{ catalog *session.Catalog }

func (v vault) Account(id string, sealed []byte) (fcm.Account, bool, error) {
	f, err := v.catalog.PushConfig(id, sealed)
	if err != nil || f == nil {
		return fcm.Account{}, false, err
	}
	return fcm.Account{ProjectID: f.ProjectID, PrivateKey: f.PrivateKey, ClientEmail: f.ClientEmail}, true, nil
}

func (v vault) Token(d storage.Device) (string, error) { return v.catalog.DeviceToken(d) }
