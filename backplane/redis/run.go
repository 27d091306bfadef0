package redis

import (
	"sync/atomic"

	"github.com/fastport/fastport/backplane"
)

// runMost is how many copies are passed on together.
const runMost = 64

// run is copies of one channel that came one behind the other. They are passed on together once something else comes, or
// before more is waited for: so none is later than what the connection has brought. Owned by the subscriber's reader.
type run struct {
	to   *atomic.Pointer[backplane.Receiver]
	list []*backplane.Copy
}

func (r *run) add(c *backplane.Copy) {
	if len(r.list) > 0 && r.list[0].Channel != c.Channel || len(r.list) == runMost {
		r.passOn()
	}
	r.list = append(r.list, c)
}

func (r *run) passOn() {
	if len(r.list) == 0 {
		return
	}
	if to := r.to.Load(); to != nil {
		(*to).Copies(r.list)
	}
	clear(r.list)
	r.list = r.list[:0]
}
