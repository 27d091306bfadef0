package gateway

import (
	"bufio"
	"bytes"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/fastport/fastport/protocol"
)

func TestReadHead_TakesPlainUpgradesOnly(t *testing.T) {
	head := upgradeHead + "\r\n"
	for name, test := range map[string]struct {
		old, new string
		want     opening
	}{
		"as it is":               {"", "", openingUpgrade},
		"/ws":                    {"GET / ", "GET /ws ", openingUpgrade},
		"a query":                {"GET / ", "GET /ws?token=a%20b ", openingUpgrade},
		"other letters":          {"Upgrade: websocket", "uPGRADE: WebSocket", openingUpgrade},
		"a list of tokens":       {"Connection: Upgrade", "Connection: keep-alive, Upgrade", openingUpgrade},
		"blanks around":          {"Host: x", "Host: \t x  ", openingUpgrade},
		"headers of others":      {"Host: x", "Host: x\r\nCookie: a=b; c=\"d\"\r\nUser-Agent: x/1 (y)", openingUpgrade},
		"another path":           {"GET / ", "GET /wsx ", openingOther},
		"a path in other words":  {"GET / ", "GET /%77s ", openingOther},
		"a whole address":        {"GET / ", "GET http://x/ws ", openingOther},
		"another method":         {"GET", "PUT", openingOther},
		"HTTP/1.0":               {"HTTP/1.1", "HTTP/1.0", openingOther},
		"no upgrade":             {"Upgrade: websocket\r\n", "", openingOther},
		"another upgrade":        {"websocket", "h2c", openingOther},
		"no Connection":          {"Connection: Upgrade", "Connection: close", openingOther},
		"another version":        {": 13", ": 8", openingOther},
		"two versions":           {": 13", ": 13\r\nSec-WebSocket-Version: 8", openingOther},
		"no key":                 {"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "", openingOther},
		"two keys":               {"Host: x", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nHost: x", openingOther},
		"no host":                {"Host: x\r\n", "", openingOther},
		"two hosts":              {"Host: x", "Host: x\r\nHost: y", openingOther},
		"a host with a blank":    {"Host: x", "Host: x y", openingOther},
		"two origins":            {"Host: x", "Host: x\r\nOrigin: a\r\nOrigin: b", openingOther},
		"a body":                 {"Host: x", "Host: x\r\nContent-Length: 0", openingOther},
		"a chunked one":          {"Host: x", "Host: x\r\nTransfer-Encoding: chunked", openingOther},
		"a folded line":          {"Host: x", "Host: x\r\n y", openingOther},
		"a blank before a colon": {"Host: x", "Host : x", openingOther},
		"no colon":               {"Host: x", "Host: x\r\ny", openingOther},
		"a control character":    {"Host: x", "Host: x\r\nY: \x01", openingOther},
		"a CR alone":             {"Host: x", "Host: x\r\nY: \rz", openingOther},
		"lines without CR":       {"\r\n", "\n", openingOther},
		"one line without CR":    {"Host: x\r\n", "Host: x\n", openingOther},
		"bad extensions":         {"Host: x", "Host: x\r\nSec-WebSocket-Extensions: ;", openingOther},
	} {
		t.Run(name, func(t *testing.T) {
			n := 1
			if test.old == "\r\n" {
				n = -1
			}
			data := strings.Replace(head, test.old, test.new, n)
			h, end, got := readHead([]byte(data+"early"), 0)
			if got != test.want {
				t.Fatalf("opening = %d, want %d", got, test.want)
			}
			if got == openingUpgrade && (end != len(data) || h.key != "dGhlIHNhbXBsZSBub25jZQ==") {
				t.Fatalf("head ends at %d with key %q, want %d", end, h.key, len(data))
			}
		})
	}
}

func TestReadHead_CutAnywhereIsShortUntilItIsWhole(t *testing.T) {
	head := []byte(upgradeHead + "\r\n")
	for cut := range head {
		if _, _, what := readHead(head[:cut], 0); what != openingShort {
			t.Fatalf("after %d bytes: %d, want short", cut, what)
		}
		if _, end, what := readHead(head, cut); what != openingUpgrade || end != len(head) {
			t.Fatalf("whole, with %d bytes seen before: %d, ends at %d", cut, what, end)
		}
	}
}

func TestReadHead_HoldsNoMoreThanTheLimit(t *testing.T) {
	long := upgradeHead + "X: " + strings.Repeat("x", protocol.MaxHeaderBytes)
	if _, _, what := readHead([]byte(long[:protocol.MaxHeaderBytes-1]), 0); what != openingShort {
		t.Fatalf("a byte below the limit: %d, want short", what)
	}
	if _, _, what := readHead([]byte(long[:protocol.MaxHeaderBytes]), 0); what != openingOther {
		t.Fatalf("at the limit: %d, want net/http's", what)
	}
	whole := long + "\r\n\r\n"
	if _, _, what := readHead([]byte(whole), 0); what != openingOther {
		t.Fatalf("whole, and beyond the limit: %d, want net/http's", what)
	}
}

// What readHead takes net/http must take too, and find the same in it; cutting it must change nothing.
func FuzzReadHead(f *testing.F) {
	for _, more := range []string{"", "Origin: https://a\r\n", "X-Forwarded-For: 1.2.3.4, 5.6.7.8\r\nX-Forwarded-For: ::1\r\n",
		"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n", "Content-Length: 3\r\n", "Expect: 100-continue\r\n"} {
		f.Add([]byte(upgradeHead+more+"\r\n\x81\x80abcd"), 7)
	}
	f.Add([]byte("GET /ws?a=b HTTP/1.1\nHost: x\n\n"), 3)
	f.Add([]byte("\x16\x03\x01\x02\x00"), 1)
	f.Fuzz(func(t *testing.T, data []byte, cut int) {
		h, end, what := readHead(data, 0)
		if cut = max(0, min(cut, len(data))); what == openingUpgrade && cut < end {
			if _, _, early := readHead(data[:cut], 0); early != openingShort {
				t.Fatalf("cut at %d of %d: %d, want short", cut, end, early)
			}
			if again, at, _ := readHead(data, cut); at != end || !reflect.DeepEqual(again, h) {
				t.Fatalf("with %d bytes seen before, the head ends at %d, want %d", cut, at, end)
			}
		}
		if what != openingUpgrade {
			return
		}
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(data)))
		if err != nil {
			t.Fatalf("net/http refuses it: %v", err)
		}
		if r.URL.Path != "/" && r.URL.Path != "/ws" {
			t.Fatalf("path = %q", r.URL.Path)
		}
		want := handshakeOf(r)
		want.hops, h.hops = append([]string{}, want.hops...), append([]string{}, h.hops...)
		want.offers, h.offers = append([]string{}, want.offers...), append([]string{}, h.offers...)
		if !reflect.DeepEqual(h, want) {
			t.Fatalf("handshake = %+v, net/http has %+v", h, want)
		}
		if status, text := h.check(true); status != 0 {
			t.Fatalf("taken, and yet: %s", text)
		}
	})
}
