// Command hello is the least that two devices need: a session, a key that only they know, a subscription, a message.
//
//	fastport serve &
//	go run ./examples/hello
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"strings"
	"time"

	"github.com/fastport/fastport/client"
	"github.com/fastport/fastport/client/e2ee"
)

func main() {
	server := flag.String("server", "http://localhost:3000", "base URL of the server")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := run(ctx, *server); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, server string) error {
	// The key is made here and goes from device to device by a way of your own: the server never has it.
	key := e2ee.NewKey()
	session := fmt.Sprintf("hello-%d", time.Now().UnixNano())
	if _, err := client.CreateSession(ctx, server, client.SessionSpec{
		SessionName: session, Password: "a long password", Key: key, Suite: 2,
	}); err != nil {
		return err
	}
	device := func(clientID string) client.Options {
		return client.Options{
			URL: "ws" + strings.TrimPrefix(server, "http") + "/ws", SessionName: session, Password: "a long password",
			AESKey: key.Base64(), ClientID: clientID, OnError: func(err error) { log.Print(err) },
		}
	}

	phone, err := client.Connect(ctx, device("phone"))
	if err != nil {
		return err
	}
	defer phone.Close(ctx)
	got := make(chan string)
	err = phone.Subscribe(ctx, "sensors/temp", func(ctx context.Context, m client.Message) error {
		select {
		case got <- string(m.Payload):
			return nil // acked from now on
		case <-ctx.Done():
			return ctx.Err() // not acked: it comes again
		}
	})
	if err != nil {
		return err
	}

	sensor, err := client.Connect(ctx, device("sensor"))
	if err != nil {
		return err
	}
	defer sensor.Close(ctx)
	// Nil means: on the server's disk, so that the phone gets it whatever happens to the server or to the phone.
	if err := sensor.Publish(ctx, "sensors/temp", []byte("24.5C")); err != nil {
		return err
	}
	select {
	case text := <-got:
		fmt.Println("the phone got", text)
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
