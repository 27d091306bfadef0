package fcm

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fastport/fastport/fcm/fcmtest"
)

const project = "my-chat-app"

func account(s *fcmtest.Server) Account {
	return Account{ProjectID: project, PrivateKey: s.PrivateKey(), ClientEmail: "firebase-adminsdk-1@" + project + ".iam.gserviceaccount.com"}
}

func newSender(t *testing.T, s *fcmtest.Server, o Options) *Sender {
	t.Helper()
	o.Endpoint, o.TokenURL = s.Endpoint(), s.TokenURL()
	sender := NewSender(o)
	t.Cleanup(sender.Close)
	return sender
}

func push() Push {
	return Push{Session: "chat", Topic: "room/1", MessageID: "m1", Timestamp: 1700000000000, Data: []byte("2.sealed"), TTL: time.Hour}
}

func TestSend_ReachesEachDeviceWithDataAlone(t *testing.T) {
	server := fcmtest.Start(t)
	sender := newSender(t, server, Options{})
	results, pause, err := sender.Send(t.Context(), "s", account(server), push(), []string{"a", "b"})
	if err != nil || pause != 0 || len(results) != 2 || results[0] != (Result{}) || results[1] != (Result{}) {
		t.Fatalf("results = %v, %v, %v; want both sent", results, pause, err)
	}
	pushes := server.Pushes()
	if len(pushes) != 2 || pushes[0].Token == pushes[1].Token {
		t.Fatalf("pushes = %v, want one to each", pushes)
	}
	if server.Asked() != 1 {
		t.Errorf("asked for %d tokens, want 1 for both", server.Asked())
	}
	p := pushes[0]
	if want := (map[string]string{"topic": "room/1", "messageId": "m1", "timestamp": "1700000000000", "session": "chat"}); fmt.Sprint(p.Data) != fmt.Sprint(want) {
		t.Errorf("data = %v, want %v", p.Data, want)
	}
	if p.Message["notification"] != nil {
		t.Errorf("notification = %v, want none", p.Message["notification"])
	}
	android, _ := p.Message["android"].(map[string]any)
	if android["priority"] != "high" || android["ttl"] != "3600s" || android["collapse_key"] == "" {
		t.Errorf("android = %v", android)
	}
	apns, _ := p.Message["apns"].(map[string]any)
	if text := fmt.Sprint(apns); !strings.Contains(text, "apns-push-type:background") || !strings.Contains(text, "apns-priority:5") || !strings.Contains(text, "content-available:1") {
		t.Errorf("apns = %v", apns)
	}
}

func TestSend_PayloadTellsNoMoreThanIsSet(t *testing.T) {
	server := fcmtest.Start(t)
	for _, test := range []struct {
		payload Payload
		data    int
		title   any
		sealed  bool
	}{
		{Wake, 10, nil, false},
		{Notice, 10, "Mail", false},
		{Sealed, 10, nil, true},
		{Sealed, 4096, nil, false}, // does not fit: the device fetches it
	} {
		sender := newSender(t, server, Options{Payload: test.payload, Title: "Mail"})
		p := push()
		p.Data = []byte(strings.Repeat("x", test.data))
		if results, _, err := sender.Send(t.Context(), "s", account(server), p, []string{"a"}); err != nil || results[0].Outcome != Sent {
			t.Fatalf("%s: %v, %v", test.payload, results, err)
		}
		pushes := server.Pushes()
		got := pushes[len(pushes)-1]
		if data, has := got.Data["data"]; has != test.sealed || has && data != string(p.Data) {
			t.Errorf("%s of %d bytes: data is sent = %v, want %v", test.payload, test.data, has, test.sealed)
		}
		notification, _ := got.Message["notification"].(map[string]any)
		if notification["title"] != test.title || notification["body"] != nil {
			t.Errorf("%s: notification = %v, want title %v alone", test.payload, notification, test.title)
		}
	}
}

func TestSend_AnswersAreToldApart(t *testing.T) {
	for _, test := range []struct {
		name   string
		answer fcmtest.Answer
		want   Outcome
		pause  bool
	}{
		{"success", fcmtest.Answer{}, Sent, false},
		{"unregistered", fcmtest.Unregistered, Gone, false},
		{"another project's token", fcmtest.SenderMismatch, Gone, false},
		{"invalid token", fcmtest.InvalidArgument, Gone, false},
		{"invalid push", fcmtest.InvalidPush, Refused, false},
		{"quota", fcmtest.QuotaExceeded, Later, true},
		{"out", fcmtest.Answer{Status: 503, Code: "UNAVAILABLE", RetryAfter: "30"}, Later, true},
		{"internal", fcmtest.Answer{Status: 500, Code: "INTERNAL"}, Later, false},
		{"garbage", fcmtest.Garbage, Later, false},
		{"hang", fcmtest.Hang, Later, false},
		{"no permission", fcmtest.Answer{Status: 403, Text: "Permission denied"}, Refused, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := fcmtest.Start(t)
			server.Answer(func(token string) fcmtest.Answer {
				if token == "bad" {
					return test.answer
				}
				return fcmtest.Answer{}
			})
			sender := newSender(t, server, Options{Timeout: 2 * time.Second})
			results, pause, err := sender.Send(t.Context(), "s", account(server), push(), []string{"good", "bad"})
			if err != nil {
				t.Fatal(err)
			}
			if results[0].Outcome != Sent || results[1].Outcome != test.want {
				t.Errorf("results = %v, want sent and %d", results, test.want)
			}
			if got := pause > 0; got != test.pause {
				t.Errorf("pause = %v, want one: %v", pause, test.pause)
			}
		})
	}
}

