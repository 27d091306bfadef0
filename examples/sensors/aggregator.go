package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/fastport/fastport/client"
)

// sums is what the aggregator knows. It is in its file before a reading is acked, for what was acked never comes again.
type sums struct {
	path string

	mu      sync.Mutex // guards the following
	devices map[string]*deviceSum
}

type deviceSum struct {
	Last   int     `json:"last"` // the number of its last reading
	Count  int     `json:"count"`
	Sum    float64 `json:"sum"`
	Online bool    `json:"online"`

	heard time.Time
}

// aggregate sums up readings until ctx ends. Its ClientID makes it a durable subscriber: what comes while it is away waits for it.
func aggregate(ctx context.Context, o client.Options, path string, silence time.Duration) error {
	s := &sums{path: path, devices: map[string]*deviceSum{}}
	if err := s.load(); err != nil {
		return err
	}
	o.ClientID = "aggregator"
	c, err := client.Connect(ctx, o)
	if err != nil {
		return err
	}
	err = c.Subscribe(ctx, topic, func(_ context.Context, m client.Message) error {
		var r reading
		if err := json.Unmarshal(m.Payload, &r); err != nil {
			fmt.Printf("not a reading: %v\n", err) // acked all the same: it will be no better next time
			return nil
		}
		return s.add(r) // an error leaves it unacked: it comes again
	})
	if err != nil {
		return err
	}
	fmt.Println("ready")
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.look(silence)
		case <-c.Done():
			return c.Err()
		case <-ctx.Done():
			// Graceful: the handler at work is let finish, and its ack goes out.
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
			defer cancel()
			err := c.Close(last)
			s.print()
			return err
		}
	}
}

// add counts a reading, once however often it comes.
func (s *sums) add(r reading) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.devices[r.Device]
	if d == nil {
		d = &deviceSum{}
		s.devices[r.Device] = d
	}
	d.heard = time.Now()
	if r.Number <= d.Last {
		return nil // counted by a process that ended before its ack was out
	}
	before := *d
	d.Last = r.Number
	if !r.Bye {
		d.Count++
		d.Sum += r.Value
	}
	if d.Online != !r.Bye {
		d.Online = !r.Bye
		fmt.Printf("%s is %s\n", r.Device, map[bool]string{true: "online", false: "offline"}[d.Online])
	}
	if err := s.save(); err != nil {
		*d = before
		return err
	}
	return nil
}

// look notices who has fallen silent without a goodbye.
func (s *sums) look(silence time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, d := range s.devices {
		if d.Online && time.Since(d.heard) > silence {
			d.Online = false
			fmt.Printf("%s is offline: nothing was heard for %v\n", name, silence)
		}
	}
}

func (s *sums) print() {
	s.mu.Lock()
	defer s.mu.Unlock()
	count, sum := 0, 0.0
	for _, d := range s.devices {
		count += d.Count
		sum += d.Sum
	}
	fmt.Printf("%d readings of %d devices, %.1f on average\n", count, len(s.devices), sum/float64(max(count, 1)))
}

// load reads the file, if there is one. Whom it says to be online has the same time as everyone to be heard.
func (s *sums) load() error {
	text, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	err = json.Unmarshal(text, &s.devices)
	for _, d := range s.devices {
		d.heard = time.Now()
	}
	return err
}

// save replaces the file at once: it is never half written. It runs under the lock.
func (s *sums) save() error {
	text, err := json.MarshalIndent(s.devices, "", "\t")
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(s.path+".new", s.path)
}
