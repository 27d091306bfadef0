package redis

import (
	"bufio"
	"net"
	"testing"
	"time"

	"github.com/fastport/fastport/backplane"
)

// heard is a receiver that tells of each call.
type heard chan string

func (h heard) Copies(cs []*backplane.Copy) {
	ids := ""
	for _, c := range cs {
		ids += c.MessageID
	}
	h <- ids
}
func (h heard) Note(n *backplane.Note)   { h <- "note " + n.MessageID }
func (heard) Heads(*backplane.Heads)     {}
func (heard) Command(*backplane.Command) {}
func (heard) Link(bool)                  {}

func TestRun_WhatCameTogetherIsPassedOnTogetherAndNoneWaitsForMore(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	c := &conn{Conn: near}
	c.r = bufio.NewReaderSize(source{c}, 64<<10)
	got := make(heard, 10)
	b := &Backplane{}
	var r backplane.Receiver = got
	b.receiver.Store(&r)
	l := &line{clock: newClock()}
	l.run.to = &b.receiver
	l.sub = newSubscriber(c, false, func(ch backplane.Channel, payload []byte) { b.arrive(l, ch, payload) }, &b.counts)
	l.sub.other, c.starve = l.run.passOn, l.run.passOn
	for _, name := range []string{"t", "u"} {
		l.sub.seats[name] = &seat{channel: backplane.Channel{Session: "s", Topic: name}, open: true}
	}
	go l.sub.read()

	push := func(to []byte, name string, payload []byte) []byte {
		to = append(to, "*3\r\n$7\r\nmessage\r\n"...)
		return appendBulk(appendBulk(to, name), string(payload))
	}
	copyOf := func(to []byte, name, id string) []byte {
		return push(to, name, append(appendCopy(nil, &backplane.Copy{MessageID: id, Data: []byte("d")}, 1), 'd'))
	}
	var bytes []byte
	for _, x := range []string{"t1", "t2", "t3", "u4", "t5"} {
		bytes = copyOf(bytes, x[:1], x[1:])
	}
	bytes = push(bytes, "t", appendNote(nil, &backplane.Note{MessageID: "5", Seq: 1}))
	bytes = copyOf(copyOf(bytes, "t", "6"), "t", "7")
	next := copyOf(nil, "t", "8")
	if _, err := far.Write(append(bytes, next[:9]...)); err != nil { // the next one has begun
		t.Fatal(err)
	}
	for _, want := range []string{"123", "4", "5", "note 5", "67"} {
		select {
		case call := <-got:
			if call != want {
				t.Fatalf("a call brought %q, want %q", call, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%q waits", want)
		}
	}
	if _, err := far.Write(next[9:]); err != nil {
		t.Fatal(err)
	}
	if call := <-got; call != "8" {
		t.Fatalf("a call brought %q, want 8", call)
	}
}
