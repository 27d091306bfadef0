package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/fastport/fastport/client"
)

// goodbye is how long a device that was told to stop waits for the broker to have its last words.
const goodbye = 5 * time.Second

// runFleet runs n devices until each has given so many readings, or ctx ends.
func runFleet(ctx context.Context, o client.Options, n, readings int, every time.Duration) error {
	var devices sync.WaitGroup
	for i := range n {
		devices.Go(func() {
			name := fmt.Sprintf("sensor-%02d", i)
			if err := device(ctx, o, name, readings, every); err != nil && ctx.Err() == nil {
				log.Printf("%s: %v", name, err)
			}
		})
	}
	devices.Wait()
	return nil
}

// device publishes readings, and a goodbye before it ends. A real one would be a process of its own.
func device(ctx context.Context, o client.Options, name string, readings int, every time.Duration) error {
	c, err := client.Connect(ctx, o)
	if err != nil {
		return err
	}
	n, temperature := 0, 20+5*rand.Float64()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for (readings == 0 || n < readings) && ctx.Err() == nil {
		n++
		temperature += rand.Float64() - 0.5
		// It does not wait for the ack: a slow line must not stop a sensor from measuring. While the broker is away readings wait in memory,
		// bounded; each is sealed, and its clock read, when it goes out.
		if _, err := c.PublishAsync(ctx, topic, encode(reading{Device: name, Number: n, Value: temperature})); err != nil {
			log.Printf("%s: reading %d is lost: %v", name, n, err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
	defer cancel()
	// Nil: it is on the broker's disk, and so is all before it.
	err = c.Publish(last, topic, encode(reading{Device: name, Number: n + 1, Bye: true}))
	return errors.Join(err, c.Close(last))
}

func encode(r reading) []byte {
	text, err := json.Marshal(r)
	if err != nil {
		panic(err) // texts and numbers can be encoded
	}
	return text
}
