package fcm

import (
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// maxAnswer bounds what is read of an answer; a true one has some hundred bytes.
const maxAnswer = 64 << 10

// bounded cuts off what is too long to be an answer.
type bounded struct{ base http.RoundTripper }

func (b *bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.base.RoundTrip(r)
	if err == nil {
		resp.Body = &cut{Reader: io.LimitReader(resp.Body, maxAnswer), Closer: resp.Body}
	}
	return resp, err
}

type cut struct {
	io.Reader
	io.Closer
}

// pace hears when FCM asks to be left alone. The SDK waits out a Retry-After inside of its call, and forgets it where
// the call's time ends before; so it is noted here.
type pace struct {
	base http.RoundTripper

	mu    sync.Mutex // guards the following
	until time.Time
}

// maxPause bounds how long FCM is believed: what it asks beyond is tried again after that.
const maxPause = 15 * time.Minute

func (p *pace) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := (&bounded{p.base}).RoundTrip(r)
	if err == nil && (resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= 500) {
		p.ask(retryAfter(resp.Header.Get("Retry-After"), time.Now()))
	}
	return resp, err
}

func (p *pace) ask(wait time.Duration) {
	if wait <= 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if until := time.Now().Add(min(wait, maxPause)); until.After(p.until) {
		p.until = until
	}
}

// left is how long FCM is still to be left alone.
func (p *pace) left() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(0, time.Until(p.until))
}

// retryAfter reads both forms of RFC 9110, 10.2.3; 0 where there is none.
func retryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(text); err == nil {
		return time.Duration(min(max(seconds, 0), int(maxPause/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
