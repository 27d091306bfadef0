package admin

import "sync"

// bell wakes all who wait for it, as often as it rings.
type bell struct {
	mu   sync.Mutex // guards the following
	next chan struct{}
}

// heard is closed when the bell rings next.
func (b *bell) heard() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next == nil {
		b.next = make(chan struct{})
	}
	return b.next
}

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next != nil {
		close(b.next)
		b.next = nil
	}
}
