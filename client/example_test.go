package client_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fastport/fastport/client"
	"github.com/fastport/fastport/client/e2ee"
)

// home creates a session on a broker of the example's own, and says how to connect to it.
func home(ctx context.Context) (client.Options, func()) {
	server, stop, err := client.Broker()
	if err != nil {
		log.Fatal(err)
	}
	key := e2ee.NewKey()
	if _, err := client.CreateSession(ctx, server, client.SessionSpec{SessionName: "home", Password: "secret", Key: key}); err != nil {
		log.Fatal(err)
	}
	return client.Options{
		URL: "ws" + strings.TrimPrefix(server, "http") + "/ws", SessionName: "home", Password: "secret", AESKey: key.Base64(),
	}, stop
}

func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	options, stop := home(ctx)
	defer stop()

	reader, err := client.Connect(ctx, options)
	if err != nil {
		log.Fatal(err)
	}
	defer reader.Close(ctx)
	got := make(chan client.Message, 1)
	err = reader.Subscribe(ctx, "sensors/temp", func(_ context.Context, m client.Message) error {
		got <- m
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}

	writer, err := client.Connect(ctx, options)
	if err != nil {
		log.Fatal(err)
	}
	defer writer.Close(ctx)
	if err := writer.Publish(ctx, "sensors/temp", []byte("24.5C")); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", (<-got).Payload)
	// Output: 24.5C
}

func ExampleClient_PublishAsync() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	options, stop := home(ctx)
	defer stop()
	c, err := client.Connect(ctx, options)
	if err != nil {
		log.Fatal(err)
	}

	// All of them are on their way before the first is acked, in this order.
	var receipts []*client.Receipt
	for i := range 3 {
		r, err := c.PublishAsync(ctx, "readings", fmt.Append(nil, i))
		if err != nil {
			log.Fatal(err)
		}
		receipts = append(receipts, r)
	}
	// Close waits until they are acked.
	if err := c.Close(ctx); err != nil {
		log.Fatal(err)
	}
	for _, r := range receipts {
		fmt.Println(r.Err())
	}
	// Output:
	// <nil>
	// <nil>
	// <nil>
}

func ExampleClient_SendFile() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	options, stop := home(ctx)
	defer stop()
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	reader, err := client.Connect(ctx, options)
	if err != nil {
		log.Fatal(err)
	}
	defer reader.Close(ctx)
	saved := make(chan string, 1)
	err = reader.ReceiveToDir(ctx, "photos", dir, client.DirOptions{
		Saved: func(path string, _ client.FileOffer) { saved <- filepath.Base(path) },
	})
	if err != nil {
		log.Fatal(err)
	}

	writer, err := client.Connect(ctx, options)
	if err != nil {
		log.Fatal(err)
	}
	defer writer.Close(ctx)
	photo := bytes.Repeat([]byte("pixel"), 100_000)
	err = writer.SendFile(ctx, "photos", "cat.jpg", int64(len(photo)), bytes.NewReader(photo), client.FileOptions{Type: "image/jpeg"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("saved", <-saved)
	// Output: saved cat.jpg
}

func TestExamples_RunAsTheySay(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	server, stop, err := client.Broker()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	out, err := exec.CommandContext(ctx, "go", "run", "../examples/hello", "-server", server).CombinedOutput()
	if err != nil || string(out) != "the phone got 24.5C\n" {
		t.Fatalf("hello: %v\n%s", err, out)
	}

	key := e2ee.NewKey()
	if _, err := client.CreateSession(ctx, server, client.SessionSpec{SessionName: "s", Password: "p", Key: key}); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	binary := filepath.Join(dir, "files")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, "../examples/files").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	source, inbox := filepath.Join(dir, "report.pdf"), filepath.Join(dir, "inbox")
	want := bytes.Repeat([]byte("page"), 1<<19)
	if err := os.WriteFile(source, want, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(inbox, 0o700); err != nil {
		t.Fatal(err)
	}
	flags := []string{"-url", "ws" + strings.TrimPrefix(server, "http") + "/ws", "-session", "s", "-password", "p", "-key", key.Base64()}
	recv := exec.CommandContext(ctx, binary, append(flags, "recv", "files", inbox)...)
	if err := recv.Start(); err != nil {
		t.Fatal(err)
	}
	defer recv.Wait()
	defer recv.Process.Signal(os.Interrupt)
	for { // until the receiver has subscribed
		out, err = exec.CommandContext(ctx, binary, append(flags, "send", "files", source)...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "no_receivers") {
			break
		}
	}
	if err != nil {
		t.Fatalf("send: %v\n%s", err, out)
	}
	got, err := os.ReadFile(filepath.Join(inbox, "report.pdf"))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes arrived, %v", len(got), err)
	}
}
