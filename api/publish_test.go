package api_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/fastport/fastport/admin"
	"github.com/fastport/fastport/api"
	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/storage"
)

func TestPublish_TakesBasicCredentialsAndAnswersTheAck(t *testing.T) {
	s := newWorld().open(t, "a", nil)
	s.create(t, "s")
	basic := func(user, pass string) string {
		r, _ := http.NewRequest("GET", "/", nil)
		r.SetBasicAuth(user, pass)
		return "Authorization: " + r.Header.Get("Authorization")
	}
	made, err := s.catalog.Lookup(t.Context(), "s")
	if err != nil {
		t.Fatal(err)
	}
	topic := storage.Topic{Session: made.ID, Name: "t/ü"}
	if _, err := s.store.Subscribe(t.Context(), "c:reader", topic, true); err != nil {
		t.Fatal(err)
	}
	a := s.post(t, "/api/publish", `{"topic":"t/ü","data":"x\ny","messageId":"m1","timestamp":-3}`, basic("s", "p"))
	a.want(t, "publish", 200, "")
	if a.body["messageId"] != "m1" || a.body["seq"] != 1.0 || a.body["topic"] != "t/ü" {
		t.Errorf("answer = %s", a.text)
	}
	page, err := s.store.Read(t.Context(), topic, 0, 10, 1000)
	if err != nil || len(page.Messages) != 1 || string(page.Messages[0].Data) != "x\ny" || page.Messages[0].Timestamp != -3 {
		t.Errorf("stored when answered: %+v, %v", page.Messages, err)
	}
	again := s.post(t, "/api/publish", `{"topic":"t/ü","data":"x\ny","messageId":"m1","retry":true}`, basic("s", "p"))
	again.want(t, "again", 200, "")
	if again.body["seq"] != 1.0 {
		t.Errorf("a resend = %s, want seq 1 again", again.text)
	}
	s.post(t, "/api/publish", `{"topic":"t/ü","data":"x","hash":"`+strings.Repeat("0", 64)+`"}`, basic("s", "p")).want(t, "another's hash", 400, protocol.HashMismatch)
	s.post(t, "/api/publish", `{"topic":"t/ü","data":"live","qos":0}`, basic("s", "p")).want(t, "qos 0", 200, "")
	if last := s.engine.got[len(s.engine.got)-1]; !last.AtMostOnce || string(last.Data) != "live" {
		t.Errorf("qos 0 was published as %+v", last)
	}
	first := s.post(t, "/api/publish", `{"type":"publish","topic":"t","data":""}`, basic("s", "p"))
	second := s.post(t, "/api/publish", `{"topic":"t","data":""}`, basic("s", "p"))
	first.want(t, "without messageId", 200, "")
	if id, _ := first.body["messageId"].(string); id == "" || id == second.body["messageId"] {
		t.Errorf("messageIds = %v and %v, want one each", first.body["messageId"], second.body["messageId"])
	}

	for what, header := range map[string]string{
		"no credentials": "X: y", "wrong password": basic("s", "q"), "unknown session": basic("t", "p"), "no colon": "Authorization: Basic cw==",
		"not base64": "Authorization: Basic ***", "another scheme": "Authorization: Bearer abc", "nothing": "Authorization: ", "empty": basic("", ""),
	} {
		a := s.post(t, "/api/publish", `{"topic":"t","data":""}`, header)
		a.want(t, what, 401, protocol.Unauthorized)
		if !strings.HasPrefix(a.Header.Get("WWW-Authenticate"), "Basic ") {
			t.Errorf("%s: WWW-Authenticate = %q", what, a.Header.Get("WWW-Authenticate"))
		}
	}
	for what, body := range map[string]string{
		"no topic": `{"data":""}`, "no data": `{"topic":"t"}`, "a server's topic": `{"topic":"$t","data":""}`, "another type": `{"type":"ack","topic":"t","data":""}`,
		"two topics": `{"topic":"t","topic":"u","data":""}`, "a variant": `{"Topic":"t","data":""}`, "bad messageId": `{"topic":"t","data":"","messageId":"` + strings.Repeat("x", 65) + `"}`,
	} {
		s.post(t, "/api/publish", body, basic("s", "p")).want(t, what, 400, protocol.BadRequest)
	}
	for code, status := range map[protocol.Code]int{
		protocol.Unavailable: 503, protocol.HashMismatch: 400, protocol.Expired: 400, protocol.ClockSkew: 400, protocol.RateLimited: 429,
		protocol.QuotaExceeded: 403, protocol.SessionSuspended: 403, protocol.SessionExpired: 403, protocol.TooLarge: 413,
	} {
		s.engine.fail = protocol.Errorf(code, "told")
		s.post(t, "/api/publish", `{"topic":"t","data":""}`, basic("s", "p")).want(t, string(code), status, code)
	}
	s.engine.fail = context.DeadlineExceeded
	s.post(t, "/api/publish", `{"topic":"t","data":""}`, basic("s", "p")).want(t, "out of time", 503, protocol.Unavailable)
	s.engine.fail = nil
	if err := s.catalog.Suspend(t.Context(), "s", true); err != nil {
		t.Fatal(err)
	}
	s.post(t, "/api/publish", `{"topic":"t","data":""}`, basic("s", "p")).want(t, "suspended", 403, protocol.SessionSuspended)
}

func TestPublish_BodyIsReadOnlyForWhoHasThePasswordAndBounded(t *testing.T) {
	s := newWorld().open(t, "a", func(c *api.Config, _ *admin.Config) { c.MaxPayload = 100_000 })
	s.create(t, "s")
	fits := `{"topic":"t","data":"` + strings.Repeat("x", 99_000) + `"}`
	large := `{"topic":"t","data":"` + strings.Repeat("x", 100_000) + `"}`
	right := "Authorization: Basic czpw"
	s.post(t, "/api/publish", fits, right).want(t, "fits", 200, "")
	s.post(t, "/api/publish", large, right).want(t, "too large", 413, protocol.TooLarge)
	s.post(t, "/api/publish", large, "Authorization: Basic czpx").want(t, "a stranger's", 401, protocol.Unauthorized)
	s.post(t, "/api/createSession", `{"sessionName":"x","password":"`+strings.Repeat("x", 70_000)+`"}`).want(t, "a stranger's", 413, protocol.TooLarge)
	if len(s.engine.got) != 1 {
		t.Errorf("published %d, want 1", len(s.engine.got))
	}
}
