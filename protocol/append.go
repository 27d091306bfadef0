package protocol

import (
	"strconv"
)

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string. Only what must be is escaped: no HTML, nothing above U+007F.
func appendString[S ~string | ~[]byte](dst []byte, s S) []byte {
	dst = append(dst, '"')
	start := len(dst)
	// Nearly every string is plain: copy it first, look after.
	dst = append(dst, s...)
	if n := plain(dst[start:]); start+n < len(dst) {
		dst = appendEscaped(dst[:start+n], s[n:])
	}
	return append(dst, '"')
}

func appendEscaped[S ~string | ~[]byte](dst []byte, s S) []byte {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		default:
			if c < 0x20 {
				dst = append(dst, `\u00`...)
				dst = append(dst, hexDigits[c>>4], hexDigits[c&15])
			} else {
				dst = append(dst, c)
			}
		}
	}
	return dst
}

// appendType begins a frame. The type comes first, so that a reader may switch on a frame's first bytes.
func appendType(dst []byte, t Type) []byte {
	dst = append(dst, `{"type":"`...)
	dst = append(dst, t.String()...)
	return append(dst, '"')
}

// appendKey begins any member but an object's first.
func appendKey(dst []byte, k field) []byte {
	dst = append(dst, `,"`...)
	dst = append(dst, k.String()...)
	return append(dst, `":`...)
}

func appendInt(dst []byte, v int64) []byte { return strconv.AppendInt(dst, v, 10) }

func appendBool(dst []byte, v bool) []byte { return strconv.AppendBool(dst, v) }

// appendList appends a list of strings.
func appendList[S ~string | ~[]byte](dst []byte, list []S) []byte {
	dst = append(dst, '[')
	for i, s := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, s)
	}
	return append(dst, ']')
}
