package protocol

import (
	"bytes"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// object is the reading of one JSON object: where it stands and what it has had.
type object struct {
	field field    // of the key that next stopped at, fieldNone where it is no field
	seen  fieldSet // had in any form
	got   fieldSet // had with a value of the right kind; null is no value
	bad   fieldSet // had with a value of another kind
	base  int      // where its keys begin in scanner.keys
	count int
}

// key is one that is no field: remembered, so that it is refused when it comes again.
type key struct {
	hash       uint64 // of the key without its case
	start, end int    // in scanner.b, still escaped
}

// open enters the object that begins here.
func (s *scanner) open(o *object) {
	*o = object{base: len(s.keys)}
	if s.err != nil {
		return
	}
	if s.peek() != '{' {
		s.fail("no object")
		return
	}
	s.deeper()
}

// next steps to the next member's value; false after the last. With fields, exact keys of fieldTable are told in
// o.field, and their case variants refused.
func (s *scanner) next(o *object, fields bool) bool {
	if s.err != nil {
		return false
	}
	c := s.peek()
	if c == '}' {
		s.i++
		s.depth--
		s.keys = s.keys[:o.base]
		return false
	}
	if o.count > 0 {
		if c != ',' {
			s.fail("no comma")
			return false
		}
		s.i++
		c = s.peek()
	}
	if c != '"' {
		s.fail("no key")
		return false
	}
	if o.count++; o.count > MaxKeys {
		s.fail("more than " + strconv.Itoa(MaxKeys) + " keys in an object")
		return false
	}
	start := s.i + 1
	raw, escaped := s.raw()
	if s.err != nil {
		return false
	}
	mark := len(s.text)
	name := raw
	if escaped {
		name = s.unescape(raw)
	}
	o.field = fieldNone
	if fields {
		o.field = fieldOf(name)
	}
	if o.field != fieldNone {
		if o.seen.has(o.field) {
			s.fail("key twice")
			return false
		}
		o.seen |= 1 << o.field
	} else if !s.remember(o, name, key{fold(name), start, start + len(raw)}, fields) {
		return false
	}
	s.text = s.text[:mark]
	if s.peek() != ':' {
		s.fail("no colon")
		return false
	}
	s.i++
	return true
}

// remember keeps a key that is no field, unless it, or a field, has it but for its case.
func (s *scanner) remember(o *object, name []byte, k key, fields bool) bool {
	for _, other := range s.keys[o.base:] {
		if other.hash != k.hash {
			continue
		}
		n := s.b[other.start:other.end]
		if bytes.IndexByte(n, '\\') >= 0 {
			n = s.unescape(n)
		}
		if bytes.EqualFold(n, name) {
			s.fail("key twice")
			return false
		}
	}
	s.keys = append(s.keys, k)
	if !fields && len(s.known) == 0 {
		return true
	}
	n := string(name)
	if fields {
		for f := fieldType; int(f) < len(fieldTable); f++ {
			if strings.EqualFold(n, fieldTable[f].name) {
				s.fail("key must be written " + fieldTable[f].name)
				return false
			}
		}
	}
	for _, known := range s.known {
		if n != known && strings.EqualFold(n, known) {
			s.fail("key must be written " + known)
			return false
		}
	}
	return true
}

// fold hashes name so that whatever is equal under bytes.EqualFold has the same hash (FNV-1a).
func fold(name []byte) uint64 {
	h := uint64(14695981039346656037)
	for i := 0; i < len(name); {
		r, n := rune(name[i]), 1
		if r >= utf8.RuneSelf {
			r, n = utf8.DecodeRune(name[i:])
		}
		i += n
		// The least rune of those that fold into each other stands for all: K for k and the Kelvin sign.
		if 'a' <= r && r <= 'z' {
			r -= 'a' - 'A'
		} else if r >= utf8.RuneSelf {
			for least := r; ; {
				if least = unicode.SimpleFold(least); least <= r {
					r = least
					break
				}
			}
		}
		h = (h ^ uint64(r)) * 1099511628211
	}
	return h
}

// The readers below fill *p from the value that next stopped at. null leaves *p as it is, and so does a value of
// another kind, which is noted in o.bad: whether that matters is known once the frame's type is.

func (s *scanner) other(o *object) {
	if s.peek() != 'n' {
		o.bad |= 1 << o.field
	}
	s.skip()
}

func (s *scanner) bytes(o *object, p *[]byte) {
	if s.peek() != '"' {
		s.other(o)
		return
	}
	if v := s.str(); s.err == nil {
		*p = v
		o.got |= 1 << o.field
	}
}

func (s *scanner) string(o *object, p *string) {
	var v []byte
	if s.bytes(o, &v); v != nil {
		*p = string(v)
	}
}

func (s *scanner) bool(o *object, p *bool) {
	switch s.peek() {
	case 't':
		if !s.literal("true") {
			return
		}
		*p = true
	case 'f':
		if !s.literal("false") {
			return
		}
		*p = false
	default:
		s.other(o)
		return
	}
	o.got |= 1 << o.field
}

// int takes a whole number from least to most.
func (s *scanner) int(o *object, p *int64, least, most int64) {
	if !numeric(s.peek()) {
		s.other(o)
		return
	}
	text := s.number()
	if s.err != nil {
		return
	}
	neg, mag, ok := whole(text)
	v := int64(mag)
	if neg {
		v = -v
		ok = ok && v <= 0 // -2^63 is its own negative
	} else {
		ok = ok && v >= 0
	}
	if !ok || v < least || v > most {
		o.bad |= 1 << o.field
		return
	}
	*p = v
	o.got |= 1 << o.field
}
