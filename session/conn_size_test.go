package session

import (
	"testing"
	"unsafe"
)

// There are as many as connections. The allocator's classes are 352 and then 384, 176 and then 192.
func TestConn_FitsIntoItsSizeClass(t *testing.T) {
	if size := unsafe.Sizeof(Conn{}); size > 352 {
		t.Errorf("Conn has %d bytes, want 352 at most", size)
	}
	if size := unsafe.Sizeof(subscription{}); size > 176 {
		t.Errorf("subscription has %d bytes, want 176 at most", size)
	}
}
