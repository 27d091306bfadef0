// Package fcmtest is FCM's HTTP v1 interface and Google's token endpoint on loopback, for tests of what pushes: it
// checks what it is sent as they do, and answers as it is told. It speaks their wire, so the real SDK runs against it.
package fcmtest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// Answer is how FCM answers a push.
type Answer struct {
	Status     int    // 0: 200
	Code       string // FcmError's errorCode
	Text       string // the error's message
	RetryAfter string // the header; "": none
	Garbage    bool   // a body that is no JSON
	Hang       bool   // no answer until the server closes or the caller goes
	Redirect   string // Location of a 302
}

// What FCM says.
var (
	Unregistered    = Answer{Status: 404, Code: "UNREGISTERED", Text: "Requested entity was not found."}
	InvalidArgument = Answer{Status: 400, Code: "INVALID_ARGUMENT", Text: "The registration token is not a valid FCM registration token"}
	InvalidPush     = Answer{Status: 400, Code: "INVALID_ARGUMENT", Text: "Invalid value at 'message.data'"}
	SenderMismatch  = Answer{Status: 403, Code: "SENDER_ID_MISMATCH", Text: "SenderId mismatch"}
	QuotaExceeded   = Answer{Status: 429, Code: "QUOTA_EXCEEDED", Text: "Quota exceeded", RetryAfter: "2"}
	Unavailable     = Answer{Status: 503, Code: "UNAVAILABLE", Text: "The service is currently unavailable."}
	Garbage         = Answer{Garbage: true}
	Hang            = Answer{Hang: true}
)

// statuses are google.rpc's names.
var statuses = map[int]string{400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
	429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE"}

// Push is a push as it came, whatever the answer.
type Push struct {
	Project string
	Message map[string]any
	Token   string
	Data    map[string]string
	At      time.Time
}

// Server is the fake. Its methods are safe for concurrent use.
type Server struct {
	http *httptest.Server
	key  *rsa.PrivateKey
	pem  string

	mu     sync.Mutex // guards the following
	answer func(token string) Answer
	tokens Answer
	pushes []Push
	grants map[string]string // access tokens to projects' service accounts
	asked  int
	change chan struct{}
	closed chan struct{}
}

// Start starts a server that answers every push with success. It ends with t.
func Start(t testing.TB) *Server {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{key: key, pem: string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		answer: func(string) Answer { return Answer{} }, grants: map[string]string{},
		change: make(chan struct{}), closed: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", s.token)
	mux.HandleFunc("POST /v1/projects/{project}/{verb}", s.send)
	s.http = httptest.NewServer(mux)
	t.Cleanup(func() {
		close(s.closed)
		s.http.Close()
	})
	return s
}

// Endpoint is FCM_ENDPOINT.
func (s *Server) Endpoint() string { return s.http.URL + "/v1" }

// TokenURL is FCM_TOKEN_URL.
func (s *Server) TokenURL() string { return s.http.URL + "/token" }

// PrivateKey is the one, as PEM, that the token endpoint knows: of every service account.
func (s *Server) PrivateKey() string { return s.pem }

// Answer sets how pushes to a token are answered from now on.
func (s *Server) Answer(f func(token string) Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = f
}

// Always answers every push so.
func (s *Server) Always(a Answer) { s.Answer(func(string) Answer { return a }) }

// AnswerTokens sets how the token endpoint answers; the zero Answer is a good one.
func (s *Server) AnswerTokens(a Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens = a
}

// Pushes lists what came.
func (s *Server) Pushes() []Push {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Push(nil), s.pushes...)
}

// Asked is how often a token was asked for.
func (s *Server) Asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// Wait blocks until met holds of what came, or fails t after patience.
func (s *Server) Wait(t testing.TB, patience time.Duration, what string, met func([]Push) bool) []Push {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		s.mu.Lock()
		pushes, change := append([]Push(nil), s.pushes...), s.change
		s.mu.Unlock()
		if met(pushes) {
			return pushes
		}
		select {
		case <-change:
		case <-deadline.C:
			t.Fatalf("waited %v in vain for %s; %d pushes came", patience, what, len(pushes))
		}
	}
}

