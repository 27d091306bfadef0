package rig

// ports maps a server's port to that of the proxy before it, both of five digits.
type ports map[string]string

// longestWord bounds what is held back, above all that a Sentinel says.
const longestWord = 1024

// rewrite puts the proxies' ports in place of the servers' and returns how many bytes at the end of b may belong
// to a word that is not whole: they wait for what follows. What Redis says ends in a line break, so nothing waits for ever.
func (m ports) rewrite(b []byte) (held int) {
	if m == nil {
		return 0
	}
	for i := 0; i < len(b); {
		if !word(b[i]) {
			i++
			continue
		}
		end := i
		for end < len(b) && word(b[end]) {
			end++
		}
		if end == len(b) && end-i <= longestWord {
			return end - i
		}
		if to, ok := m[string(b[i:end])]; ok {
			copy(b[i:end], to)
		}
		i = end
	}
	return 0
}

// word says whether a byte next to digits makes them part of something else than a port.
func word(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '.' || c == '-'
}
