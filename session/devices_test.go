package session

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/storage"
)

// pushBed is a bed whose session s takes devices and has a Firebase project.
type pushBed struct {
	*bed
	n   *bedNode
	at  storage.Session
	key []byte // of envelopes
	cat *Catalog
}

func onPushBed(t *testing.T, test func(b *pushBed)) {
	onBed(t, func(b *bed) {
		p := &pushBed{bed: b, key: randomKey()}
		sealer := mustSealer(t, randomKey(), nil)
		p.n = b.node(func(c *Config) {
			p.cat = NewCatalog(CatalogConfig{Store: b.store, Control: c.Backplane, Sealer: sealer})
			c.Catalog = p.cat
		})
		p.at = b.session("s", func(s *storage.Session) {
			s.FCMKey = sealer.Seal(p.key, sealTable, s.ID, sealFCMKey)
			s.FCMConfig = sealer.Seal([]byte(`{"projectId":"my-chat-app","privateKey":"k","clientEmail":"e","enabled":true}`), sealTable, s.ID, sealFCMConfig)
		})
		test(p)
	})
}

// seal makes the fields of a device's frame.
func (b *pushBed) seal(user, text string) string {
	block, _ := aes.NewCipher(b.key)
	aead, _ := cipher.NewGCM(block)
	raw := make([]byte, 12, 12+len(text)+16)
	rand.Read(raw)
	sealed := base64.StdEncoding.EncodeToString(aead.Seal(raw, raw, []byte(text), []byte(user)))
	sum := sha256.Sum256([]byte(sealed))
	return fmt.Sprintf(`"userId":%q,"encryptedData":%q,"hash":%q`, user, sealed, hex.EncodeToString(sum[:]))
}

func (b *pushBed) envelope(user, device string) string {
	return b.seal(user, fmt.Sprintf(`{"fcmToken":"token of %s","deviceId":%q,"platform":"ios"}`, device, device))
}

func (b *pushBed) register(d *device, user, id string) {
	b.Helper()
	d.send(`{"type":"register_fcm_token",` + b.envelope(user, id) + `}`)
	if f := d.last(protocol.TypeFCMTokenResponse); !f.Success || string(f.UserID) != user || string(f.DeviceID) != id {
		b.Fatalf("fcm_token_response = %+v", f)
	}
}

func TestDevices_AreRegisteredListedAndUnregistered(t *testing.T) {
	onPushBed(t, func(b *pushBed) {
		d := b.n.connect("s", "u:ann", 2)
		b.register(d, "ann", "phone")
		time.Sleep(time.Second)
		b.register(d, "ann", "pad")
		b.register(d, "ann", "phone") // again: a new token of the same
		d.send(`{"type":"get_registered_devices","userId":"ann"}`)
		f := d.last(protocol.TypeRegisteredDevicesResponse)
		if !f.Success || string(f.UserID) != "ann" || len(f.Devices) != 2 || f.Devices[0].DeviceID != "pad" || f.Devices[1].Platform != "ios" ||
			f.Devices[1].UpdatedAt <= f.Devices[1].CreatedAt {
			t.Errorf("registered_devices_response = %+v, want pad and phone", f)
		}
		for _, raw := range d.raw {
			if strings.Contains(raw, "token of") {
				t.Errorf("a token came back: %s", raw)
			}
		}
		d.send(`{"type":"unregister_fcm_token",` + b.seal("ann", `{"deviceId":"phone"}`) + `}`)
		if f := d.last(protocol.TypeFCMUnregisterResponse); !f.Success || string(f.DeviceID) != "phone" {
			t.Errorf("fcm_unregister_response = %+v", f)
		}
		d.send(`{"type":"get_registered_devices","userId":"ann"}`)
		if f := d.last(protocol.TypeRegisteredDevicesResponse); len(f.Devices) != 1 || f.Devices[0].DeviceID != "pad" {
			t.Errorf("registered_devices_response = %+v, want the pad", f)
		}
	})
}

func TestDevices_TokensAreSealedForTheirRow(t *testing.T) {
	onPushBed(t, func(b *pushBed) {
		b.register(b.n.connect("s", "u:ann", 2), "ann", "phone")
		list, err := b.store.Devices(t.Context(), b.at.ID, []string{"ann"})
		if err != nil || len(list) != 1 || strings.Contains(string(list[0].Token), "token") {
			t.Fatalf("devices = %q, %v; want one whose token is not readable", list, err)
		}
		if token, err := b.cat.DeviceToken(list[0]); err != nil || token != "token of phone" {
			t.Errorf("DeviceToken = %q, %v", token, err)
		}
		list[0].User = "bob"
		if token, err := b.cat.DeviceToken(list[0]); err == nil {
			t.Errorf("it opens in another user's row: %q", token)
		}
		if f, err := b.cat.PushConfig(b.at.ID, b.at.FCMConfig); err != nil || f.ProjectID != "my-chat-app" {
			t.Errorf("PushConfig = %+v, %v", f, err)
		}
	})
}