// token is OAuth's JWT bearer grant (RFC 7523), as Google's endpoint takes it.
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked++
	a := s.tokens
	s.mu.Unlock()
	if a != (Answer{}) {
		s.say(w, r, a)
		return
	}
	who, err := s.assertion(r)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		json.NewEncoder(w).Encode(map[string]string{"error": "invalid_grant", "error_description": err.Error()})
		return
	}
	var b [16]byte
	rand.Read(b[:])
	access := base64.RawURLEncoding.EncodeToString(b[:])
	s.mu.Lock()
	s.grants[access] = who
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"access_token": access, "token_type": "Bearer", "expires_in": 3600})
}

// assertion checks the signed claims and returns their issuer.
func (s *Server) assertion(r *http.Request) (issuer string, err error) {
	if err := r.ParseForm(); err != nil {
		return "", err
	}
	if got := r.PostForm.Get("grant_type"); got != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
		return "", fmt.Errorf("grant_type %q", got)
	}
	parts := strings.Split(r.PostForm.Get("assertion"), ".")
	if len(parts) != 3 {
		return "", fmt.Errorf("an assertion of %d parts", len(parts))
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if err := rsa.VerifyPKCS1v15(&s.key.PublicKey, crypto.SHA256, sum[:], signature); err != nil {
		return "", err
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", err
	}
	var claims struct {
		Iss, Scope, Aud string
		Iat, Exp        int64
	}
	if err := json.Unmarshal(text, &claims); err != nil {
		return "", err
	}
	now := time.Now().Unix()
	switch {
	case claims.Aud != s.TokenURL():
		return "", fmt.Errorf("aud %q", claims.Aud)
	case claims.Scope != "https://www.googleapis.com/auth/firebase.messaging":
		return "", fmt.Errorf("scope %q", claims.Scope)
	case claims.Exp < now || claims.Exp > now+3700 || claims.Iat > now+60:
		return "", fmt.Errorf("iat %d, exp %d", claims.Iat, claims.Exp)
	}
	return claims.Iss, nil
}

// send is projects.messages.send.
func (s *Server) send(w http.ResponseWriter, r *http.Request) {
	project := r.PathValue("project")
	access, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	s.mu.Lock()
	who := s.grants[access]
	s.mu.Unlock()
	if !strings.HasSuffix(who, "@"+project+".iam.gserviceaccount.com") || r.PathValue("verb") != "messages:send" {
		s.say(w, r, Answer{Status: 401, Text: "Request had invalid authentication credentials."})
		return
	}
	var body struct {
		Message map[string]any `json:"message"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		s.say(w, r, InvalidPush)
		return
	}
	p := Push{Project: project, Message: body.Message, Data: map[string]string{}, At: time.Now()}
	p.Token, _ = body.Message["token"].(string)
	size := 0
	data, _ := body.Message["data"].(map[string]any)
	for k, v := range data {
		text, ok := v.(string)
		if !ok {
			s.say(w, r, InvalidPush)
			return
		}
		p.Data[k] = text
		size += len(k) + len(text)
	}
	s.mu.Lock()
	s.pushes = append(s.pushes, p)
	answer := s.answer
	close(s.change)
	s.change = make(chan struct{})
	s.mu.Unlock()
	if size > 4096 {
		s.say(w, r, Answer{Status: 400, Code: "INVALID_ARGUMENT", Text: "Android message is too big"})
		return
	}
	s.say(w, r, answer(p.Token))
}

func (s *Server) say(w http.ResponseWriter, r *http.Request, a Answer) {
	w.Header().Set("Content-Type", "application/json")
	if a.RetryAfter != "" {
		w.Header().Set("Retry-After", a.RetryAfter)
	}
	switch {
	case a.Hang:
		select {
		case <-r.Context().Done():
		case <-s.closed:
		}
	case a.Redirect != "":
		http.Redirect(w, r, a.Redirect, http.StatusFound)
	case a.Garbage:
		w.Write([]byte("<html>502, says a box in between</html>"))
	case a.Status == 0 || a.Status == 200:
		json.NewEncoder(w).Encode(map[string]string{"name": "projects/p/messages/1"})
	default:
		w.WriteHeader(a.Status)
		failure := map[string]any{"code": a.Status, "message": a.Text, "status": statuses[a.Status]}
		if a.Code != "" {
			failure["details"] = []any{map[string]string{"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": a.Code}}
		}
		json.NewEncoder(w).Encode(map[string]any{"error": failure})
	}
}
