package postgres

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/fastport/fastport/storage"
)

// maxPosition is beyond every seq, and what a bigint and the end of its range can hold.
const maxPosition = 1 << 62

// position turns a seq into a bigint. A larger one is of no topic, and means the same as the largest.
func position(seq uint64) int64 { return int64(min(seq, maxPosition)) }

// multirange writes r as Postgres reads it: {[1,3],[7,7]}.
func multirange(r storage.Ranges) string {
	b := append(make([]byte, 0, 2+16*len(r)), '{')
	for i, x := range r {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '[')
		b = strconv.AppendInt(b, position(x.Lo), 10)
		b = append(b, ',')
		b = strconv.AppendInt(b, position(x.Hi), 10)
		b = append(b, ']')
	}
	return string(append(b, '}'))
}

// parseMultirange reads what Postgres writes: {[1,4),[7,8)}.
func parseMultirange(text string) (storage.Ranges, error) {
	list := strings.TrimSuffix(strings.TrimPrefix(text, "{"), "}")
	if len(list)+2 != len(text) {
		return nil, fmt.Errorf("postgres: multirange %q", text)
	}
	var r storage.Ranges
	for len(list) > 0 {
		span, rest, _ := strings.Cut(list, ")")
		lo, hi, ok := strings.Cut(strings.TrimPrefix(span, "["), ",")
		from, loErr := strconv.ParseUint(lo, 10, 63)
		to, hiErr := strconv.ParseUint(hi, 10, 63)
		if !ok || loErr != nil || hiErr != nil || from >= to {
			return nil, fmt.Errorf("postgres: multirange %q", text)
		}
		r = append(r, storage.Range{Lo: from, Hi: to - 1})
		list = strings.TrimPrefix(rest, ",")
	}
	return r, nil
}
