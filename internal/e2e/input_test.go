package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

// TestInput_JSONIsStrictAtEveryDoor: what two readers could read differently is refused by name, over WebSocket and HTTP
// alike, and the WebSocket stays up.
func TestInput_JSONIsStrictAtEveryDoor(t *testing.T) {
	s := serve(t, "DB_TYPE=memory")
	s.createSession("strict", "")
	const basic = "Authorization: Basic c3RyaWN0OnNlY3VyZV9wYXNzXzEyMw==" // strict:secure_pass_123
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	d, _ := s.dial(t, "strict", nil)
	for name, members := range map[string]string{
		"a duplicate":             `"topic":"a","topic":"b"`,
		"a duplicate by escape":   `"topic":"a","\u0074opic":"b"`,
		"a case variant":          `"topic":"a","Topic":"b"`,
		"a case variant alone":    `"TOPIC":"a"`,
		"a variant by folding":    `"topic":"a","meſſageId":"m"`,
		"33 levels":               `"topic":"a","x":` + deep(32),
		"a duplicate, deep":       `"topic":"a","x":[{"y":1,"y":2}]`,
		"10,000 levels":           `"topic":"a","x":` + deep(10_000),
		"a comma too many":        `"topic":"a",`,
		"a control character":     "\"topic\":\"a\nb\"",
		"half a surrogate":        `"topic":"\ud800"`,
		"a number for the string": `"topic":7`,
	} {
		d.write(ws.MustCompileFrame(ws.MaskFrameInPlace(ws.NewTextFrame([]byte(`{"type":"publish","messageId":"m","data":"x",` + members + `}`)))))
		if f := d.next(); f["code"] != "bad_request" {
			t.Errorf("%s over WebSocket: %v", name, f)
		}
		d.send(frame{"type": "ping"}) // still there, and ten in a row would not be
		d.until("pong")
		s.call(t, "POST", "/api/publish", `{"data":"x",`+members+`}`, basic).want(t, name+", publish", 400, "bad_request")
		s.call(t, "POST", "/api/createSession", `{"password":"p",`+strings.NewReplacer("topic", "sessionName", "Topic", "SessionName",
			"TOPIC", "SESSIONNAME", `\u0074opic`, `\u0073essionName`, "meſſageId", "ſeſſionName").Replace(members)+`}`).want(t, name+", createSession", 400, "bad_request")
	}
	d.write(ws.MustCompileFrame(ws.MaskFrameInPlace(ws.NewTextFrame([]byte(`{"type":"publish","messageId":"m","data":"x","topic":"a","x":` + deep(31) + `}`)))))
	if f := d.until("ack_received"); f["messageId"] != "m" {
		t.Errorf("32 levels: %v", f)
	}
	s.call(t, "POST", "/api/createSession", `{"sessionName":"x","password":"`+strings.Repeat("x", 64<<10)+`"}`).want(t, "65 KiB from a stranger", 413, "too_large")
	s.call(t, "POST", "/api/publish", strings.Repeat(" ", 10<<20+1), basic).want(t, "more than MAX_PAYLOAD_SIZE", 413, "too_large")
}

