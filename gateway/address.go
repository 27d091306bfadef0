package gateway

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// ClientAddr is the address that r came from: that of the socket's peer, or, where the peer is a trusted proxy, the
// rightmost address of X-Forwarded-For that is not one. Whatever stands further left was written by the client.
// An unreadable entry ends the search: what a trusted proxy passed on without understanding proves nothing.
func ClientAddr(r *http.Request, trusted []netip.Prefix) netip.Addr {
	return clientAddr(ParseAddr(r.RemoteAddr), r.Header.Values("X-Forwarded-For"), trusted)
}

// clientAddr is ClientAddr for a socket's peer and the lines of X-Forwarded-For.
func clientAddr(addr netip.Addr, hops []string, trusted []netip.Prefix) netip.Addr {
	if !within(addr, trusted) {
		return addr
	}
	for i := len(hops) - 1; i >= 0; i-- {
		list := strings.Split(hops[i], ",")
		for j := len(list) - 1; j >= 0; j-- {
			hop := ParseAddr(strings.TrimSpace(list[j]))
			if !hop.IsValid() {
				return addr
			}
			addr = hop
			if !within(addr, trusted) {
				return addr
			}
		}
	}
	return addr
}

// ParseAddr reads "1.2.3.4", "1.2.3.4:80", "::1", "[::1]" or "[::1]:80"; IPv4 in IPv6 becomes IPv4, a zone is
// dropped. Anything else is the invalid Addr.
func ParseAddr(s string) netip.Addr {
	if host, _, err := net.SplitHostPort(s); err == nil {
		s = host
	} else if len(s) > 1 && s[0] == '[' && s[len(s)-1] == ']' {
		s = s[1 : len(s)-1]
	}
	addr, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}
	}
	return addr.Unmap().WithZone("")
}

func within(addr netip.Addr, prefixes []netip.Prefix) bool {
	for _, p := range prefixes {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}
