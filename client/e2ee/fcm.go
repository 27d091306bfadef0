package e2ee

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
)

const infoFCM = "fastport/2/fcm"

// Device is a push token and the device that it wakes.
type Device struct {
	FCMToken string `json:"fcmToken"`
	DeviceID string `json:"deviceId"`
	Platform string `json:"platform"`
}

// SealDevice is d as the "encryptedData" of register_fcm_token, bound to its user. It needs its [Hash] beside it.
func (r *KeyRing) SealDevice(userID string, d Device) (string, error) {
	text, err := json.Marshal(d)
	if err != nil {
		return "", fmt.Errorf("e2ee: %w", err)
	}
	aead := newGCM(r.keys[0].derive([]byte(r.session), infoFCM, KeySize))
	raw := make([]byte, aead.NonceSize(), aead.NonceSize()+len(text)+tagSize)
	if _, err := io.ReadFull(r.rand, raw); err != nil {
		return "", fmt.Errorf("e2ee: random: %w", err)
	}
	return base64.StdEncoding.EncodeToString(aead.Seal(raw, raw, text, []byte(userID))), nil
}

// OpenDevice opens what SealDevice sealed for the same user.
func (r *KeyRing) OpenDevice(userID, sealed string) (Device, error) {
	raw, err := decode(base64.StdEncoding, sealed)
	if err != nil || len(raw) < 12+tagSize {
		return Device{}, ErrMalformed
	}
	for _, k := range r.keys {
		text, err := newGCM(k.derive([]byte(r.session), infoFCM, KeySize)).Open(nil, raw[:12], raw[12:], []byte(userID))
		if err != nil {
			continue
		}
		var d Device
		if err := json.Unmarshal(text, &d); err != nil {
			return Device{}, ErrMalformed
		}
		return d, nil
	}
	return Device{}, ErrAuthentication
}
