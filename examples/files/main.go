// Command files sends a file to a topic, or puts the files of a topic into a directory.
//
//	go run ./examples/files -session s -password p -key K recv files ./inbox
//	go run ./examples/files -session s -password p -key K send files report.pdf
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/fastport/fastport/client"
)

func main() {
	o := client.Options{OnError: func(err error) { log.Print(err) }}
	flag.StringVar(&o.URL, "url", "ws://localhost:3000/ws", "the server's WebSocket")
	flag.StringVar(&o.SessionName, "session", "", "session name")
	flag.StringVar(&o.Password, "password", os.Getenv("FASTPORT_PASSWORD"), "its password")
	flag.StringVar(&o.AESKey, "key", os.Getenv("FASTPORT_KEY"), "its key, in base64")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o, flag.Args()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, o client.Options, args []string) error {
	if len(args) != 3 {
		return errors.New("usage: files [flags] send|recv TOPIC FILE|DIRECTORY")
	}
	c, err := client.Connect(ctx, o)
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	switch command, topic, path := args[0], args[1], args[2]; command {
	case "send":
		return send(ctx, c, topic, path)
	case "recv":
		return recv(ctx, c, topic, path)
	default:
		return fmt.Errorf("no command %q: it is send or recv", command)
	}
}

func send(ctx context.Context, c *client.Client, topic, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return c.SendFile(ctx, topic, filepath.Base(path), info.Size(), f, client.FileOptions{Progress: show})
}

func recv(ctx context.Context, c *client.Client, topic, dir string) error {
	err := c.ReceiveToDir(ctx, topic, dir, client.DirOptions{
		ReceiveOptions: client.ReceiveOptions{Progress: show},
		Saved:          func(path string, _ client.FileOffer) { fmt.Println("saved", path) },
	})
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return nil
	case <-c.Done():
		return c.Err()
	}
}

// show is called for every step: one line a mebibyte is enough.
func show(p client.FileProgress) {
	if p.Done%(1<<20) == 0 || p.Done == p.Size {
		fmt.Printf("%s: %d of %d bytes\n", p.Name, p.Done, p.Size)
	}
}
