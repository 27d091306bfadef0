package session

import (
	"crypto/subtle"
	"encoding/hex"
	"strings"
	"time"

	"github.com/fastport/fastport/protocol"
)

// Spec is what a session is to be: the body of createSession. [NewSpec] has the defaults.
type Spec struct {
	Name               string
	Password           string
	RetryInterval      time.Duration // 100 ms to 24 h
	MaxRetryLimit      int           // 0 to 10,000
	MessageExpiry      time.Duration // from 100 ms; 0: the server's cap
	SessionExpiry      time.Duration // from now, from 100 ms; 0: never
	SubscriptionExpiry time.Duration // from 100 ms
	Suite              int           // 2: nothing else is taken; 0: any

	// EncryptionKey is the root key, from a caller that does not derive. Create wipes it.
	EncryptionKey []byte
	FCMKey        []byte // 32 bytes. Create wipes it
	KeyCheck      string // 32 hex digits
	FCMConfig     *FCMConfig
}

// NewSpec is a session with the defaults.
func NewSpec(name, password string) Spec {
	return Spec{
		Name:               name,
		Password:           password,
		RetryInterval:      protocol.DefaultRetryInterval,
		MaxRetryLimit:      protocol.DefaultMaxRetryLimit,
		MessageExpiry:      protocol.DefaultMessageExpiry,
		SubscriptionExpiry: protocol.DefaultSubscriptionExpiry,
	}
}

// Bounds of a Spec.
const (
	minInterval      = 100 * time.Millisecond
	maxRetryInterval = 24 * time.Hour
	maxRetryLimit    = 10_000
	minExpiry        = 100 * time.Millisecond
	maxExpiry        = 100 * 365 * 24 * time.Hour // far from where a time.Duration overflows
)

// specTakes is every field of createSession and what it takes, in the words of an error text.
var specTakes = map[string]string{
	"sessionName":           "1 to 128 of A-Z a-z 0-9 . _ @ -, a letter or digit first",
	"password":              "a string of 1 to 1024 bytes",
	"retryInterval":         "a whole number of milliseconds from 100 to 86400000",
	"maxRetryLimit":         "a whole number from 0 to 10000",
	"messageExpiryTime":     "a whole number of milliseconds from 100 to 3153600000000, or null for the server's cap",
	"sessionExpiry":         "a whole number of milliseconds from now, from 100 to 3153600000000, or null for never",
	"subscriptionExpiry":    "a whole number of milliseconds from 100 to 3153600000000",
	"suite":                 "0 (any) or 2",
	"encryptionKey":         "32 bytes in base64",
	"fcmKey":                "32 bytes in base64, of the encryptionKey where both are given",
	"keyCheck":              "32 hex digits, of the encryptionKey where both are given",
	"fcmConfig":             "an object of projectId, privateKey, clientEmail and enabled, and nothing else",
	"fcmConfig.projectId":   "6 to 30 of a-z 0-9 -",
	"fcmConfig.privateKey":  "a private RSA key of 2048 bits or more in PEM",
	"fcmConfig.clientEmail": "a service account's address, which ends in .iam.gserviceaccount.com",
	"fcmConfig.enabled":     "true or false",
}

// ParseSpec reads the body of createSession. It checks the form; Create checks the values. An error is a
// *protocol.Error that names the field and what it takes. Unknown fields are ignored.
//
// The caller wipes body: it may hold the root key.
func ParseSpec(body []byte) (Spec, error) {
	known := make([]string, 0, len(specTakes))
	for field := range specTakes {
		known = append(known, strings.TrimPrefix(field, "fcmConfig."))
	}
	if err := protocol.CheckJSON(body, known...); err != nil {
		return Spec{}, err
	}
	f, err := parseFields(body)
	if err != nil {
		return Spec{}, err
	}
	defer f.wipe()

	s := NewSpec("", "")
	f.text("sessionName", &s.Name)
	f.text("password", &s.Password)
	f.millis("retryInterval", &s.RetryInterval)
	f.whole("maxRetryLimit", &s.MaxRetryLimit)
	if f.null("messageExpiryTime") {
		s.MessageExpiry = 0
	}
	f.millis("messageExpiryTime", &s.MessageExpiry)
	f.millis("sessionExpiry", &s.SessionExpiry)
	f.millis("subscriptionExpiry", &s.SubscriptionExpiry)
	f.whole("suite", &s.Suite)
	f.base64("encryptionKey", &s.EncryptionKey)
	f.base64("fcmKey", &s.FCMKey)
	f.text("keyCheck", &s.KeyCheck)
	if f.has("keyCheck") && s.KeyCheck == "" {
		f.fail(refuse("keyCheck"))
	}
	if f.err == nil && f.has("fcmConfig") {
		s.FCMConfig, f.err = parseFCMConfig(f.raw["fcmConfig"])
	}
	if f.err != nil {
		s.wipe()
		return Spec{}, f.err
	}
	return s, nil
}

// validate checks all values, and settles what the server keeps of the keys.
func (s *Spec) validate() error {
	outside := func(d, from, to time.Duration) bool { return d < from || d > to }
	switch {
	case !protocol.ValidSessionName(s.Name):
		return refuse("sessionName")
	case !protocol.ValidPassword([]byte(s.Password)):
		return refuse("password")
	case outside(s.RetryInterval, minInterval, maxRetryInterval):
		return refuse("retryInterval")
	case s.MaxRetryLimit < 0 || s.MaxRetryLimit > maxRetryLimit:
		return refuse("maxRetryLimit")
	case s.MessageExpiry != 0 && outside(s.MessageExpiry, minExpiry, maxExpiry):
		return refuse("messageExpiryTime")
	case s.SessionExpiry != 0 && outside(s.SessionExpiry, minExpiry, maxExpiry):
		return refuse("sessionExpiry")
	case outside(s.SubscriptionExpiry, minExpiry, maxExpiry):
		return refuse("subscriptionExpiry")
	case s.Suite != 0 && s.Suite != 2:
		return refuse("suite")
	case s.EncryptionKey != nil && len(s.EncryptionKey) != rootKeySize:
		return refuse("encryptionKey")
	case s.FCMKey != nil && len(s.FCMKey) != fcmKeySize:
		return refuse("fcmKey")
	}
	if s.KeyCheck != "" {
		s.KeyCheck = strings.ToLower(s.KeyCheck)
		if b, err := hex.DecodeString(s.KeyCheck); err != nil || len(b) != keyCheckSize {
			return refuse("keyCheck")
		}
	}
	if s.FCMConfig != nil {
		return s.FCMConfig.validate()
	}
	return nil
}

// deriveKeys replaces the root key by what is derived from it, and wipes it.
func (s *Spec) deriveKeys() error {
	if s.EncryptionKey == nil {
		return nil
	}
	d, err := derive(s.EncryptionKey, s.Name)
	clear(s.EncryptionKey)
	s.EncryptionKey = nil
	switch {
	case err != nil:
		return err
	case s.FCMKey != nil && subtle.ConstantTimeCompare(s.FCMKey, d.fcmKey) == 0:
		return refuse("fcmKey")
	case s.KeyCheck != "" && subtle.ConstantTimeCompare([]byte(s.KeyCheck), []byte(d.keyCheck)) == 0:
		return refuse("keyCheck")
	}
	clear(s.FCMKey)
	s.FCMKey, s.KeyCheck = d.fcmKey, d.keyCheck
	return nil
}

func (s *Spec) wipe() {
	clear(s.EncryptionKey)
	clear(s.FCMKey)
}
