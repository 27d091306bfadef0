package main

import (
	"fmt"
)

// feed splits bytes into frames. Whole frames go to the adapter's Feed; a stream
// protocol gets payload bytes as they come; a frame over 16 KiB is handed over by
// its first bytes and the rest is skipped, not copied.
func (l *Loop) feed(c *Conn, b []byte) {
	st := l.ad.Stream()
	for {
		if c.frem > 0 {
			n := int64(len(b))
			if n > c.frem {
				n = c.frem
			}
			if st {
				l.ad.Feed(l, c, 2, b[:n])
			}
			c.frem -= n
			b = b[n:]
			if c.frem == 0 && c.big {
				c.big = false
				l.bigDone++
			}
		}
		if len(b) < 2 {
			break
		}
		op := b[0] & 0x0f
		ln := int64(b[1] & 0x7f)
		h := 2
		if ln == 126 {
			if len(b) < 4 {
				break
			}
			ln = int64(b[2])<<8 | int64(b[3])
			h = 4
		} else if ln == 127 {
			if len(b) < 10 {
				break
			}
			ln = 0
			for _, x := range b[2:10] {
				ln = ln<<8 | int64(x)
			}
			h = 10
		}
		if st && op <= 2 {
			b = b[h:]
			c.frem = ln
			continue
		}
		if op <= 2 && ln > 16384 {
			if len(b) < h+64 {
				break
			}
			l.ad.Feed(l, c, op, b[h:h+64])
			b = b[h:]
			c.frem, c.big = ln, true
			continue
		}
		if int64(len(b)) < int64(h)+ln {
			break
		}
		p := b[h : int64(h)+ln]
		b = b[int64(h)+ln:]
		switch op {
		case 8:
			code := 0
			if len(p) >= 2 {
				code = int(p[0])<<8 | int(p[1])
			}
			l.drop(c, fmt.Sprintf("close frame %d %s", code, p[min(2, len(p)):]))
			return
		case 9:
			c.frame(10, p)
			l.mark(c)
		case 10:
		default:
			if l.trace > 0 {
				l.trace--
				fmt.Printf("# conn %d < %.400s\n", c.id, p)
			}
			l.ad.Feed(l, c, op, p)
		}
	}
	if len(b) > 0 {
		c.left = append(c.left, b...)
	}
}
