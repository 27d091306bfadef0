package session

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/fastport/fastport/protocol"
)

// envelope is what a client seals of its device: PROTOCOL.md 5, FCM envelope.
type envelope struct {
	FCMToken string `json:"fcmToken"`
	DeviceID string `json:"deviceId"`
	Platform string `json:"platform"`
}

// Bounds of an envelope's fields, in bytes. FCM's own tokens have some 160.
const (
	maxToken    = 4 << 10
	maxPlatform = 32
)

var (
	errEnvelopeForm = protocol.Errorf(protocol.BadRequest, "encryptedData: takes base64 of a nonce of 12 bytes, the sealed object and its tag")
	errEnvelopeKey  = protocol.Errorf(protocol.KeyMismatch, "encryptedData: does not open for this userId with the session's key")
	errEnvelopeText = protocol.Errorf(protocol.BadRequest, "encryptedData: takes an object of fcmToken (1 to 4096 bytes), deviceId (1 to 128) and platform")
)

// openEnvelope opens what was sealed for a user, with a token of tokenMin bytes or more.
func openEnvelope(key []byte, user, sealed string, tokenMin int) (e envelope, err error) {
	raw, err := base64.StdEncoding.DecodeString(sealed)
	if err != nil || len(raw) < nonceSize+16 {
		return e, errEnvelopeForm
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return e, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return e, err
	}
	text, err := aead.Open(nil, raw[:nonceSize], raw[nonceSize:], []byte(user))
	if err != nil {
		return e, errEnvelopeKey
	}
	defer clear(text)
	if !utf8.Valid(text) || json.Unmarshal(text, &e) != nil || !plain(e.FCMToken, tokenMin, maxToken) ||
		!plain(e.DeviceID, 1, protocol.MaxNameBytes) || !plain(e.Platform, 0, maxPlatform) {
		return e, errEnvelopeText
	}
	return e, nil
}

// plain holds for text of min to max bytes without control characters.
func plain(text string, min, max int) bool {
	return len(text) >= min && len(text) <= max && strings.IndexFunc(text, func(r rune) bool { return r < 0x20 || r == 0x7f }) < 0
}
