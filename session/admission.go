package session

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"

	"github.com/fastport/fastport/backplane"
	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/storage"
)

// check is what a publish must pass before anything is done with it.
func (t *tenant) check(c *backplane.Copy, stamped bool) *protocol.Error {
	if c.Hash != "" {
		sum := sha256.Sum256(c.Data)
		var text [2 * sha256.Size]byte
		hex.Encode(text[:], sum[:])
		if string(text[:]) != c.Hash {
			return protocol.Errorf(protocol.HashMismatch, "hash: is not the SHA-256 of data as lower-case hex")
		}
	}
	if !suite2(c.Data) {
		if t.suite.Load() == 2 {
			return protocol.Errorf(protocol.BadRequest, "data: this session takes messages of suite 2 only")
		}
		return nil
	}
	if !stamped {
		return protocol.Errorf(protocol.BadRequest, "timestamp: missing; a message of suite 2 is bound to it")
	}
	now := t.node.storeNow().UnixMilli()
	switch {
	case c.Timestamp < now-protocol.MaxPast.Milliseconds():
		return protocol.Errorf(protocol.Expired, "timestamp: older than 10 minutes; seal the message again")
	case c.Timestamp > now+protocol.MaxFuture.Milliseconds():
		return protocol.Errorf(protocol.ClockSkew, "timestamp: more than 5 minutes ahead; correct the clock by serverTime")
	}
	return nil
}

// suite2Least is the shortest data of suite 2: kid, sender, counter and tag around nothing, in base64url.
const suite2Least = 2 + (4+16+8+16)*4/3 + 1

// suite2 reports whether data has the form of suite 2: "2." and unpadded base64url.
func suite2(data []byte) bool {
	if len(data) < suite2Least || data[0] != '2' || data[1] != '.' || (len(data)-2)%4 == 1 {
		return false
	}
	for _, b := range data[2:] {
		switch {
		case b >= 'a' && b <= 'z', b >= 'A' && b <= 'Z', b >= '0' && b <= '9', b == '-', b == '_':
		default:
			return false
		}
	}
	return true
}

// refusal says to a client why the store refused an entry.
func refusal(err error) *protocol.Error {
	switch {
	case errors.Is(err, storage.ErrNoSession):
		return errSessionGone
	case errors.Is(err, storage.ErrQuota):
		return protocol.Errorf(protocol.QuotaExceeded, "the session has no room for more stored messages or topics")
	case errors.Is(err, storage.ErrInvalid):
		return protocol.Errorf(protocol.BadRequest, "the message holds text that cannot be stored")
	case errors.Is(err, storage.ErrFull):
		return protocol.Errorf(protocol.Unavailable, "the server has no room for more messages; send it again later")
	default:
		return errStore
	}
}
