package fcm

import (
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"time"

	"firebase.google.com/go/v4/messaging"
)

// Payload is what a push tells Google, the device's maker, and whoever looks at a lock screen.
type Payload string

// The payloads, by how much they say.
const (
	Wake   Payload = "wake"   // that there is something: topic, messageId, timestamp, session
	Notice Payload = "notice" // the same, shown by the system with the operator's title
	Sealed Payload = "sealed" // the same, with the sealed data where it fits
)

// Channel is the Android notification channel of a notice.
const Channel = "fastport_channel"

// maxData is FCM's bound on a push's data: keys and values together, in bytes.
const maxData = 4096

// maxTTL is FCM's own.
const maxTTL = 28 * 24 * time.Hour

// Push tells of one message.
type Push struct {
	Session   string // its name
	Topic     string
	MessageID string
	Timestamp int64  // ms, the publisher's
	Data      []byte // as published; used by Sealed alone
	TTL       time.Duration
}

// multicast makes the SDK's message. Devices show nothing of it by themselves but for a notice.
func (o *Options) multicast(p Push, tokens []string) *messaging.MulticastMessage {
	data := map[string]string{
		"topic": p.Topic, "messageId": p.MessageID, "timestamp": strconv.FormatInt(p.Timestamp, 10), "session": p.Session,
	}
	if o.Payload == Sealed && size(data)+len("data")+len(p.Data) <= maxData {
		data["data"] = string(p.Data)
	}
	ttl := min(max(p.TTL, 0), maxTTL)
	key := collapseKey(p.Session, p.Topic)
	m := &messaging.MulticastMessage{
		Tokens:  tokens,
		Data:    data,
		Android: &messaging.AndroidConfig{Priority: "high", TTL: &ttl, CollapseKey: key},
		APNS: &messaging.APNSConfig{
			Headers: map[string]string{
				"apns-push-type":   "background",
				"apns-priority":    "5", // Apple refuses another for background pushes
				"apns-collapse-id": key,
				"apns-expiration":  strconv.FormatInt(time.Now().Add(ttl).Unix(), 10),
			},
			Payload: &messaging.APNSPayload{Aps: &messaging.Aps{ContentAvailable: true}},
		},
	}
	if o.Payload == Notice {
		m.Notification = &messaging.Notification{Title: o.Title}
		m.Android.Notification = &messaging.AndroidNotification{ChannelID: Channel, Tag: key}
		m.APNS.Headers["apns-push-type"], m.APNS.Headers["apns-priority"] = "alert", "10"
	}
	return m
}

func size(data map[string]string) (n int) {
	for k, v := range data {
		n += len(k) + len(v)
	}
	return n
}

// collapseKey is one for all that is waiting on a topic: a device that was off wakes once. A hash, since Apple takes 64
// bytes at most and neither needs to read it.
func collapseKey(session, topic string) string {
	sum := sha256.Sum256([]byte(strconv.Itoa(len(session)) + ":" + session + topic))
	return base64.RawURLEncoding.EncodeToString(sum[:24])
}
