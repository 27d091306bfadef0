package protocol

import (
	"reflect"
	"strings"
	"testing"
)

// serverCases is every server frame as Append writes it.
var serverCases = []struct {
	frame ServerFrame
	text  string
}{
	{ServerFrame{Type: TypeInitResponse, Success: true, SessionName: []byte("s"), Protocol: 2, ClientID: []byte("c"), Resumed: true,
		Topics: []string{"a", "b"}, ServerTime: 5, KeyCheck: "00ff", Limits: SessionLimits{1, 2, 3, 4, 5}, QoS: 1},
		`{"type":"init_response","success":true,"sessionName":"s","protocol":2,"clientId":"c","resumed":true,"serverTime":5,"keyCheck":"00ff","topics":["a","b"],"limits":{"maxPayload":1,"maxInFlight":2,"chunkSize":3,"retryInterval":4,"messageExpiryTime":5}}`},
	{ServerFrame{Type: TypeInitResponse, Code: Unauthorized, Text: "no", QoS: 1},
		`{"type":"init_response","success":false,"code":"unauthorized","error":"no"}`},
	{ServerFrame{Type: TypeSubscribeResponse, Success: true, Topic: []byte("t"), QoS: 1}, `{"type":"subscribe_response","success":true,"topic":"t"}`},
	{ServerFrame{Type: TypeUnsubscribeResponse, Success: true, Topic: []byte("t"), QoS: 1}, `{"type":"unsubscribe_response","success":true,"topic":"t"}`},
	{ServerFrame{Type: TypeSubscribeResponse, Topic: []byte("t"), Code: Unavailable, Text: "later", Retryable: true, QoS: 1},
		`{"type":"subscribe_response","success":false,"topic":"t","code":"unavailable","error":"later","retryable":true}`},
	{ServerFrame{Type: TypeMessage, Topic: []byte("t"), MessageID: []byte("m"), Data: []byte("d"), Timestamp: 7, QoS: 1},
		`{"type":"message","messageId":"m","topic":"t","timestamp":7,"data":"d"}`},
	{ServerFrame{Type: TypeMessage, Topic: []byte("t"), MessageID: []byte("m"), Data: []byte("\"\x00"), Hash: []byte("h"), Timestamp: 7, Retry: 2, Replay: true, Seq: 9},
		`{"type":"message","messageId":"m","topic":"t","timestamp":7,"qos":0,"retry":2,"replay":true,"seq":9,"hash":"h","data":"\"\u0000"}`},
	{ServerFrame{Type: TypeAckReceived, Topic: []byte("t"), MessageID: []byte("m"), Seq: 3, QoS: 1}, `{"type":"ack_received","messageId":"m","topic":"t","seq":3}`},
	{ServerFrame{Type: TypePublishResponse, Success: true, Topic: []byte("t"), MessageID: []byte("m"), DeliveredTo: 4, QoS: 1},
		`{"type":"publish_response","success":true,"messageId":"m","topic":"t","deliveredTo":4}`},
	{ServerFrame{Type: TypePublishResponse, MessageID: []byte("m"), Code: ClockSkew, Text: "x", QoS: 1},
		`{"type":"publish_response","success":false,"messageId":"m","code":"clock_skew","error":"x","retryable":false}`},
	{ServerFrame{Type: TypeFCMTokenResponse, Success: true, UserID: []byte("u"), DeviceID: []byte("d"), QoS: 1}, `{"type":"fcm_token_response","success":true,"userId":"u","deviceId":"d"}`},
	{ServerFrame{Type: TypeFCMUnregisterResponse, Success: true, UserID: []byte("u"), DeviceID: []byte("d"), QoS: 1}, `{"type":"fcm_unregister_response","success":true,"userId":"u","deviceId":"d"}`},
	{ServerFrame{Type: TypeRegisteredDevicesResponse, Success: true, UserID: []byte("u"), Devices: []Device{{"d", "ios", 1, 2}, {"e", "web", 3, 4}}, QoS: 1},
		`{"type":"registered_devices_response","success":true,"userId":"u","devices":[{"deviceId":"d","platform":"ios","createdAt":1,"updatedAt":2},{"deviceId":"e","platform":"web","createdAt":3,"updatedAt":4}]}`},
	{ServerFrame{Type: TypePong, ServerTime: 8, QoS: 1}, `{"type":"pong","serverTime":8}`},
	{ServerFrame{Type: TypeFileProgress, FileID: []byte("f"), Receivers: 2, Acked: 16, Done: true, QoS: 1}, `{"type":"file_progress","fileId":"f","receivers":2,"acked":16,"done":true}`},
	{ServerFrame{Type: TypeFileError, FileID: []byte("f"), Code: TooSlow, Text: "x", QoS: 1}, `{"type":"file_error","fileId":"f","code":"too_slow","error":"x"}`},
	{ServerFrame{Type: TypeError, MessageID: []byte("m"), Topic: []byte("t"), FileID: []byte("f"), Code: BadRequest, Text: "x", QoS: 1},
		`{"type":"error","messageId":"m","topic":"t","fileId":"f","code":"bad_request","error":"x"}`},
	{ServerFrame{Type: TypeReconnect, AfterMs: 100, Reason: "drain", QoS: 1}, `{"type":"reconnect","afterMs":100,"reason":"drain"}`},
	{ServerFrame{Type: TypeInitFile, Topic: []byte("t"), FileID: []byte("f"), FileName: []byte("n"), FileSize: 5, TotalChunks: 1, QoS: 1},
		`{"type":"init_file","topic":"t","fileId":"f","fileName":"n","fileSize":5,"totalChunks":1}`},
	{ServerFrame{Type: TypeEndFile, Topic: []byte("t"), FileID: []byte("f"), Hash: []byte("h"), QoS: 1}, `{"type":"end_file","topic":"t","fileId":"f","hash":"h"}`},
	{ServerFrame{Type: TypeCancelFile, Topic: []byte("t"), FileID: []byte("f"), QoS: 1}, `{"type":"cancel_file","topic":"t","fileId":"f"}`},
}

