// Command sensors is a fleet of devices that publish sealed readings, and an aggregator that misses none of them, whichever of the three
// (fleet, broker, aggregator) is stopped in between.
//
//	fastport serve &
//	export FASTPORT_KEY=$(fastport keygen) FASTPORT_PASSWORD=secret
//	go run ./examples/sensors create
//	go run ./examples/sensors aggregate &     # kill it and start it again: nothing is lost, nothing counted twice
//	go run ./examples/sensors fleet -n 50 -every 1s
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/fastport/fastport/client"
	"github.com/fastport/fastport/client/e2ee"
)

const (
	session = "fleet"
	topic   = "fleet/readings"
)

// reading is what a device says: the broker sees none of it.
type reading struct {
	Device string  `json:"device"`
	Number int     `json:"number"` // counts a device's readings from 1: a repeat is known by it, also by a process that was started again
	Value  float64 `json:"value"`
	Bye    bool    `json:"bye,omitempty"` // it goes offline, and Value says nothing
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("usage: sensors create|fleet|aggregate [flags]")
	}
	flags := flag.NewFlagSet(args[0], flag.ExitOnError)
	server := flags.String("url", cmp.Or(os.Getenv("FASTPORT_URL"), "http://localhost:3000"), "the broker")
	n := flags.Int("n", 50, "fleet: devices")
	every := flags.Duration("every", time.Second, "fleet: the pause between a device's readings")
	readings := flags.Int("readings", 0, "fleet: readings of each device; 0: until it is stopped")
	state := flags.String("state", "fleet.json", "aggregate: the file that it keeps its sums in")
	silence := flags.Duration("silence", 10*time.Second, "aggregate: a device that says nothing for so long is offline")
	flags.Parse(args[1:])

	options := client.Options{
		URL: "ws" + strings.TrimPrefix(*server, "http"), SessionName: session, Password: os.Getenv("FASTPORT_PASSWORD"), AESKey: os.Getenv("FASTPORT_KEY"),
		Wait:    true, // for a broker that is not there yet
		OnError: func(err error) { log.Print(err) },
	}
	switch args[0] {
	case "create":
		return create(ctx, *server, options)
	case "fleet":
		return runFleet(ctx, options, *n, *readings, *every)
	case "aggregate":
		return aggregate(ctx, options, *state, *silence)
	default:
		return fmt.Errorf("no command %q: it is create, fleet or aggregate", args[0])
	}
}

// create makes the session that all others join.
func create(ctx context.Context, server string, o client.Options) error {
	key, err := e2ee.ParseKey(o.AESKey)
	if err != nil {
		return err
	}
	_, err = client.CreateSession(ctx, server, client.SessionSpec{SessionName: session, Password: o.Password, Key: key, Suite: 2})
	return err
}
