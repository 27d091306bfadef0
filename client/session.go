package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/fastport/fastport/client/e2ee"
	"github.com/fastport/fastport/protocol"
)

// SessionSpec describes a session to be created. What is zero is left to the server's defaults.
type SessionSpec struct {
	SessionName        string
	Password           string
	Key                e2ee.Key      // sent as the two keys that the server may have; it never leaves the process itself
	Suite              int           // 2: the server refuses data of another form; 0: it takes any
	RetryInterval      time.Duration // 0: 5 s
	MaxRetryLimit      *int          // nil: 100
	MessageExpiry      time.Duration // 0: one hour; negative: the server's cap
	SessionExpiry      time.Duration // from now; 0: none
	SubscriptionExpiry time.Duration // 0: 7 days
	FCM                *FCMConfig
	AdminToken         string // where the server lets only admins create sessions
}

// FCMConfig is a Firebase service account's.
type FCMConfig struct {
	ProjectID   string `json:"projectId"`
	PrivateKey  string `json:"privateKey"`
	ClientEmail string `json:"clientEmail"`
	Enabled     bool   `json:"enabled"`
}

// CreateSession creates a session at a server's base URL (http://host:port) and returns its secret key, which is shown
// this once and needed to drop or suspend it. An existing name is code Conflict.
func CreateSession(ctx context.Context, baseURL string, s SessionSpec) (secretKey string, err error) {
	if _, err := e2ee.NewKeyRing(s.SessionName, s.Key); err != nil {
		return "", err
	}
	body := map[string]any{
		"sessionName": s.SessionName, "password": s.Password,
		"fcmKey": s.Key.FCMKey(s.SessionName), "keyCheck": s.Key.KeyCheck(s.SessionName),
	}
	if s.Suite != 0 {
		body["suite"] = s.Suite
	}
	for name, d := range map[string]time.Duration{
		"retryInterval": s.RetryInterval, "messageExpiryTime": s.MessageExpiry, "sessionExpiry": s.SessionExpiry,
		"subscriptionExpiry": s.SubscriptionExpiry,
	} {
		if d > 0 {
			body[name] = d.Milliseconds()
		}
	}
	if s.MessageExpiry < 0 {
		body["messageExpiryTime"] = nil
	}
	if s.MaxRetryLimit != nil {
		body["maxRetryLimit"] = *s.MaxRetryLimit
	}
	if s.FCM != nil {
		body["fcmConfig"] = s.FCM
	}
	var answer struct {
		SecretKey string `json:"secretKey"`
	}
	err = call(ctx, baseURL, "createSession", s.AdminToken, body, &answer)
	return answer.SecretKey, err
}

// SessionAdmin says which session, and by what right: its password and secret key, or an admin's token.
type SessionAdmin struct {
	SessionName string
	Password    string
	SecretKey   string
	AdminToken  string
}

// DropSession deletes a session with all that it holds and closes its connections.
func DropSession(ctx context.Context, baseURL string, a SessionAdmin) error {
	return call(ctx, baseURL, "dropSession", a.AdminToken, a.body(), nil)
}

// SuspendSession closes a session's connections and refuses new ones, or (false) lets them in again.
func SuspendSession(ctx context.Context, baseURL string, a SessionAdmin, suspend bool) error {
	body := a.body()
	body["suspend"] = suspend
	return call(ctx, baseURL, "suspendSession", a.AdminToken, body, nil)
}

func (a SessionAdmin) body() map[string]any {
	body := map[string]any{"sessionName": a.SessionName}
	if a.Password != "" {
		body["password"] = a.Password
	}
	if a.SecretKey != "" {
		body["secretKey"] = a.SecretKey
	}
	return body
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 64 << 10

// call posts one request and reads its answer into out.
func call(ctx context.Context, baseURL, name, token string, body, out any) error {
	at, err := url.JoinPath(baseURL, "api", name)
	if err != nil {
		return fmt.Errorf("client: %s: %w", name, err)
	}
	text, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("client: %s: %w", name, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, at, bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("client: %s: %w", name, err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Close = true
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	// No redirect is followed: what is sent are secrets, meant for one host.
	hc := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := hc.Do(req)
	if err != nil {
		return fmt.Errorf("client: %s: %w", name, err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("client: %s: %w", name, err)
	}
	var result struct {
		Success bool          `json:"success"`
		Code    protocol.Code `json:"code"`
		Error   string        `json:"error"`
	}
	if err := json.Unmarshal(raw, &result); err != nil {
		return fmt.Errorf("client: %s: the server answered %s, and no JSON", name, resp.Status)
	}
	if !result.Success {
		return &protocol.Error{Code: result.Code, Text: result.Error}
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return fmt.Errorf("client: %s: %w", name, err)
	}
	return nil
}
