package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/fastport/fastport/client"
)

func TestSub_PrintsALineAMessage(t *testing.T) {
	at := time.UnixMilli(1700000000123)
	for _, c := range []struct {
		name    string
		printer *printer
		message client.Message
		want    string
	}{
		{"plain", &printer{}, client.Message{Topic: "t", Payload: []byte("hello")}, "hello\n"},
		{"two lines", &printer{}, client.Message{Topic: "t", Payload: []byte("a\nb")}, "a\\nb\n"},
		{"with the topic", &printer{withTopic: true}, client.Message{Topic: "t/\x1b", Payload: []byte("hello")}, "t/\\x1b\thello\n"},
		{"json", &printer{json: true}, client.Message{Topic: "t", ID: "m", Payload: []byte("a\n<b>"), Timestamp: at, Seq: 7, QoS: 1},
			`{"topic":"t","messageId":"m","data":"a\n<b>","timestamp":"2023-11-14T22:13:20.123Z","seq":7,"qos":1}` + "\n"},
		{"json of bytes", &printer{json: true}, client.Message{Topic: "t", ID: "m", Payload: []byte{0xff}, Timestamp: at, Replay: true, Retry: 2},
			`{"topic":"t","messageId":"m","dataBase64":"/w==","timestamp":"2023-11-14T22:13:20.123Z","retry":2,"replay":true,"qos":0}` + "\n"},
		{"json of nothing", &printer{json: true}, client.Message{Topic: "t", ID: "m", Timestamp: at},
			`{"topic":"t","messageId":"m","data":"","timestamp":"2023-11-14T22:13:20.123Z","qos":0}` + "\n"},
	} {
		if got := c.printer.line(c.message); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// countingWriter counts the writes that it takes.
type countingWriter struct {
	written bytes.Buffer
	writes  int
}

func (w *countingWriter) Write(b []byte) (int, error) {
	w.writes++
	return w.written.Write(b)
}

func TestSub_AcksWhatItPrintsAndNothingBeyondItsCount(t *testing.T) {
	out := &countingWriter{}
	p := &printer{to: out, left: 2, full: make(chan struct{})}
	for i, want := range []error{nil, nil, errEnough, errEnough} {
		if got := p.handle(context.Background(), client.Message{Payload: []byte("m")}); !errors.Is(got, want) {
			t.Errorf("message %d: %v, want %v", i+1, got, want)
		}
	}
	select {
	case <-p.full:
	default:
		t.Error("it waits for more")
	}
	if out.written.String() != "m\nm\n" || out.writes != 2 {
		t.Errorf("%q in %d writes, want two lines in a write each", out.written.String(), out.writes)
	}
}

func TestSub_AcksNothingThatCouldNotBePrinted(t *testing.T) {
	p := &printer{to: failingWriter{}, endless: true, full: make(chan struct{})}
	if err := p.handle(context.Background(), client.Message{}); err == nil {
		t.Error("acked")
	}
	<-p.full
	if p.failure() == nil {
		t.Error("the command does not learn of it")
	}
}

func TestPub_AMessageALine(t *testing.T) {
	for text, want := range map[string]string{"": "", "a\nb\n": "a|b", "a\r\n\nb": "a||b", "\n": ""} {
		ch, failed := lines(t.Context(), strings.NewReader(text), 100)
		var got []string
		for line := range ch {
			got = append(got, string(line))
		}
		if strings.Join(got, "|") != want || failed() != nil {
			t.Errorf("%q: %q, %v, want %q", text, got, failed(), want)
		}
	}
	ch, failed := lines(t.Context(), strings.NewReader("ok\n"+strings.Repeat("x", 101)+"\n"), 100)
	n := 0
	for range ch {
		n++
	}
	if n != 1 || failed() == nil || !strings.Contains(failed().Error(), "longer than a message may be, 100 bytes") {
		t.Errorf("%d lines, %v", n, failed())
	}
}
