package session

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/storage"
)

func TestInit_AnswersWithWhatAClientMustKnow(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s", func(s *storage.Session) { s.KeyCheck, s.MessageExpiry = "00112233445566778899aabbccddeeff", 0 })
		n := b.node()
		for _, version := range []int{1, 2} {
			f := n.connect("s", "u:me", version).last(protocol.TypeInitResponse)
			want := protocol.SessionLimits{MaxPayload: protocol.MaxPayload, MaxInFlight: protocol.MaxInFlight,
				ChunkSize: protocol.ChunkSize, RetryInterval: 5000, MessageExpiryTime: protocol.MaxRetention.Milliseconds()}
			if f.Limits != want || f.Protocol != version || string(f.SessionName) != "s" || string(f.UserID) != "me" ||
				f.KeyCheck != "00112233445566778899aabbccddeeff" || f.Resumed || f.ServerTime != time.Now().UnixMilli() {
				t.Errorf("init_response = %+v", f)
			}
		}
		if f := n.connect("s", "c:a", 9).last(protocol.TypeInitResponse); f.Protocol != 2 {
			t.Errorf("protocol = %d, want the newest that the server speaks", f.Protocol)
		}
		bare := n.dial("bare")
		bare.send(`{"type":"init","sessionName":"s","password":"password","userId":"","clientId":""}`)
		if f := bare.last(protocol.TypeInitResponse); !f.Success || f.Protocol != 1 || f.ClientID != nil {
			t.Errorf("init_response = %+v, want version 1 and nobody", f)
		}
	})
}

func TestInit_FailureIsAnsweredAndCloses(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		for _, c := range []struct {
			frame string
			want  protocol.Code
		}{
			{`{"type":"init","sessionName":"s","password":"wrong"}`, protocol.Unauthorized},
			{`{"type":"init","sessionName":"none","password":"password"}`, protocol.Unauthorized},
			{`{"type":"init","sessionName":"s"}`, protocol.BadRequest},
			{`{"type":"init","sessionName":"s","password":7}`, protocol.BadRequest},
		} {
			d := n.dial("x")
			d.send(c.frame)
			if f := d.last(protocol.TypeInitResponse); f.Success || f.Code != c.want {
				t.Errorf("%s: %+v, want %s", c.frame, f, c.want)
			}
			d.wantClosed(protocol.CloseNotAuthenticated)
			if d.peer.Ready() {
				t.Errorf("%s: ready", c.frame)
			}
		}
	})
}

func TestInit_StoreOutIsUnavailable(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		n.connect("s", "", 2) // the credentials are cached now
		b.store.fail(storage.ErrUnavailable)
		d := n.dial("x")
		d.send(`{"type":"init","sessionName":"s","password":"password","clientId":"a"}`)
		if f := d.last(protocol.TypeInitResponse); f.Success || f.Code != protocol.Unavailable {
			t.Errorf("init_response = %+v, want unavailable", f)
		}
	})
}

func TestInit_SecondIsAConflict(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		d := b.node().connect("s", "", 2)
		d.send(`{"type":"init","sessionName":"s","password":"password"}`)
		if f := d.last(protocol.TypeError); f.Code != protocol.Conflict {
			t.Errorf("error = %+v, want conflict", f)
		}
		d.wantClosed(0)
		d.publish("t", "m1")
		d.wantAcks("m1")
	})
}

func TestFrames_BeforeInitAreNotTaken(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		d := n.dial("x")
		for _, frame := range []string{publishFrame("t", "m1"), `{"type":"ping"}`, `{"type":"subscribe","topic":"t"}`} {
			d.send(frame)
			if f := d.last(protocol.TypeError); f.Code != protocol.NotInitialized {
				t.Errorf("%s: %+v, want not_initialized", frame, f)
			}
		}
		d.peer.Binary([]byte{2})
		if n.Stats().Publishes != 0 || d.peer.Ready() {
			t.Error("a frame before init was taken")
		}
	})
}

