package gateway

import (
	"bytes"
	"strings"

	"github.com/fastport/fastport/protocol"
)

// A connection's first bytes are read here until it is known whether they begin with an upgrade of / or /ws that is
// as plain as nearly all are. Whatever else they are, also an upgrade that is wrong, or right in an unusual way, is
// net/http's to read again from its first byte, and to answer: there is one way to refuse.

// opening is what the first bytes of a connection are.
type opening uint8

const (
	openingShort   opening = iota // more must come to know it
	openingOther                  // net/http's
	openingUpgrade                // a whole head, to be taken
)

// readHead looks at a connection's first bytes, of which old were looked at before. For an upgrade it returns what it
// says, and where its head ends.
func readHead(data []byte, old int) (h handshake, end int, what opening) {
	if !mayUpgrade(data) {
		return h, 0, openingOther
	}
	end = headEnd(data, old)
	switch {
	case end > protocol.MaxHeaderBytes, end == 0 && len(data) >= protocol.MaxHeaderBytes:
		return h, 0, openingOther
	case end == 0:
		return h, 0, openingShort
	}
	if h, ok := parseHead(string(data[:end])); ok {
		return h, end, openingUpgrade
	}
	return h, 0, openingOther
}

// mayUpgrade reports whether data can begin an upgrade's request line, as far as it goes.
func mayUpgrade(data []byte) bool {
	for _, target := range [...]string{"GET / ", "GET /?", "GET /ws ", "GET /ws?"} {
		if n := min(len(data), len(target)); string(data[:n]) == target[:n] {
			return true
		}
	}
	return false
}

// headEnd is where the empty line ends that ends a head; 0: it is not there yet. The first old bytes were looked at
// before. Lines that end without CR count too: net/http takes them.
func headEnd(data []byte, old int) int {
	for at := max(0, old-2); ; {
		i := bytes.IndexByte(data[at:], '\n')
		if i < 0 {
			return 0
		}
		at += i + 1
		switch rest := data[at:]; {
		case len(rest) > 0 && rest[0] == '\n':
			return at + 1
		case len(rest) > 1 && rest[0] == '\r' && rest[1] == '\n':
			return at + 2
		}
	}
}

// parseHead reads the whole head of an upgrade. False: it is none, or has something that is not plain.
func parseHead(head string) (h handshake, ok bool) {
	line, rest, _ := strings.Cut(head, "\r\n")
	target, ok := strings.CutSuffix(line, " HTTP/1.1")
	if !ok || !visible(target[len("GET "):]) {
		return h, false
	}
	h.method, h.http11 = "GET", true
	host := false
	for {
		if line, rest, ok = strings.Cut(rest, "\r\n"); !ok {
			return h, false
		}
		if line == "" {
			break
		}
		name, value, colon := strings.Cut(line, ":")
		value = strings.Trim(value, " \t")
		if !colon || !plainName(name) || !plainValue(value) || !h.field(name, value, &host) {
			return h, false
		}
	}
	status, _ := h.check(true)
	return h, rest == "" && host && h.upgrade && status == 0
}

// field takes one line of a head. False: it is not for here.
func (h *handshake) field(name, value string, host *bool) bool {
	once := func(to *string) bool {
		first := *to == ""
		*to = value
		return first && value != ""
	}
	is := func(want string) bool { return len(name) == len(want) && strings.EqualFold(name, want) }
	switch {
	case is("Host"):
		first := !*host
		*host = true
		return first && plainHost(value)
	case is("Upgrade"):
		h.upgrade = h.upgrade || namesToken(value, "websocket")
	case is("Connection"):
		h.connects = h.connects || namesToken(value, "upgrade")
	case is("Sec-WebSocket-Version"):
		return once(&h.version)
	case is("Sec-WebSocket-Key"):
		return once(&h.key)
	case is("Origin"):
		return once(&h.origin)
	case is("X-Forwarded-For"):
		h.hops = append(h.hops, value)
	case is("Sec-WebSocket-Extensions"):
		h.offers = append(h.offers, value)
	case is("Content-Length"), is("Transfer-Encoding"), is("Trailer"), is("Expect"):
		return false
	}
	return true
}

// plainName reports whether a header's name is of letters, digits and hyphens.
func plainName(s string) bool {
	for i := range len(s) {
		if c := s[i]; !letterOrDigit(c) && c != '-' {
			return false
		}
	}
	return s != ""
}

// plainHost reports whether a Host names a host, or an address, and perhaps a port.
func plainHost(s string) bool {
	for i := range len(s) {
		if c := s[i]; !letterOrDigit(c) && strings.IndexByte("-.:[]_", c) < 0 {
			return false
		}
	}
	return s != ""
}

// plainValue reports whether s has printable ASCII, blanks and tabs only.
func plainValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < ' ' || c > '~') && c != '\t' {
			return false
		}
	}
	return true
}

// visible reports whether s has printable ASCII without blanks only.
func visible(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' {
			return false
		}
	}
	return true
}

func letterOrDigit(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
