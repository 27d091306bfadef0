package protocol

import "math"

func digit(c byte) bool   { return c >= '0' && c <= '9' }
func numeric(c byte) bool { return c == '-' || digit(c) }

// number goes past a number and returns its text.
func (s *scanner) number() []byte {
	start := s.i
	if s.at() == '-' {
		s.i++
	}
	if s.at() == '0' {
		s.i++
	} else if !s.digits() {
		s.fail("no digit")
		return nil
	}
	if s.at() == '.' {
		s.i++
		if !s.digits() {
			s.fail("no digit")
			return nil
		}
	}
	if s.at()|0x20 == 'e' {
		s.i++
		if c := s.at(); c == '+' || c == '-' {
			s.i++
		}
		if !s.digits() {
			s.fail("no digit")
			return nil
		}
	}
	return s.b[start:s.i]
}

func (s *scanner) at() byte {
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

func (s *scanner) digits() bool {
	start := s.i
	for s.i < len(s.b) && digit(s.b[s.i]) {
		s.i++
	}
	return s.i > start
}

// whole is the value of a legal number, and whether it is a whole one that 64 bits hold: 1e3 and 10.0 are, 1e-3 is not.
func whole(text []byte) (neg bool, mag uint64, ok bool) {
	if neg = text[0] == '-'; neg {
		text = text[1:]
	}
	// Digits are read as if there were no point; scale says how many zeros to add, or to have been there, at the end.
	scale, zeros, fraction := 0, 0, false
	for i, c := range text {
		switch {
		case c == '.':
			fraction = true
			continue
		case c|0x20 == 'e':
			scale += exponent(text[i+1:])
		case c == '0':
			// Held back until another digit shows that they count.
			zeros++
		default:
			for ; zeros > 0 && mag != 0; zeros-- {
				if mag, ok = times10(mag, 0); !ok {
					return neg, 0, false
				}
			}
			zeros = 0
			if mag, ok = times10(mag, uint64(c-'0')); !ok {
				return neg, 0, false
			}
		}
		if c|0x20 == 'e' {
			break
		}
		if fraction {
			scale--
		}
	}
	if mag == 0 {
		return neg, 0, true
	}
	if scale += zeros; scale < 0 {
		return neg, 0, false
	}
	for ; scale > 0; scale-- {
		if mag, ok = times10(mag, 0); !ok {
			return neg, 0, false
		}
	}
	return neg, mag, true
}

func times10(mag, plus uint64) (uint64, bool) {
	if mag > (math.MaxUint64-plus)/10 {
		return 0, false
	}
	return mag*10 + plus, true
}

// exponent reads [+-]digits. It stops short of what no frame's digits could make up for.
func exponent(text []byte) int {
	neg := text[0] == '-'
	if neg || text[0] == '+' {
		text = text[1:]
	}
	n := 0
	for _, c := range text {
		if n < 1<<27 {
			n = n*10 + int(c-'0')
		}
	}
	if neg {
		return -n
	}
	return n
}
