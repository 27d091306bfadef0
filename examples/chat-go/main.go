// Command chat-go is a complete chat: two clients in one program, messages and a file. Run a broker (fastport serve), put a document.pdf into
// the working directory, and then: go run ./examples/chat-go
package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fastport/fastport/client"
	"github.com/fastport/fastport/client/e2ee"
)

func main() {
	ctx := context.Background()
	server := cmp.Or(os.Getenv("FASTPORT_URL"), "http://localhost:3000")

	// 1. Generate encryption key (do this ONCE, store securely!)
	aesKey := e2ee.NewKey().Base64()

	// 2. Create session (run once)
	must(createSession(server, "my_chat", "password123", aesKey))

	// 3. Connect clients
	options := client.Options{
		URL:         "ws" + strings.TrimPrefix(server, "http"),
		SessionName: "my_chat",
		Password:    "password123",
		AESKey:      aesKey,
	}
	alice, err := client.Connect(ctx, options)
	must(err)
	bob, err := client.Connect(ctx, options)
	must(err)

	// 4. Bob subscribes
	must(bob.Subscribe(ctx, "chat/room1", func(_ context.Context, m client.Message) error {
		fmt.Printf("[Bob received]: %s\n", m.Payload)
		return nil
	}))

	// 5. Alice sends
	must(alice.Publish(ctx, "chat/room1", []byte("Hello Bob!")))

	// 6. Send a file
	must(bob.ReceiveFiles(ctx, "files/shared", func(offer client.FileOffer) (client.FileSink, error) {
		return &received{name: filepath.Base(offer.Name)}, nil
	}, client.ReceiveOptions{}))

	document, err := os.Open("document.pdf")
	must(err)
	info, err := document.Stat()
	must(err)
	must(alice.SendFile(ctx, "files/shared", document.Name(), info.Size(), document, client.FileOptions{}))

	// Keep alive
	time.Sleep(time.Second)
	must(alice.Close(ctx))
	must(bob.Close(ctx))
}

// received is a file in memory. One of any size goes straight to disk: see ReceiveToDir.
type received struct {
	bytes.Buffer
	name string
}

func (r *received) Commit() error {
	fmt.Printf("[Bob received file]: %s (%d bytes)\n", r.name, r.Len())
	return os.WriteFile("received_"+r.name, r.Bytes(), 0o644)
}

func (r *received) Abort(error) {}

func createSession(server, name, pass, key string) error {
	body, err := json.Marshal(map[string]any{
		"sessionName":       name,
		"password":          pass,
		"retryInterval":     5000,
		"maxRetryLimit":     100,
		"encryptionKey":     key,
		"messageExpiryTime": 3600000,
	})
	if err != nil {
		return err
	}
	response, err := http.Post(server+"/api/createSession", "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	return response.Body.Close()
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
