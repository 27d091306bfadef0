package protocol

import (
	"bytes"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestNames_ATextIsUTF8WithoutControlsWhereverABadByteStands(t *testing.T) {
	valid := func(b []byte) bool {
		return utf8.Valid(b) && !bytes.ContainsFunc(b, unicode.IsControl)
	}
	check := func(b []byte) {
		if got, want := ValidMessageID(b), valid(b); got != want {
			t.Fatalf("%q: %v, want %v", b, got, want)
		}
	}
	for size := 1; size <= 25; size++ {
		for at := range size {
			for c := range 256 {
				b := bytes.Repeat([]byte{'~'}, size)
				b[at] = byte(c)
				check(b)
				if at > 0 { // behind one that borrows in a subtraction of eight bytes at once
					b[at-1] = 0x20
					check(b)
				}
			}
			for _, r := range []rune{0x7f, 0x80, 0x9f, 0xa0, 'é', '€', '😀', utf8.RuneError} {
				check(append(bytes.Repeat([]byte{' '}, at), append([]byte(string(r)), bytes.Repeat([]byte{'a'}, size-at)...)...))
			}
		}
	}
}
