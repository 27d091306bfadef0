package main

import (
	"encoding/binary"
	"log"
	"syscall"
)

// client is one connection.
type client struct {
	fd      int
	in, out []byte // a frame not yet whole; bytes not yet written
	dirty   bool
	waits   bool // for room in the socket
	closed  bool
}

// relay is the loop. All of it belongs to its one goroutine.
type relay struct {
	ep, wake int
	ready    chan *client
	clients  map[int]*client
	topics   map[uint16][]*client
	dirty    []*client
	buf      []byte
	frame    []byte
}

func (r *relay) run() {
	watch(r.ep, syscall.EPOLL_CTL_ADD, r.wake, syscall.EPOLLIN)
	events := make([]syscall.EpollEvent, 1024)
	for {
		n, err := syscall.EpollWait(r.ep, events, -1)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			log.Fatal(err)
		}
		for _, ev := range events[:n] {
			if int(ev.Fd) == r.wake {
				r.welcome()
				continue
			}
			c := r.clients[int(ev.Fd)]
			if c == nil {
				continue
			}
			if ev.Events&syscall.EPOLLOUT != 0 {
				r.write(c)
			}
			if ev.Events&^syscall.EPOLLOUT != 0 && !c.closed {
				r.read(c)
			}
		}
		for _, c := range r.dirty {
			c.dirty = false
			r.write(c)
		}
		r.dirty = r.dirty[:0]
	}
}

func watch(ep, op, fd int, events uint32) {
	ev := syscall.EpollEvent{Events: events, Fd: int32(fd)}
	if err := syscall.EpollCtl(ep, op, fd, &ev); err != nil {
		log.Fatal(err)
	}
}

func (r *relay) welcome() {
	syscall.Read(r.wake, r.buf[:4096])
	for {
		select {
		case c := <-r.ready:
			r.clients[c.fd] = c
			watch(r.ep, syscall.EPOLL_CTL_ADD, c.fd, syscall.EPOLLIN)
		default:
			return
		}
	}
}

func (r *relay) read(c *client) {
	k := copy(r.buf, c.in)
	n, err := syscall.Read(c.fd, r.buf[k:])
	if err == syscall.EAGAIN || err == syscall.EINTR {
		return
	}
	if err != nil || n == 0 {
		r.drop(c)
		return
	}
	rest := r.frames(c, r.buf[:k+n])
	c.in = append(c.in[:0], rest...)
	if len(c.in) == 0 && cap(c.in) < 4096 {
		c.in = nil
	}
}

// frames handles the whole frames of b, and returns what is left.
func (r *relay) frames(c *client, b []byte) []byte {
	for len(b) >= 6 {
		size, head := int(b[1]&0x7f), 2
		switch size {
		case 126:
			if len(b) < 8 {
				return b
			}
			size, head = int(binary.BigEndian.Uint16(b[2:])), 4
		case 127:
			if len(b) < 14 {
				return b
			}
			size, head = int(binary.BigEndian.Uint64(b[2:])), 10
		}
		if len(b) < head+4+size {
			return b
		}
		p := b[head+4 : head+4+size]
		unmask(p, b[head:head+4])
		if b[0]&0xf == 8 {
			r.drop(c)
			return nil
		}
		if len(p) >= 3 {
			r.handle(c, p)
		}
		b = b[head+4+size:]
	}
	return b
}

func unmask(p, key []byte) {
	k := binary.LittleEndian.Uint32(key)
	wide := uint64(k)<<32 | uint64(k)
	for len(p) >= 8 {
		binary.LittleEndian.PutUint64(p, binary.LittleEndian.Uint64(p)^wide)
		p = p[8:]
	}
	for i := range p {
		p[i] ^= key[i]
	}
}

func (r *relay) handle(c *client, p []byte) {
	topic := binary.BigEndian.Uint16(p[1:])
	switch p[0] {
	case 'S':
		r.topics[topic] = append(r.topics[topic], c)
		r.queue(c, []byte{0x82, 1, 's'})
	case 'I':
		r.queue(c, []byte{0x82, 1, 's'})
	case 'P', 'Q':
		r.frame = header(r.frame[:0], len(p))
		r.frame = append(r.frame, p...)
		for _, to := range r.topics[topic] {
			r.queue(to, r.frame)
		}
		if p[0] == 'Q' {
			r.queue(c, []byte{0x82, 1, 'a'})
		}
	}
}

func header(b []byte, size int) []byte {
	switch {
	case size < 126:
		return append(b, 0x82, byte(size))
	case size < 1<<16:
		return append(b, 0x82, 126, byte(size>>8), byte(size))
	}
	return binary.BigEndian.AppendUint64(append(b, 0x82, 127), uint64(size))
}

// queue appends bytes for c. A reader that does not keep up makes this grow: the generator has so many in flight and no more.
func (r *relay) queue(c *client, b []byte) {
	c.out = append(c.out, b...)
	if !c.dirty {
		c.dirty = true
		r.dirty = append(r.dirty, c)
	}
}

func (r *relay) write(c *client) {
	if c.closed {
		return
	}
	p := c.out
	for len(p) > 0 {
		n, err := syscall.Write(c.fd, p)
		if err == syscall.EINTR {
			continue
		}
		if err == syscall.EAGAIN {
			break
		}
		if err != nil {
			r.drop(c)
			return
		}
		p = p[n:]
	}
	c.out = append(c.out[:0], p...)
	if waits := len(c.out) > 0; waits != c.waits {
		c.waits = waits
		events := uint32(syscall.EPOLLIN)
		if waits {
			events |= syscall.EPOLLOUT
		}
		watch(r.ep, syscall.EPOLL_CTL_MOD, c.fd, events)
	}
	if len(c.out) == 0 && cap(c.out) < 256 {
		c.out = nil
	}
}

func (r *relay) drop(c *client) {
	if c.closed {
		return
	}
	c.closed = true
	delete(r.clients, c.fd)
	syscall.Close(c.fd)
	for topic, all := range r.topics {
		for i, s := range all {
			if s == c {
				all[i] = all[len(all)-1]
				r.topics[topic] = all[:len(all)-1]
				break
			}
		}
	}
}