func TestSend_LeavesFCMAloneForAsLongAsItAsks(t *testing.T) {
	server := fcmtest.Start(t)
	server.Always(fcmtest.QuotaExceeded)
	sender := newSender(t, server, Options{})
	sender.Send(t.Context(), "s", account(server), push(), []string{"a"})
	came := len(server.Pushes())
	server.Always(fcmtest.Answer{})
	results, pause, _ := sender.Send(t.Context(), "s", account(server), push(), []string{"a"})
	if results[0].Outcome != Later || pause <= 0 || len(server.Pushes()) != came {
		t.Fatalf("during the pause: %v, %v, %d pushes; want none sent", results, pause, len(server.Pushes())-came)
	}
	if results, _, _ := sender.Send(t.Context(), "other", account(server), push(), []string{"a"}); results[0].Outcome != Sent {
		t.Errorf("another session: %v, want sent: the pause is not its own", results)
	}
	for end := time.Now().Add(10 * time.Second); ; {
		results, left, _ := sender.Send(t.Context(), "s", account(server), push(), []string{"a"})
		if results[0].Outcome == Sent {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("10 s later: %v, %v to go; want sent", results, left)
		}
		<-time.After(left)
	}
}

func TestSend_FollowsNoRedirect(t *testing.T) {
	var visits atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { visits.Add(1) }))
	t.Cleanup(elsewhere.Close)
	server := fcmtest.Start(t)
	sender := newSender(t, server, Options{Timeout: 2 * time.Second})
	server.Always(fcmtest.Answer{Redirect: elsewhere.URL})
	if results, _, err := sender.Send(t.Context(), "s", account(server), push(), []string{"a"}); err != nil || results[0].Outcome == Sent {
		t.Errorf("a redirected push: %v, %v; want not sent", results, err)
	}
	server.AnswerTokens(fcmtest.Answer{Redirect: elsewhere.URL})
	if results, _, err := sender.Send(t.Context(), "t", account(server), push(), []string{"a"}); err != nil || results[0].Outcome == Sent {
		t.Errorf("a redirected token request: %v, %v; want not sent", results, err)
	}
	if n := visits.Load(); n != 0 {
		t.Errorf("%d requests went where the answer pointed, want 0", n)
	}
}

func TestSend_TokenEndpointTroubleIsTriedLater(t *testing.T) {
	for name, answer := range map[string]fcmtest.Answer{"out": fcmtest.Unavailable, "garbage": fcmtest.Garbage, "hang": fcmtest.Hang} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := fcmtest.Start(t)
			server.AnswerTokens(answer)
			sender := newSender(t, server, Options{Timeout: time.Second})
			results, _, err := sender.Send(t.Context(), "s", account(server), push(), []string{"a"})
			if err != nil || results[0].Outcome != Later {
				t.Errorf("results = %v, %v; want later", results, err)
			}
		})
	}
}

func TestSend_ErrorsTellNoSecret(t *testing.T) {
	server := fcmtest.Start(t)
	sender := newSender(t, server, Options{Timeout: time.Second})
	for _, answer := range []fcmtest.Answer{fcmtest.Unregistered, fcmtest.InvalidArgument, fcmtest.Garbage, fcmtest.Hang, fcmtest.QuotaExceeded} {
		server.Always(answer)
		results, _, _ := sender.Send(t.Context(), "s", account(server), push(), []string{"secret-device-token"})
		if text := fmt.Sprint(results[0].Err); strings.Contains(text, "secret-device-token") || strings.Contains(text, "PRIVATE KEY") || strings.Contains(text, "Bearer") {
			t.Errorf("error = %q", text)
		}
	}
}

func TestRetryAfter_BothForms(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "-1": 0, "x": 0, "999999999": maxPause,
		"Fri, 02 Jan 2026 03:04:35 GMT": 30 * time.Second, "Fri, 02 Jan 2026 03:04:00 GMT": 0,
	} {
		if got := retryAfter(text, now); got != want {
			t.Errorf("retryAfter(%q) = %v, want %v", text, got, want)
		}
	}
}

// TestLog_EachMessageHasItsCureInTheDocument: an operator who searches docs/push.md for what the log says finds it.
func TestLog_EachMessageHasItsCureInTheDocument(t *testing.T) {
	text, err := os.ReadFile("../docs/push.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, message := range []string{logInit, logSent, logNobody, logTimeout, logFailed, logGone} {
		if !strings.Contains(string(text), "| `"+message+"` |") {
			t.Errorf("docs/push.md has no row for %q", message)
		}
	}
}
