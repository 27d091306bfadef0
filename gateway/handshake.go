package gateway

import (
	"crypto/sha1"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"

	"github.com/gobwas/httphead"
	"github.com/gobwas/ws/wsflate"
)

// acceptSuffix is hashed behind the client's key (RFC 6455, 4.2.2).
const acceptSuffix = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// handshake is what an upgrade's head says, whoever read it: readHead or net/http.
type handshake struct {
	method   string
	http11   bool
	body     bool // one is announced
	upgrade  bool // the Upgrade header names websocket
	connects bool // the Connection header names Upgrade
	version  string
	key      string
	origin   string
	hops     []string // X-Forwarded-For, a line each
	offers   []string // Sec-WebSocket-Extensions, a line each
}

func handshakeOf(r *http.Request) handshake {
	return handshake{
		method: r.Method, http11: r.ProtoAtLeast(1, 1), body: r.ContentLength != 0,
		upgrade:  hasToken(r.Header.Values("Upgrade"), "websocket"),
		connects: hasToken(r.Header.Values("Connection"), "upgrade"),
		version:  r.Header.Get("Sec-WebSocket-Version"),
		key:      r.Header.Get("Sec-WebSocket-Key"),
		origin:   r.Header.Get("Origin"),
		hops:     r.Header.Values("X-Forwarded-For"),
		offers:   r.Header.Values("Sec-WebSocket-Extensions"),
	}
}

// check holds h against RFC 6455, 4.2.1. Status 0: it is correct.
func (h *handshake) check(compression bool) (status int, text string) {
	switch {
	case h.method != http.MethodGet:
		return http.StatusMethodNotAllowed, "a WebSocket upgrade is a GET"
	case !h.http11:
		return http.StatusBadRequest, "a WebSocket upgrade wants HTTP/1.1"
	case h.body:
		return http.StatusBadRequest, "a WebSocket upgrade has no body"
	case !h.connects:
		return http.StatusBadRequest, "the Connection header does not name Upgrade"
	case h.version != "13":
		return http.StatusUpgradeRequired, "Sec-WebSocket-Version must be 13"
	case len(h.key) != 24:
		return http.StatusBadRequest, "Sec-WebSocket-Key must be 16 bytes in base64"
	case compression && slices.ContainsFunc(h.offers, malformed):
		return http.StatusBadRequest, "Sec-WebSocket-Extensions is malformed"
	}
	return 0, ""
}

func malformed(offers string) bool {
	return !httphead.ScanOptions([]byte(offers), func(int, []byte, []byte, []byte) httphead.Control { return httphead.ControlContinue })
}

// deflates reports whether permessage-deflate is offered in a form that is taken, and the answer to the first such
// offer. An offer that makes no sense is declined.
func (h *handshake) deflates() (answer httphead.Option, ok bool) {
	for _, line := range h.offers {
		options, _ := httphead.ParseOptions([]byte(line), nil)
		for _, offer := range options {
			deflate := wsflate.Extension{Parameters: wsflate.Parameters{ServerNoContextTakeover: true, ClientNoContextTakeover: true}}
			if answer, err := deflate.Negotiate(offer); err == nil && answer.Size() > 0 {
				return answer, true
			}
		}
	}
	return httphead.Option{}, false
}

// accept appends the answer to a handshake that is taken, and reports whether permessage-deflate was agreed upon.
func (h *handshake) accept(to []byte, compression bool) (answer []byte, packed bool) {
	sum := sha1.Sum(append(append(make([]byte, 0, 64), h.key...), acceptSuffix...))
	to = append(to, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "...)
	to = base64.StdEncoding.AppendEncode(to, sum[:])
	if compression {
		if option, ok := h.deflates(); ok {
			var text strings.Builder
			httphead.WriteOptions(&text, []httphead.Option{option}) // a strings.Builder takes everything
			to = append(append(to, "\r\nSec-WebSocket-Extensions: "...), text.String()...)
			packed = true
		}
	}
	return append(to, "\r\n\r\n"...), packed
}

// hasToken looks for a token in lines that list tokens, in any case.
func hasToken(lines []string, token string) bool {
	for _, line := range lines {
		if namesToken(line, token) {
			return true
		}
	}
	return false
}

func namesToken(line, token string) bool {
	for t := range strings.SplitSeq(line, ",") {
		if strings.EqualFold(strings.TrimSpace(t), token) {
			return true
		}
	}
	return false
}
