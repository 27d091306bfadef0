package protocol

import (
	"errors"
	"strings"
	"testing"
)

const (
	someFile = "0f8fad5b-d9cb-469f-a165-70867728950e"
	someHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

// clientCases is every client frame as Append writes it.
var clientCases = []struct {
	text string
	want func(*ClientFrame) bool
}{
	{`{"type":"init","sessionName":"s","password":"p"}`, func(f *ClientFrame) bool {
		return f.Type == TypeInit && string(f.SessionName) == "s" && string(f.Password) == "p" && f.Protocol == 0 && f.UserID == nil && f.ClientID == nil
	}},
	{`{"type":"init","sessionName":"s","password":"p","protocol":2,"userId":"u","clientId":"c"}`, func(f *ClientFrame) bool {
		return f.Protocol == 2 && string(f.UserID) == "u" && string(f.ClientID) == "c"
	}},
	{`{"type":"subscribe","topic":"a/b"}`, func(f *ClientFrame) bool { return f.Type == TypeSubscribe && string(f.Topic) == "a/b" }},
	{`{"type":"unsubscribe","topic":"é"}`, func(f *ClientFrame) bool { return f.Type == TypeUnsubscribe && string(f.Topic) == "é" }},
	{`{"type":"publish","messageId":"m","topic":"t","data":""}`, func(f *ClientFrame) bool {
		return f.Type == TypePublish && f.HasData && len(f.Data) == 0 && f.QoS == 1 && !f.HasTimestamp && !f.Retry && f.Hash == nil
	}},
	{`{"type":"publish","messageId":"m","topic":"t","timestamp":-5,"qos":0,"retry":true,"hash":"` + someHash + `","data":"a\"\\\n\u0001<"}`, func(f *ClientFrame) bool {
		return f.Timestamp == -5 && f.HasTimestamp && f.QoS == 0 && f.Retry && string(f.Hash) == someHash && string(f.Data) == "a\"\\\n\x01<"
	}},
	{`{"type":"ack","messageId":"m"}`, func(f *ClientFrame) bool { return f.Type == TypeAck && string(f.MessageID) == "m" && f.Topic == nil }},
	{`{"type":"ack","messageIds":["a","b"],"topic":"t"}`, func(f *ClientFrame) bool {
		return len(f.MessageIDs) == 2 && string(f.MessageIDs[0]) == "a" && string(f.MessageIDs[1]) == "b"
	}},
	{`{"type":"register_fcm_token","userId":"u","hash":"` + someHash + `","encryptedData":"AA+/=="}`, func(f *ClientFrame) bool {
		return f.Type == TypeRegisterFCMToken && string(f.EncryptedData) == "AA+/=="
	}},
	{`{"type":"unregister_fcm_token","userId":"u","hash":"` + someHash + `","encryptedData":"A"}`, func(f *ClientFrame) bool { return f.Type == TypeUnregisterFCMToken }},
	{`{"type":"get_registered_devices","userId":"u"}`, func(f *ClientFrame) bool { return f.Type == TypeGetRegisteredDevices && string(f.UserID) == "u" }},
	{`{"type":"ping"}`, func(f *ClientFrame) bool { return f.Type == TypePing }},
	{`{"type":"file_ack","fileId":"` + someFile + `","next":0}`, func(f *ClientFrame) bool { return f.Type == TypeFileAck && f.Next == 0 }},
	{`{"type":"file_resume","fileId":"` + someFile + `","next":4294967295}`, func(f *ClientFrame) bool { return f.Type == TypeFileResume && f.Next == 1<<32-1 }},
	{`{"type":"init_file","topic":"t","fileId":"` + someFile + `","fileName":"a b.pdf","fileSize":1048576,"totalChunks":16}`, func(f *ClientFrame) bool {
		return f.Type == TypeInitFile && string(f.FileName) == "a b.pdf" && f.FileSize == 1<<20 && f.TotalChunks == 16
	}},
	{`{"type":"init_file","topic":"t","fileId":"` + someFile + `","fileSize":0,"totalChunks":0,"meta":"A-_"}`, func(f *ClientFrame) bool { return string(f.Meta) == "A-_" }},
	{`{"type":"end_file","topic":"t","fileId":"` + someFile + `","hash":"any"}`, func(f *ClientFrame) bool { return f.Type == TypeEndFile && string(f.Hash) == "any" }},
	{`{"type":"cancel_file","topic":"t","fileId":"` + someFile + `"}`, func(f *ClientFrame) bool { return f.Type == TypeCancelFile && string(f.FileID) == someFile }},
}

func TestClientFrame_EveryTypeBothWays(t *testing.T) {
	had := map[Type]bool{}
	for _, c := range clientCases {
		var f ClientFrame
		if err := f.Parse([]byte(c.text)); err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if !c.want(&f) {
			t.Errorf("%s: read as %+v", c.text, f)
		}
		if err := f.Validate(); err != nil {
			t.Errorf("%s: Validate: %v", c.text, err)
		}
		if got := string(f.Append(nil)); got != c.text {
			t.Errorf("written as %s\nwant       %s", got, c.text)
		}
		had[f.Type] = true
	}
	for k := TypeInit; k.FromClient(); k++ {
		if !had[k] {
			t.Errorf("no case for %s", k)
		}
	}
}

func TestClientFrame_ParseRefuses(t *testing.T) {
	for _, c := range []struct{ text, names string }{
		{``, "no object"},
		{`[]`, "no object"},
		{`null`, "no object"},
		{`{}`, "type"},
		{`{"topic":"t"}`, "type"},
		{`{"type":7}`, "type"},
		{`{"type":null}`, "type"},
		{`{"type":"Publish"}`, "type"},
		{`{"type":"message"}`, "type"},
		{`{"type":"nonsense"}`, "type"},
		{`{"type":"ping"} x`, "after"},
		{`{"type":"ping","type":"ping"}`, "twice"},
		{`{"type":"ping","\u0074ype":"ping"}`, "twice"},
		{`{"type":"ping","Type":"ping"}`, "written type"},
		{`{"type":"ping","TOPIC":"t"}`, "written topic"},
		{`{"type":"ping","ſessionName":"t"}`, "written sessionName"},
		{`{"type":"ping","x":1,"X":2}`, "twice"},
		{`{"type":"ping","x":{"a":1,"A":2}}`, "twice"},
		{`{"type":"ping","x":[{"a":1,"\u0061":2}]}`, "twice"},
		{`{"type":"subscribe","topic":1}`, "topic: takes"},
		{`{"type":"publish","qos":2}`, "qos: takes 0 or 1"},
		{`{"type":"publish","timestamp":1.5}`, "timestamp"},
		{`{"type":"publish","timestamp":1e30}`, "timestamp"},
		{`{"type":"publish","timestamp":"1"}`, "timestamp"},
		{`{"type":"publish","retry":1}`, "retry: takes true or false"},
		{`{"type":"ack","messageIds":"a"}`, "messageIds"},
		{`{"type":"ack","messageIds":["a",1]}`, "messageIds"},
		{`{"type":"ack","messageIds":[]}`, "messageIds"},
		{`{"type":"ack","messageIds":[` + strings.Repeat(`"a",`, MaxAckIDs) + `"a"]}`, "messageIds"},
		{`{"type":"init","protocol":0}`, "protocol"},
		{`{"type":"init_file","totalChunks":4294967296}`, "totalChunks"},
		{`{"type":"file_ack","next":-1}`, "next"},
	} {
		var f ClientFrame
		err := f.Parse([]byte(c.text))
		var e *Error
		if !errors.As(err, &e) || e.Code != BadRequest || !strings.Contains(e.Text, c.names) {
			t.Errorf("%.80s: %v, want bad_request that says %q", c.text, err, c.names)
		}
	}
}

func TestClientFrame_ParseKeepsWhatTheAnswerNames(t *testing.T) {
	for _, text := range []string{
		`{"type":"nonsense","messageId":"m","topic":"t","fileId":"f"}`,
		`{"messageId":"m","topic":"t","fileId":"f","type":"publish","qos":7}`,
		`{"messageId":"m","topic":"t","fileId":"f","type":"publish","data":`,
	} {
		var f ClientFrame
		if err := f.Parse([]byte(text)); err == nil {
			t.Errorf("%s: taken", text)
		}
		if string(f.MessageID) != "m" || string(f.Topic) != "t" || string(f.FileID) != "f" {
			t.Errorf("%s: kept %q %q %q", text, f.MessageID, f.Topic, f.FileID)
		}
	}
}

func TestClientFrame_ParseIgnoresWhatTheTypeDoesNotUse(t *testing.T) {
	for _, text := range []string{
		`{"type":"ping","topic":{"a":[1,2,{}]},"data":5,"messageIds":7,"retry":"x","qos":9}`,
		`{"type":"ping","userId":null,"clientId":null,"other":null}`,
		`{"type":"init","sessionName":"s","password":"p","userId":null,"clientId":null,"protocol":null}`,
	} {
		var f ClientFrame
		if err := f.Parse([]byte(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if f.UserID != nil || f.ClientID != nil || f.Protocol != 0 {
			t.Errorf("%s: null was read as a value", text)
		}
	}
}

func TestClientFrame_ParseForgetsTheFrameBefore(t *testing.T) {
	var f ClientFrame
	for _, c := range clientCases {
		if err := f.Parse([]byte(c.text)); err != nil || !c.want(&f) {
			t.Errorf("%s: %v, read as %+v", c.text, err, f)
		}
	}
}

func TestClientFrame_ParseTakesEscapesAnywhere(t *testing.T) {
	var f ClientFrame
	err := f.Parse([]byte(`{"\u0074ype":"\u0070ublish","top\u0069c":"caf\u00e9\/\ud83d\ude00","\u0064ata":"a\tb","x\ny":"\u0000","x\nz":1,"messageId":"\"m\""}`))
	if err != nil || f.Type != TypePublish || string(f.Topic) != "café/😀" || string(f.Data) != "a\tb" || string(f.MessageID) != `"m"` {
		t.Fatalf("read as %s %q %q %q: %v", f.Type, f.Topic, f.Data, f.MessageID, err)
	}
}

func TestClientFrame_ParseKeepsNoGiantsMemory(t *testing.T) {
	var f ClientFrame
	if err := f.Parse([]byte(`{"type":"publish","data":"\n` + strings.Repeat("x", 1<<20) + `"}`)); err != nil {
		t.Fatal(err)
	}
	if err := f.Parse([]byte(`{"type":"ping"}`)); err != nil || cap(f.scratch) > maxScratch {
		t.Fatalf("kept %d bytes (%v)", cap(f.scratch), err)
	}
}

func TestClientFrame_ParseAsTakesTheTypeFromOutside(t *testing.T) {
	var f ClientFrame
	if err := f.ParseAs(TypePublish, []byte(`{"topic":"t","data":"d"}`)); err != nil || f.Type != TypePublish {
		t.Fatalf("type = %v, err = %v", f.Type, err)
	}
	if err := f.ParseAs(TypePublish, []byte(`{"type":"publish","topic":"t"}`)); err != nil {
		t.Fatal(err)
	}
	if err := f.ParseAs(TypePublish, []byte(`{"type":"ack"}`)); err == nil {
		t.Fatal("took an ack for a publish")
	}
	if err := f.ParseAs(TypePublish, []byte(`{"topic":5}`)); err == nil {
		t.Fatal("took a number for a topic")
	}
}

func TestClientFrame_ValidateRefuses(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n) }
	file := `"fileId":"` + someFile + `"`
	for _, c := range []struct{ text, names string }{
		{`{"type":"init","password":"p"}`, "sessionName: missing"},
		{`{"type":"init","sessionName":null,"password":"p"}`, "sessionName: missing"},
		{`{"type":"init","sessionName":"a:b","password":"p"}`, "sessionName: takes"},
		{`{"type":"init","sessionName":"s"}`, "password: missing"},
		{`{"type":"init","sessionName":"s","password":""}`, "password"},
		{`{"type":"init","sessionName":"s","password":"` + long(1025) + `"}`, "password"},
		{`{"type":"init","sessionName":"s","password":"p","userId":""}`, "userId"},
		{`{"type":"init","sessionName":"s","password":"p","clientId":"` + long(129) + `"}`, "clientId"},
		{`{"type":"init","sessionName":"s","password":"p","clientId":"a\u0000b"}`, "clientId"},
		{`{"type":"subscribe"}`, "topic: missing"},
		{`{"type":"subscribe","topic":""}`, "topic"},
		{`{"type":"subscribe","topic":"$x"}`, "topic"},
		{`{"type":"subscribe","topic":"` + long(256) + `"}`, "topic"},
		{`{"type":"subscribe","topic":"a\u0085"}`, "topic"},
		{`{"type":"publish","topic":"t","data":"d"}`, "messageId: missing"},
		{`{"type":"publish","topic":"t","messageId":"` + long(65) + `","data":"d"}`, "messageId"},
		{`{"type":"publish","topic":"t","messageId":"m"}`, "data: missing"},
		{`{"type":"publish","messageId":"m","data":"d"}`, "topic: missing"},
		{`{"type":"publish","topic":"t","messageId":"m","data":"d","hash":"` + strings.ToUpper(someHash) + `"}`, "hash"},
		{`{"type":"publish","topic":"t","messageId":"m","data":"d","hash":"00"}`, "hash"},
		{`{"type":"ack"}`, "messageId: missing"},
		{`{"type":"ack","messageIds":["a"]}`, "topic: missing"},
		{`{"type":"ack","messageIds":["a"],"messageId":"a","topic":"t"}`, "messageIds"},
		{`{"type":"ack","messageIds":["a",""],"topic":"t"}`, "messageIds"},
		{`{"type":"register_fcm_token","userId":"u","hash":"` + someHash + `"}`, "encryptedData: missing"},
		{`{"type":"register_fcm_token","userId":"u","hash":"` + someHash + `","encryptedData":"{}"}`, "encryptedData"},
		{`{"type":"unregister_fcm_token","userId":"u","encryptedData":"A"}`, "hash: missing"},
		{`{"type":"get_registered_devices"}`, "userId: missing"},
		{`{"type":"file_ack","next":1}`, "fileId: missing"},
		{`{"type":"file_ack",` + file + `}`, "next: missing"},
		{`{"type":"file_resume","fileId":"{0f8fad5b-d9cb-469f-a165-70867728950}","next":1}`, "fileId"},
		{`{"type":"init_file",` + file + `,"topic":"t","fileSize":1,"totalChunks":1}`, "fileName: missing"},
		{`{"type":"init_file",` + file + `,"topic":"t","fileName":"a","totalChunks":1}`, "fileSize: missing"},
		{`{"type":"init_file",` + file + `,"topic":"t","fileName":"a","fileSize":1,"totalChunks":0}`, "totalChunks"},
		{`{"type":"init_file",` + file + `,"topic":"t","fileName":"a\u0007","fileSize":1,"totalChunks":1}`, "fileName"},
		{`{"type":"init_file",` + file + `,"topic":"t","meta":"a b","fileSize":1,"totalChunks":1}`, "meta"},
		{`{"type":"end_file",` + file + `}`, "topic: missing"},
		{`{"type":"cancel_file"}`, "fileId: missing"},
	} {
		var f ClientFrame
		if err := f.Parse([]byte(c.text)); err != nil {
			t.Errorf("%.90s: Parse: %v", c.text, err)
			continue
		}
		err := f.Validate()
		var e *Error
		if !errors.As(err, &e) || e.Code != BadRequest || !strings.Contains(e.Text, c.names) {
			t.Errorf("%.90s: %v, want bad_request that says %q", c.text, err, c.names)
		}
	}
}
