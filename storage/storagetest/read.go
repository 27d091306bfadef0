package storagetest

import (
	"fmt"
	"time"

	"github.com/fastport/fastport/storage"
)

var readClaims = []claim{
	{"Read_CutsPagesByCountAndBytes", storage.Options{}, func(r *rig) {
		at := r.topic()
		r.subscribe("c:reader", at)
		for i := range 10 {
			e := entry(at, fmt.Sprint(i))
			e.Data = make([]byte, 100)
			r.stored(e)
		}
		for _, c := range []struct {
			after        uint64
			limit, bytes int
			want         int
			through      uint64
		}{
			{0, 3, 1 << 20, 3, 3},
			{0, 100, 1 << 20, 10, 10},
			{7, 100, 1 << 20, 3, 10},
			{0, 100, 350, 3, 3},
			{0, 100, 300, 3, 3},
			{4, 100, 1, 1, 5}, // the first always fits: else a large message would block the topic
			{10, 5, 1 << 20, 0, 10},
			{25, 5, 1 << 20, 0, 10}, // a position of another history
		} {
			page, err := r.st.Read(r.ctx(), at, c.after, c.limit, c.bytes)
			r.ok(err, "read")
			if len(page.Messages) != c.want || page.Through != c.through || page.Head != 10 || page.Epoch == "" {
				r.t.Fatalf("read after %d, limit %d, %d bytes: %d messages through %d of %d, want %d through %d of 10",
					c.after, c.limit, c.bytes, len(page.Messages), page.Through, page.Head, c.want, c.through)
			}
			for i, m := range page.Messages {
				if want := c.after + uint64(i) + 1; m.Seq != want {
					r.t.Fatalf("message %d of the page after %d: seq %d, want %d", i, c.after, m.Seq, want)
				}
			}
		}
	}},
	{"Read_OfNothingIsEmpty", storage.Options{}, func(r *rig) {
		at := r.topic()
		for _, t := range []storage.Topic{at, {Session: randomID(), Name: "news"}} {
			page, err := r.st.Read(r.ctx(), t, 0, 10, 1000)
			r.ok(err, "read")
			if len(page.Messages) != 0 || page.Head != 0 || page.Through != 0 || page.Epoch == "" {
				r.t.Fatalf("page = %+v, want an empty one with an epoch", page)
			}
		}
		heads, epoch, err := r.st.Heads(r.ctx(), []storage.Topic{at, {Session: randomID(), Name: "news"}})
		r.ok(err, "heads")
		if len(heads) != 2 || heads[0] != 0 || heads[1] != 0 || epoch == "" {
			r.t.Fatalf("heads = %v, epoch %q, want two zeros and an epoch", heads, epoch)
		}
	}},
	{"Read_NeverGivesWhatHasExpired", storage.Options{}, func(r *rig) {
		at := r.topic()
		r.subscribe("c:reader", at)
		for i := range 6 {
			e := entry(at, fmt.Sprint(i))
			if i != 2 {
				e.Expiry = 200 * time.Millisecond
			}
			r.stored(e)
		}
		r.pass(210 * time.Millisecond)
		page, err := r.st.Read(r.ctx(), at, 0, 2, 1<<20) // not swept yet; what has expired fills no page
		r.ok(err, "read")
		if len(page.Messages) != 1 || page.Messages[0].Seq != 3 || page.Through != 6 || page.Head != 6 {
			r.t.Fatalf("page = %+v, want message 3 alone, through 6 of 6", page)
		}
		if got := r.sweep(); got.Expired != 5 || got.Settled != 0 {
			r.t.Fatalf("swept %+v, want 5 expired", got)
		}
	}},
}