func TestFrames_TenBadOnesInARowClose(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		for name, bad := range map[string]func(d *device){
			"no JSON":      func(d *device) { d.send(`{"type`) },
			"unknown type": func(d *device) { d.send(`{"type":"frobnicate"}`) },
			"double key":   func(d *device) { d.send(`{"type":"ping","type":"ping"}`) },
			"binary":       func(d *device) { d.peer.Binary([]byte{7}) },
		} {
			d := n.connect("s", "", 2)
			for range protocol.MaxBadFrames - 1 {
				bad(d)
			}
			d.send(`{"type":"ping"}`)
			for range protocol.MaxBadFrames - 1 {
				bad(d)
			}
			if f := d.last(protocol.TypeError); f.Code != protocol.BadRequest {
				t.Errorf("%s: error = %+v, want bad_request", name, f)
			}
			d.wantClosed(0)
			bad(d)
			d.wantClosed(protocol.CloseProtocol)
		}
	})
}

func TestFrames_RefusedAnswersNameWhatTheyAnswer(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		d := b.node().connect("s", "", 2)
		for _, c := range []struct {
			frame string
			want  protocol.Type
			code  protocol.Code
		}{
			{`{"type":"subscribe","topic":""}`, protocol.TypeSubscribeResponse, protocol.BadRequest},
			{`{"type":"unsubscribe","topic":"$x"}`, protocol.TypeUnsubscribeResponse, protocol.BadRequest},
			{`{"type":"publish","topic":"$x","messageId":"m","data":"x"}`, protocol.TypePublishResponse, protocol.BadRequest},
			{`{"type":"register_fcm_token","userId":"u","encryptedData":"AAAA","hash":"` + fmt.Sprintf("%064d", 0) + `"}`, protocol.TypeFCMTokenResponse, protocol.HashMismatch},
			{`{"type":"unregister_fcm_token","userId":"u","encryptedData":"AAAA","hash":"` + fmt.Sprintf("%064d", 0) + `"}`, protocol.TypeFCMUnregisterResponse, protocol.HashMismatch},
			{`{"type":"get_registered_devices","userId":""}`, protocol.TypeRegisteredDevicesResponse, protocol.BadRequest},
			{`{"type":"file_ack","fileId":"x","next":1}`, protocol.TypeFileError, protocol.BadRequest},
		} {
			d.send(c.frame)
			if f := d.last(c.want); f.Success || f.Code != c.code {
				t.Errorf("%s: %+v, want %s", c.frame, f, c.code)
			}
		}
		d.wantClosed(0)
	})
}

func TestFrames_OfOneConnectionStayInOrderBehindAColdOne(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		d := n.connect("s", "c:a", 2)
		if wait := d.peer.Text([]byte(`{"type":"subscribe","topic":"t"}`)); !wait {
			t.Error("subscribe does not let the next frames wait, though it asks the store")
		}
		synctest.Wait()
		if wait := d.peer.Text([]byte(publishFrame("t", "m1"))); wait {
			t.Error("a publish blocks")
		}
		d.peer.Rest()
	})
}

func TestPing_TellsTheStoresTime(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		d := b.node().connect("s", "", 1)
		time.Sleep(3 * time.Second)
		d.send(`{"type":"ping"}`)
		if f := d.last(protocol.TypePong); f.ServerTime != time.Now().UnixMilli() {
			t.Errorf("serverTime = %d, want %d", f.ServerTime, time.Now().UnixMilli())
		}
	})
}

func TestNew_ReportsEveryFaultOfItsConfig(t *testing.T) {
	_, err := New(Config{})
	for _, name := range []string{"NodeID", "Store", "Backplane", "Catalog"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("New: %v, want it to name %s", err, name)
		}
	}
}

func TestConn_GoneWhileAColdFrameIsUnderWayLeavesNothing(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		d := n.connect("s", "c:a", 2)
		d.hand(`{"type":"subscribe","topic":"t"}`)
		d.leave()
		n.connect("s", "", 2).publish("t", "m1")
		if tp := n.topicOf(fmt.Sprintf("%032x", "s"), "t"); tp != nil && tp.isDurable() {
			t.Error("the feed of a connection that is gone is still in its topic")
		}
		d.wantGot("")
	})
}

func TestNode_ForgetsWhatIsIdle(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		d := n.connect("s", "c:a", 2)
		d.subscribe("t")
		d.publish("u", "m1")
		d.leave()
		time.Sleep(5 * time.Minute)
		if got := n.Stats(); got.Sessions != 0 || got.Connections != 0 {
			t.Errorf("stats = %+v, want no sessions and no connections", got)
		}
	})
}
