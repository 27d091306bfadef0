package storagetest

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fastport/fastport/storage"
	"github.com/fastport/fastport/storage/memory"
)

// checkModel does random things to the store and to the reference in memory and looks that both answer the same. It
// leaves time out: nothing expires meanwhile.
func (h Harness) checkModel(t *testing.T) {
	// One store for all runs, a session each: opening is dear, and sessions know nothing of each other.
	options := storage.Options{StoredBytes: 400, DurableSubscribers: 6, Topics: 3}
	st := h.Open(t, options)
	rapid.Check(t, func(rt *rapid.T) {
		ctx := t.Context()
		ref := memory.Open(options, time.Now)
		ss := NewSession()
		both := []storage.Store{st, ref}
		for _, s := range both {
			if err := s.CreateSession(ctx, ss); err != nil {
				rt.Fatalf("create session: %v", err)
			}
		}
		same := func(do func(s storage.Store) (any, error)) {
			rt.Helper()
			got, err := do(st)
			want, wantErr := do(ref)
			if !is(err, wantErr) || (err == nil) != (wantErr == nil) {
				rt.Fatalf("error = %v, the reference says %v", err, wantErr)
			}
			if err == nil && !reflect.DeepEqual(got, want) {
				rt.Fatalf("got\n%+v\nthe reference has\n%+v", got, want)
			}
		}
		topic := rapid.Map(rapid.IntRange(0, 3), func(n int) storage.Topic { return storage.Topic{Session: ss.ID, Name: fmt.Sprint(n)} })
		sub := rapid.SampledFrom([]storage.Subscriber{"c:1", "c:2", "u:1"})
		ranges := rapid.Custom(func(t *rapid.T) storage.Ranges {
			lo := rapid.Uint64Range(1, 12).Draw(t, "lo")
			r := storage.Span(lo, lo+rapid.Uint64Range(0, 5).Draw(t, "width"))
			if rapid.Bool().Draw(t, "two") {
				r.Add(1, 1)
			}
			return r
		})
		settlement := rapid.Custom(func(t *rapid.T) storage.Settlement {
			s := storage.Settlement{Subscriber: sub.Draw(t, "sub"), Topic: topic.Draw(t, "topic"), Attach: rapid.Int64Range(0, 4).Draw(t, "attach")}
			s.Acked = ranges.Draw(t, "acked")
			s.GivenUp = ranges.Draw(t, "given up")
			return s
		})
		message := rapid.Custom(func(t *rapid.T) storage.Entry {
			e := entry(topic.Draw(t, "topic"), fmt.Sprint("m", rapid.IntRange(0, 30).Draw(t, "id")))
			e.Origin = rapid.OneOf(sub, rapid.Just(storage.Subscriber(""))).Draw(t, "origin")
			e.Data = make([]byte, rapid.IntRange(1, 60).Draw(t, "size"))
			return e
		})
		rt.Repeat(map[string]func(*rapid.T){
			"append": func(rt *rapid.T) {
				group := rapid.SliceOfN(message, 1, 6).Draw(rt, "group")
				same(func(s storage.Store) (any, error) {
					got, _, err := s.Append(ctx, group)
					return got, err
				})
			},
			"subscribe": func(rt *rapid.T) {
				who, at, attach := sub.Draw(rt, "sub"), topic.Draw(rt, "topic"), rapid.Bool().Draw(rt, "attach")
				same(func(s storage.Store) (any, error) {
					got, err := s.Subscribe(ctx, who, at, attach)
					return plain(got), err
				})
			},
			"unsubscribe": func(rt *rapid.T) {
				who, at := sub.Draw(rt, "sub"), topic.Draw(rt, "topic")
				same(func(s storage.Store) (any, error) { return nil, s.Unsubscribe(ctx, who, at) })
			},
			"attach": func(rt *rapid.T) {
				who, bump := sub.Draw(rt, "sub"), rapid.Bool().Draw(rt, "bump")
				same(func(s storage.Store) (any, error) {
					got, err := s.Attach(ctx, ss.ID, who, bump)
					return plain(got...), err
				})
			},
			"settle": func(rt *rapid.T) {
				one := settlement.Draw(rt, "settlement")
				same(func(s storage.Store) (any, error) {
					got, err := s.Settle(ctx, []storage.Settlement{one})
					return plain(got...), err
				})
			},
			"read": func(rt *rapid.T) {
				at, after := topic.Draw(rt, "topic"), rapid.Uint64Range(0, 20).Draw(rt, "after")
				limit, size := rapid.IntRange(1, 5).Draw(rt, "limit"), rapid.IntRange(0, 150).Draw(rt, "bytes")
				same(func(s storage.Store) (any, error) {
					page, err := s.Read(ctx, at, after, limit, size)
					page.Epoch = ""
					for i := range page.Messages {
						page.Messages[i].StoredAt, page.Messages[i].ExpiresAt = time.Time{}, time.Time{}
					}
					return fmt.Sprintf("%+v", page), err // a nil slice is as good as an empty one
				})
			},
			"heads": func(rt *rapid.T) {
				at := rapid.SliceOfN(topic, 0, 4).Draw(rt, "topics")
				same(func(s storage.Store) (any, error) {
					heads, _, err := s.Heads(ctx, at)
					return slices.Clone(heads), err
				})
			},
			"sweep": func(rt *rapid.T) {
				same(func(s storage.Store) (any, error) {
					sum := 0
					for more := true; more; {
						got, err := s.Sweep(ctx)
						if err != nil {
							return nil, err
						}
						sum += got.Settled
						more = got.More
					}
					return sum, nil
				})
			},
			"": func(rt *rapid.T) {},
		})
		for _, s := range both {
			if _, err := s.DropSession(ctx, ss.Name); err != nil {
				rt.Fatalf("drop session: %v", err)
			}
		}
		if got, err := st.Totals(ctx); err != nil || got != (storage.Totals{}) {
			rt.Fatalf("totals = %+v (%v) after the drop, want nothing", got, err)
		}
	})
}

// plain is subscriptions in a form that can be compared: without epochs, and whatever stands for no ranges.
func plain(subs ...storage.Subscription) string {
	for i := range subs {
		subs[i].Epoch = ""
	}
	return fmt.Sprintf("%+v", subs)
}