func TestDevices_BadEnvelopesAreRefusedByName(t *testing.T) {
	onPushBed(t, func(b *pushBed) {
		b.session("keyless")
		d := b.n.connect("s", "u:ann", 2)
		for name, test := range map[string]struct {
			frame string
			want  protocol.Code
		}{
			"another user's":  {strings.Replace(b.envelope("ann", "phone"), `"ann"`, `"bob"`, 1), protocol.KeyMismatch},
			"no base64":       {`"userId":"ann","encryptedData":"?","hash":"` + strings.Repeat("0", 64) + `"`, protocol.BadRequest},
			"altered":         {`"userId":"ann","encryptedData":"AAAA","hash":"` + strings.Repeat("0", 64) + `"`, protocol.HashMismatch},
			"good":            {b.envelope("ann", "phone"), ""},
			"no object":       {b.seal("ann", `[]`), protocol.BadRequest},
			"no token":        {b.seal("ann", `{"deviceId":"phone","platform":"ios"}`), protocol.BadRequest},
			"no device":       {b.seal("ann", `{"fcmToken":"t","platform":"ios"}`), protocol.BadRequest},
			"control":         {b.seal("ann", `{"fcmToken":"t\n","deviceId":"phone"}`), protocol.BadRequest},
			"a giant's token": {b.seal("ann", `{"fcmToken":"`+strings.Repeat("x", 4097)+`","deviceId":"phone"}`), protocol.BadRequest},
		} {
			d.send(`{"type":"register_fcm_token",` + test.frame + `}`)
			if f := d.last(protocol.TypeFCMTokenResponse); f.Code != test.want || f.Success != (test.want == "") {
				t.Errorf("%s: %+v, want code %q", name, f, test.want)
			}
		}
		other := b.n.connect("keyless", "u:ann", 2)
		other.send(`{"type":"register_fcm_token",` + b.envelope("ann", "phone") + `}`)
		if f := other.last(protocol.TypeFCMTokenResponse); f.Code != protocol.BadRequest {
			t.Errorf("in a session without a key: %+v, want bad_request", f)
		}
	})
}

func TestDevices_HaveALimitAUser(t *testing.T) {
	onPushBed(t, func(b *pushBed) {
		d := b.n.connect("s", "u:ann", 2)
		for i := range protocol.MaxDevices {
			b.register(d, "ann", fmt.Sprint("d", i))
		}
		d.send(`{"type":"register_fcm_token",` + b.envelope("ann", "more") + `}`)
		if f := d.last(protocol.TypeFCMTokenResponse); f.Code != protocol.QuotaExceeded {
			t.Errorf("one more: %+v, want quota_exceeded", f)
		}
	})
}

func TestAdopt_EphemeralConnectionBecomesTheUsersWithItsSubscriptions(t *testing.T) {
	for _, version := range []int{1, 2} {
		onPushBed(t, func(b *pushBed) {
			d, sender := b.n.connect("s", "", version), b.n.connect("s", "", 2)
			d.subscribe("t")
			sender.publish("t", "m1")
			d.wantGot("m1")
			b.register(d, "ann", "phone")
			sender.publish("t", "m2")
			d.wantGot("m2")
			d.ack("m2")
			sender.wantAcks("m1 m2=1")
			time.Sleep(6 * time.Second)
			d.wantGot("m1+1") // what was out before stays out
			d.ack("m1")
			d.leave()
			sender.publish("t", "m3")
			again := b.n.connect("s", "u:ann", version)
			if version == protocol.Version1 {
				again.subscribe("t")
			}
			again.wantGot("m3!")
		})
	}
}

func TestAdopt_LosesNothingThatIsPublishedMeanwhile(t *testing.T) {
	onPushBed(t, func(b *pushBed) {
		d, sender := b.n.connect("s", "", 2), b.n.connect("s", "", 2)
		d.subscribe("t")
		var want []string
		for i := range 60 {
			id := fmt.Sprint("m", i)
			want = append(want, id)
			sender.hand(publishFrame("t", id))
			if i == 30 {
				d.hand(`{"type":"register_fcm_token",` + b.envelope("ann", "phone") + `}`)
			}
		}
		time.Sleep(time.Second)
		seen := map[string]bool{}
		for _, id := range strings.Fields(d.got()) {
			plain := strings.TrimRight(id, "!")
			if seen[plain] && plain == id {
				t.Errorf("%s came twice, and the second is not flagged", id)
			}
			seen[plain] = true
		}
		for _, id := range want {
			if !seen[id] {
				t.Errorf("%s did not come", id)
			}
		}
	})
}

func TestWake_IsAskedForWhereTheSessionHasAProject(t *testing.T) {
	onPushBed(t, func(b *pushBed) {
		b.session("plain")
		for _, session := range []string{"s", "plain"} {
			sub, sender := b.n.connect(session, "u:ann", 2), b.n.connect(session, "", 2)
			sub.subscribe("t")
			sub.leave()
			sender.publish("t", "m1")
		}
		time.Sleep(2 * wakeDelay)
		rows, err := b.store.ClaimWakes(t.Context(), 10, time.Minute, nil)
		if err != nil || len(rows) != 1 || rows[0].SessionName != "s" || rows[0].MessageID != "m1" {
			t.Errorf("the outbox holds %+v, %v; want the one of the session with a project", rows, err)
		}
	})
}

func TestOwn_ClientOfAUserIsWokenAsThatUser(t *testing.T) {
	onPushBed(t, func(b *pushBed) {
		d := b.n.dial("client of a user")
		d.send(`{"type":"init","sessionName":"s","password":"password","protocol":2,"clientId":"laptop","userId":"ann"}`)
		d.subscribe("t")
		plain := b.n.connect("s", "c:tablet", 2)
		plain.subscribe("t")
		b.register(plain, "bob", "tablet")
		d.leave()
		plain.leave()
		b.n.connect("s", "", 2).publish("t", "m1")
		owed, err := b.store.Owed(t.Context(), storage.Topic{Session: b.at.ID, Name: "t"}, []uint64{1}, "", 10)
		if err != nil || fmt.Sprint(owed) != "[{c:laptop ann 1} {c:tablet bob 1}]" {
			t.Errorf("owed = %v, %v; want the laptop ann's and the tablet bob's", owed, err)
		}
	})
}
