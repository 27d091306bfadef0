package protocol

import (
	"encoding/binary"
	"math/bits"
	"strconv"
	"unicode/utf8"
)

// scanner reads one JSON text (RFC 8259) front to back, without reflection and without copying what has no escapes.
// It is stricter than the grammar where two readers could disagree: valid UTF-8 only, no lone surrogates, no key twice
// in an object (ignoring case), at most MaxDepth levels. The first fault sticks in err; every method then does nothing.
type scanner struct {
	b     []byte
	i     int
	depth int
	err   *Error

	text  []byte   // unescaped strings, one behind the other
	keys  []key    // of the objects open now, those that are no field
	known []string // keys whose case variants are refused at every level (CheckJSON)
}

// begin is the check that is quickest done for the whole text at once.
func (s *scanner) begin() {
	if !utf8.Valid(s.b) {
		s.err = Errorf(BadRequest, "not JSON: not valid UTF-8")
	}
}

// end refuses what follows the value.
func (s *scanner) end() {
	if s.err == nil && (s.peek() != 0 || s.i < len(s.b)) {
		s.fail("more after the end")
	}
}

func (s *scanner) fail(what string) {
	if s.err == nil {
		s.err = Errorf(BadRequest, "not JSON as taken here: "+what+" at byte "+strconv.Itoa(s.i))
	}
}

// peek goes past white space to the next byte: 0 at the end (a NUL is legal nowhere outside a string either).
func (s *scanner) peek() byte {
	for s.i < len(s.b) {
		c := s.b[s.i]
		if c != ' ' && c != '\n' && c != '\r' && c != '\t' {
			return c
		}
		s.i++
	}
	return 0
}

// skip goes past any value, checking all of it.
func (s *scanner) skip() {
	if s.err != nil {
		return
	}
	switch c := s.peek(); c {
	case '"':
		s.raw()
	case '{':
		var o object
		for s.open(&o); s.next(&o, false); {
			s.skip()
		}
	case '[':
		n := 0
		for s.openList(); s.item(&n); {
			s.skip()
		}
	case 't':
		s.literal("true")
	case 'f':
		s.literal("false")
	case 'n':
		s.literal("null")
	default:
		if !numeric(c) {
			s.fail("no value")
			return
		}
		s.number()
	}
}

func (s *scanner) literal(word string) bool {
	if len(s.b)-s.i < len(word) || string(s.b[s.i:s.i+len(word)]) != word {
		s.fail("no value")
		return false
	}
	s.i += len(word)
	return true
}

// deeper enters an object or a list.
func (s *scanner) deeper() {
	s.i++
	if s.depth++; s.depth > MaxDepth {
		s.fail("deeper than " + strconv.Itoa(MaxDepth) + " levels")
	}
}

func (s *scanner) openList() { s.deeper() }

// item steps to the next item of a list, of which n have been read; false after the last.
func (s *scanner) item(n *int) bool {
	if s.err != nil {
		return false
	}
	c := s.peek()
	if c == ']' {
		s.i++
		s.depth--
		return false
	}
	if *n++; *n > 1 {
		if c != ',' {
			s.fail("no comma")
			return false
		}
		s.i++
	}
	return true
}

// raw goes past a string and returns what stands between its quotes, and whether there are escapes in it.
func (s *scanner) raw() (raw []byte, escaped bool) {
	start := s.i + 1
	for i := start; ; {
		i += plain(s.b[i:])
		if i >= len(s.b) {
			s.fail("string without end")
			return nil, false
		}
		switch s.b[i] {
		case '"':
			s.i = i + 1
			return s.b[start:i:i], escaped
		case '\\':
			_, n := escape(s.b[i:])
			if n == 0 {
				s.i = i
				s.fail("bad escape")
				return nil, false
			}
			escaped = true
			i += n
		default:
			s.i = i
			s.fail("control character")
			return nil, false
		}
	}
}

// str reads a string. It aliases the input, or s.text where it had escapes; it is never nil.
func (s *scanner) str() []byte {
	raw, escaped := s.raw()
	if escaped {
		return s.unescape(raw)
	}
	return raw
}

func (s *scanner) unescape(raw []byte) []byte {
	start := len(s.text)
	for len(raw) > 0 {
		n := plain(raw)
		s.text = append(s.text, raw[:n]...)
		if raw = raw[n:]; len(raw) > 0 {
			r, n := escape(raw)
			s.text = utf8.AppendRune(s.text, r)
			raw = raw[n:]
		}
	}
	return s.text[start:len(s.text):len(s.text)]
}

// escape decodes the escape that b begins with, a surrogate pair as one, and returns its length: 0 where it is none.
func escape(b []byte) (r rune, n int) {
	if len(b) < 2 {
		return 0, 0
	}
	switch b[1] {
	case '"', '\\', '/':
		return rune(b[1]), 2
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	}
	hi, ok := hex4(b)
	if !ok {
		return 0, 0
	}
	if hi < 0xd800 || hi > 0xdfff {
		return hi, 6
	}
	// A surrogate alone is no character: it could not be passed on as it came.
	lo, ok := hex4(b[6:])
	if !ok || hi > 0xdbff || lo < 0xdc00 || lo > 0xdfff {
		return 0, 0
	}
	return 0x10000 + (hi-0xd800)<<10 + (lo - 0xdc00), 12
}

// hex4 reads \uXXXX.
func hex4(b []byte) (r rune, ok bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	for _, c := range b[2:6] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// One bit in each of eight bytes, for tests of all of them at once: x-ones*c borrows from the highs of those below c.
const ones, highs = 0x0101010101010101, 0x8080808080808080

// plain counts the leading bytes that stand in a JSON string as they are: all but controls, quote and backslash.
func plain(b []byte) int {
	i := 0
	// Eight bytes at a time; the lowest mark is exact, and only that one is used.
	for ; i+8 <= len(b); i += 8 {
		x := binary.LittleEndian.Uint64(b[i:])
		quote, slash := x^(ones*'"'), x^(ones*'\\')
		if m := ((x-ones*0x20)&^x | (quote-ones)&^quote | (slash-ones)&^slash) & highs; m != 0 {
			return i + bits.TrailingZeros64(m)/8
		}
	}
	for ; i < len(b); i++ {
		if c := b[i]; c < 0x20 || c == '"' || c == '\\' {
			break
		}
	}
	return i
}
