package session

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"regexp"

	"github.com/fastport/fastport/protocol"
)

// FCMConfig is a session's own Firebase project. It holds no address: where pushes and token requests go is the
// operator's to say, never a client's.
type FCMConfig struct {
	ProjectID   string `json:"projectId"`
	PrivateKey  string `json:"privateKey"` // PEM
	ClientEmail string `json:"clientEmail"`
	Enabled     bool   `json:"enabled"`
}

const (
	maxPEM     = 16 << 10 // bytes; an RSA key of 8,192 bits has 6,400
	minRSABits = 2048
)

var (
	projectID   = regexp.MustCompile(`^[a-z0-9-]{6,30}$`)
	clientEmail = regexp.MustCompile(`^[A-Za-z0-9._+-]{1,64}@[A-Za-z0-9.-]{1,128}\.iam\.gserviceaccount\.com$`)
)

// parseFCMConfig takes the four fields, all of them, and no other.
func parseFCMConfig(raw json.RawMessage) (*FCMConfig, error) {
	f, err := parseFields(raw)
	if err != nil {
		return nil, refuse("fcmConfig")
	}
	defer f.wipe()
	known := map[string]bool{"projectId": true, "privateKey": true, "clientEmail": true, "enabled": true}
	for key := range f.raw {
		if !known[key] {
			return nil, refuse("fcmConfig") // the key is the client's text: not repeated
		}
	}
	var c FCMConfig
	f.prefix = "fcmConfig."
	f.text("projectId", &c.ProjectID)
	f.text("privateKey", &c.PrivateKey)
	f.text("clientEmail", &c.ClientEmail)
	if !f.has("enabled") {
		f.fail(refuse("fcmConfig.enabled"))
	}
	f.flag("enabled", &c.Enabled)
	return &c, f.err
}

func (c *FCMConfig) validate() error {
	switch {
	case !projectID.MatchString(c.ProjectID):
		return refuse("fcmConfig.projectId")
	case !clientEmail.MatchString(c.ClientEmail):
		return refuse("fcmConfig.clientEmail")
	case !goodRSAKey(c.PrivateKey):
		return refuse("fcmConfig.privateKey")
	}
	return nil
}

// goodRSAKey holds for one PEM block with an RSA private key of minRSABits or more, as Google's consoles give them
// (PKCS#8) or in the older form (PKCS#1).
func goodRSAKey(text string) bool {
	if len(text) > maxPEM {
		return false
	}
	block, rest := pem.Decode([]byte(text))
	if block == nil {
		return false
	}
	if more, _ := pem.Decode(rest); more != nil {
		return false
	}
	var key *rsa.PrivateKey
	switch block.Type {
	case "PRIVATE KEY":
		parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return false
		}
		var ok bool
		if key, ok = parsed.(*rsa.PrivateKey); !ok {
			return false
		}
	case "RSA PRIVATE KEY":
		parsed, err := x509.ParsePKCS1PrivateKey(block.Bytes)
		if err != nil {
			return false
		}
		key = parsed
	default:
		return false
	}
	return key.N.BitLen() >= minRSABits && key.Validate() == nil
}

// refuse is the error of a createSession field that holds something else than it takes.
func refuse(field string) *protocol.Error {
	return &protocol.Error{Code: protocol.BadRequest, Text: field + ": takes " + specTakes[field]}
}