func TestServerFrame_EveryTypeBothWays(t *testing.T) {
	had := map[Type]bool{}
	for _, c := range serverCases {
		if got := string(c.frame.Append(nil)); got != c.text {
			t.Errorf("written as %s\nwant       %s", got, c.text)
		}
		var f ServerFrame
		if err := f.Parse([]byte(c.text)); err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		had[f.Type] = true
		f.scratch = nil
		if !reflect.DeepEqual(f, c.frame) {
			t.Errorf("%s\nread as %+v\nwant    %+v", c.text, f, c.frame)
		}
	}
	for k := TypeInitFile; k.FromServer(); k++ {
		if !had[k] {
			t.Errorf("no case for %s", k)
		}
	}
}

func TestServerFrame_ParseIgnoresTheUnknown(t *testing.T) {
	var f ServerFrame
	for _, text := range []string{`{"type":"presence","topic":4}`, `{"type":"publish","topic":"t"}`} {
		if err := f.Parse([]byte(text)); err != nil || f.Type != TypeUnknown {
			t.Errorf("%s: type %v, %v", text, f.Type, err)
		}
	}
	if err := f.Parse([]byte(`{"type":"pong","serverTime":1,"acked":"x","limits":[],"new":{"a":1}}`)); err != nil || f.ServerTime != 1 {
		t.Errorf("pong with unused fields: %v", err)
	}
}

func TestServerFrame_ParseRefuses(t *testing.T) {
	for _, c := range []struct{ text, names string }{
		{`{}`, "type"},
		{`{"type":"pong","Type":"pong"}`, "written type"},
		{`{"type":"message","data":5}`, "data"},
		{`{"type":"message","retry":true}`, "retry"},
		{`{"type":"init_response","limits":{"maxPayload":"x"}}`, "limits"},
		{`{"type":"init_response","limits":{"maxPayload":1,"MaxPayload":2}}`, "written maxPayload"},
		{`{"type":"init_response","topics":[1]}`, "topics"},
		{`{"type":"registered_devices_response","devices":[{"deviceId":1}]}`, "devices"},
		{`{"type":"registered_devices_response","devices":[1]}`, "devices"},
	} {
		var f ServerFrame
		if err := f.Parse([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.names) {
			t.Errorf("%s: %v, want an error that says %q", c.text, err, c.names)
		}
	}
}

func TestHotEncoders_WriteWhatAppendWrites(t *testing.T) {
	for _, c := range serverCases {
		f := &c.frame
		var got []byte
		switch f.Type {
		case TypeMessage:
			m := &Message{Topic: string(f.Topic), MessageID: string(f.MessageID), Data: f.Data, Hash: string(f.Hash),
				Timestamp: f.Timestamp, QoS: f.QoS, Retry: f.Retry, Replay: f.Replay, Seq: f.Seq}
			got = AppendMessage(nil, m)
			if len(got) > MessageSize(m)+len(m.Data)*5 {
				t.Errorf("%d bytes, MessageSize says %d", len(got), MessageSize(m))
			}
		case TypeAckReceived:
			got = AppendAckReceived(nil, string(f.MessageID), string(f.Topic), f.Seq)
		default:
			continue
		}
		if string(got) != c.text {
			t.Errorf("wrote %s\nwant  %s", got, c.text)
		}
	}
	if got, want := string(AppendAckReceived(nil, "m", "t", 0)), `{"type":"ack_received","messageId":"m","topic":"t"}`; got != want {
		t.Errorf("wrote %s, want %s", got, want)
	}
}