// TestInput_NamesAreRefusedByTheFieldsName: each field's limits, over a real connection: at the limit it is taken,
// beyond it the answer is bad_request and names the field.
func TestInput_NamesAreRefusedByTheFieldsName(t *testing.T) {
	s := serve(t, "DB_TYPE=memory")
	s.createSession("names", "")
	long := func(n int) string { return strings.Repeat("x", n) }
	const id = "00000000-0000-4000-8000-000000000001"
	publish := func(more frame) frame {
		return with(frame{"type": "publish", "topic": "t", "messageId": "m", "data": "x"}, more)
	}
	file := func(more frame) frame {
		return with(frame{"type": "init_file", "topic": "t", "fileId": id, "fileSize": 1, "totalChunks": 1, "fileName": "f"}, more)
	}
	d, _ := s.dial(t, "names", nil)
	for _, c := range []struct {
		field string
		f     frame
	}{
		{"topic", frame{"type": "subscribe", "topic": ""}}, {"topic", frame{"type": "subscribe", "topic": long(256)}},
		{"topic", frame{"type": "subscribe", "topic": "$sys"}}, {"topic", frame{"type": "subscribe", "topic": "a\u0000b"}},
		{"topic", frame{"type": "subscribe", "topic": "a\u0085b"}}, {"topic", frame{"type": "subscribe"}},
		{"topic", frame{"type": "unsubscribe", "topic": long(256)}}, {"topic", publish(frame{"topic": strings.Repeat("é", 128)})},
		{"messageId", publish(frame{"messageId": ""})}, {"messageId", publish(frame{"messageId": long(65)})}, {"messageId", publish(frame{"messageId": "a\u007f"})},
		{"hash", publish(frame{"hash": strings.Repeat("A", 64)})}, {"hash", publish(frame{"hash": "ab"})},
		{"qos", publish(frame{"qos": 2})}, {"data", publish(frame{"data": 7})}, {"timestamp", publish(frame{"timestamp": "now"})},
		{"messageIds", frame{"type": "ack", "topic": "t", "messageIds": []string{long(65)}}},
		{"fileId", file(frame{"fileId": "00000000-0000-4000-8000-00000000000g"})}, {"fileId", file(frame{"fileId": "../../etc/passwd"})},
		{"fileName", file(frame{"fileName": long(1025)})}, {"fileSize", file(frame{"fileSize": -1})}, {"totalChunks", file(frame{"totalChunks": 1 << 33})},
		{"userId", frame{"type": "get_registered_devices", "userId": long(129)}},
	} {
		d.send(c.f)
		f := d.next()
		if text, _ := f["error"].(string); f["code"] != "bad_request" || !strings.HasPrefix(text, c.field+":") {
			t.Errorf("%.80v: %v, want bad_request naming %s", c.f, f, c.field)
		}
	}
	for _, topic := range []string{long(255), "a:b/c #+", "日本", "' OR 1=1 --"} {
		d.send(frame{"type": "subscribe", "topic": topic})
		if f := d.until("subscribe_response"); f["success"] != true || f["topic"] != topic {
			t.Errorf("topic %q: %v", topic, f)
		}
	}
	d.send(publish(frame{"messageId": long(64)}))
	if f := d.until("ack_received"); f["messageId"] != long(64) {
		t.Errorf("messageId of 64: %v", f)
	}

	for _, c := range []struct {
		field string
		more  frame
	}{
		{"sessionName", frame{"sessionName": "a:b"}}, {"sessionName", frame{"sessionName": ""}}, {"sessionName", frame{"sessionName": "-a"}},
		{"sessionName", frame{"sessionName": long(129)}}, {"sessionName", frame{"sessionName": 7}},
		{"clientId", frame{"clientId": long(129)}}, {"clientId", frame{"clientId": "a\nb"}}, {"clientId", frame{"clientId": []int{1}}},
		{"userId", frame{"userId": long(129)}}, {"password", frame{"password": long(1025)}}, {"password", frame{"password": ""}},
	} {
		d := s.connect(t, "127.0.0.1", nil)
		d.send(with(frame{"type": "init", "sessionName": "names", "password": "secure_pass_123"}, c.more))
		f := d.next()
		if text, _ := f["error"].(string); f["type"] != "init_response" || f["success"] != false || f["code"] != "bad_request" || !strings.HasPrefix(text, c.field+":") {
			t.Errorf("%.60v: %v, want bad_request naming %s", c.more, f, c.field)
		}
		if code := d.closed(); code != 4004 {
			t.Errorf("%.60v: closed with %d, want 4004", c.more, code)
		}
	}
	s.dial(t, "names", frame{"clientId": long(128), "userId": long(128)})

	for _, name := range []string{"a:b", "a b", "-a", "", long(129), "é", "a/b", "..%2f"} {
		body, _ := json.Marshal(map[string]string{"sessionName": name, "password": "p"})
		a := s.call(t, "POST", "/api/createSession", string(body))
		a.want(t, fmt.Sprintf("session %.20q", name), http.StatusBadRequest, "bad_request")
		if !strings.HasPrefix(fmt.Sprint(a.json["error"]), "sessionName:") {
			t.Errorf("session %.20q: %s", name, a.text)
		}
	}
	s.createSession("a.B_c@d-"+long(120), "")
}

func with(f, more frame) frame {
	for k, v := range more {
		f[k] = v
	}
	return f
}
