package postgres

import (
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/fastport/fastport/storage"
)

func TestMultirange_ComesBackAsItWent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r storage.Ranges
		for range rapid.IntRange(0, 20).Draw(t, "ranges") {
			lo := rapid.Uint64Range(1, 1000).Draw(t, "lo")
			r.Add(lo, lo+rapid.Uint64Range(0, 50).Draw(t, "width"))
		}
		var canonical []string // as Postgres writes it: upper bounds excluded
		for _, x := range r {
			one := multirange(storage.Ranges{{Lo: x.Lo, Hi: x.Hi + 1}})
			canonical = append(canonical, strings.NewReplacer("]", ")", "{", "", "}", "").Replace(one))
		}
		got, err := parseMultirange("{" + strings.Join(canonical, ",") + "}")
		if err != nil || !slices.Equal(got, r) {
			t.Fatalf("got %v, %v; want %v", got, err, r)
		}
	})
}

func TestMultirange_StaysWithinABigint(t *testing.T) {
	if got, want := multirange(storage.Span(5, math.MaxUint64)), "{[5,4611686018427387904]}"; got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
}

func TestMultirange_RefusesWhatIsNone(t *testing.T) {
	for _, text := range []string{"", "{", "}", "{[1,2)", "[1,2)", "{[1,2]}", "{[2,2)}", "{(,)}", "{[1,)}", "{x}"} {
		if r, err := parseMultirange(text); err == nil {
			t.Errorf("%q = %v, want an error", text, r)
		}
	}
}
