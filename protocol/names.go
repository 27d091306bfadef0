package protocol

import (
	"encoding/binary"
	"unicode"
	"unicode/utf8"
)

// ValidSessionName reports whether name may be a session's: no colon can be in it (HTTP Basic), nor a slash or a space.
func ValidSessionName(name string) bool { return validSessionName(name) }

// ValidTopic reports whether a client may name this topic. Topics with $ first are the server's own.
func ValidTopic(topic []byte) bool {
	return validText(topic, MaxTopicBytes) && topic[0] != '$'
}

// ValidName reports whether name may be a userId, a clientId or a deviceId.
func ValidName(name []byte) bool { return validText(name, MaxNameBytes) }

// ValidMessageID reports whether id may be a messageId.
func ValidMessageID(id []byte) bool { return validText(id, MaxMessageID) }

// ValidPassword reports whether a password has a length that is taken. It may hold any characters.
func ValidPassword(password []byte) bool { return len(password) >= 1 && len(password) <= MaxPassword }

// ValidHash reports whether hash has the form of a SHA-256 in lower-case hex.
func ValidHash(hash []byte) bool {
	if len(hash) != 64 {
		return false
	}
	for _, c := range hash {
		if !digit(c) && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// ValidFileID reports whether id is a UUID in its 36 characters (RFC 9562, 4), in either case. Ids are compared byte
// for byte.
func ValidFileID(id []byte) bool {
	if len(id) != 36 {
		return false
	}
	for i, c := range id {
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if lower := c | 0x20; !digit(c) && (lower < 'a' || lower > 'f') {
				return false
			}
		}
	}
	return true
}

func validSessionName[S ~string | ~[]byte](name S) bool {
	if len(name) == 0 || len(name) > MaxNameBytes || !alphanumeric(name[0]) {
		return false
	}
	for i := 1; i < len(name); i++ {
		switch c := name[i]; c {
		case '.', '_', '@', '-':
		default:
			if !alphanumeric(c) {
				return false
			}
		}
	}
	return true
}

// validText holds for 1 to most bytes of UTF-8 without control characters (Unicode's Cc: below U+0020, U+007F to U+009F).
func validText(text []byte, most int) bool {
	if len(text) == 0 || len(text) > most {
		return false
	}
	for i := 0; i < len(text); {
		if i+8 <= len(text) && printable(binary.LittleEndian.Uint64(text[i:])) {
			i += 8
			continue
		}
		if c := text[i]; c < utf8.RuneSelf {
			if c < 0x20 || c == 0x7f {
				return false
			}
			i++
			continue
		}
		r, n := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && n == 1 || unicode.IsControl(r) {
			return false
		}
		i += n
	}
	return true
}

// printable reports whether all eight bytes are ASCII and none is a control character.
func printable(x uint64) bool {
	del := x ^ ones*0x7f
	return (x|(x-ones*0x20)|(del-ones)&^del)&highs == 0
}

// validBase64 holds for 1 to most characters of either base64 alphabet, padded or not.
func validBase64(text []byte, most int) bool {
	if len(text) == 0 || len(text) > most {
		return false
	}
	for _, c := range text {
		switch c {
		case '+', '/', '-', '_', '=':
		default:
			if !alphanumeric(c) {
				return false
			}
		}
	}
	return true
}

func alphanumeric(c byte) bool {
	return digit(c) || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
