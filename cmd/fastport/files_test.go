package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/fastport/fastport/protocol"
)

// bareClient speaks the protocol with a WebSocket library and nothing else.
type bareClient struct {
	*testing.T
	conn net.Conn
}

func dialBare(t *testing.T, n *Node, version int, clientID ...string) *bareClient {
	t.Helper()
	conn, _, _, err := ws.Dial(context.Background(), "ws"+strings.TrimPrefix(n.URL(), "http")+"/ws")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c := &bareClient{t, conn}
	c.send(`{"type":"init","sessionName":"s","password":"password","protocol":%d,"clientId":%q}`, version, strings.Join(clientID, ""))
	c.want("init_response")
	return c
}

func (c *bareClient) send(format string, args ...any) {
	c.Helper()
	if err := wsutil.WriteClientText(c.conn, fmt.Appendf(nil, format, args...)); err != nil {
		c.Fatal(err)
	}
}

// read returns the next frame: parsed where it is text, else its chunk.
func (c *bareClient) read() (map[string]any, protocol.Chunk) {
	c.Helper()
	c.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	frame, op, err := wsutil.ReadServerData(c.conn)
	if err != nil {
		c.Fatal(err)
	}
	if op == ws.OpBinary {
		chunk, err := protocol.ParseChunk(frame)
		if err != nil {
			c.Fatal(err)
		}
		return nil, chunk
	}
	var text map[string]any
	if err := json.Unmarshal(frame, &text); err != nil {
		c.Fatal(err)
	}
	return text, protocol.Chunk{}
}

func (c *bareClient) want(kind string) map[string]any {
	c.Helper()
	text, _ := c.read()
	if text["type"] != kind || text["success"] == false {
		c.Fatalf("got %v, want %s", text, kind)
	}
	return text
}

func createBareSession(t *testing.T, n *Node) {
	t.Helper()
	res, err := plain().Post(n.URL()+"/api/createSession", "application/json", strings.NewReader(`{"sessionName":"s","password":"password"}`))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("createSession: %s", res.Status)
	}
}

const bareFile = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"

// A file from a version 1 client to one of either version, while messages go on: whole, in order, and its window holds.
func TestNode_CarriesFilesOfBothVersions(t *testing.T) {
	n := startTestNode(t, nodeConfig(t, nil))
	createBareSession(t, n)
	const chunks = 300
	content := make([]byte, chunks*protocol.ChunkSize)
	rand.NewChaCha8([32]byte{1}).Read(content)

	sender := dialBare(t, n, 1)
	receivers := []*bareClient{dialBare(t, n, 1), dialBare(t, n, 2)}
	for _, r := range receivers {
		r.send(`{"type":"subscribe","topic":"files"}`)
		r.want("subscribe_response")
	}
	got := make(chan string, len(receivers))
	for version, r := range receivers {
		go func() { got <- takeFile(r, version+1, chunks) }()
	}
	sender.send(`{"type":"init_file","fileId":%q,"fileName":"big.bin","fileSize":%d,"totalChunks":%d,"topic":"files"}`, bareFile, len(content), chunks)
	for i := range chunks {
		frame := protocol.AppendChunk(nil, protocol.Chunk{FileID: []byte(bareFile), Index: uint32(i), Payload: content[i*protocol.ChunkSize : (i+1)*protocol.ChunkSize]})
		if err := wsutil.WriteClientBinary(sender.conn, frame); err != nil {
			t.Fatal(err)
		}
	}
	sum := sha256.Sum256(content)
	sender.send(`{"type":"end_file","fileId":%q,"hash":"%x","topic":"files"}`, bareFile, sum)
	for range receivers {
		if g := <-got; g != hex.EncodeToString(sum[:]) {
			t.Errorf("received %s, want the hash %x", g, sum)
		}
	}
}

// Both ends lose their connections in the middle, and the file is whole all the same.
func TestNode_FileGoesOnAfterLostConnections(t *testing.T) {
	n := startTestNode(t, nodeConfig(t, nil))
	createBareSession(t, n)
	const chunks = 100
	content := make([]byte, chunks*1000)
	rand.NewChaCha8([32]byte{2}).Read(content)
	sendChunks := func(c *bareClient, from, to int) {
		for i := from; i < to; i++ {
			frame := protocol.AppendChunk(nil, protocol.Chunk{FileID: []byte(bareFile), Index: uint32(i), Payload: content[i*1000 : (i+1)*1000]})
			if err := wsutil.WriteClientBinary(c.conn, frame); err != nil {
				t.Fatal(err)
			}
		}
	}
	var got []byte
	receive := func(c *bareClient, from, to int) {
		for i := from; i < to; i++ {
			text, chunk := c.read()
			if text != nil || int(chunk.Index) != i {
				t.Fatalf("chunk %d, want %d; %v", chunk.Index, i, text)
			}
			got = append(got, chunk.Payload...)
		}
		c.send(`{"type":"file_ack","fileId":%q,"next":%d}`, bareFile, to)
	}
	begin := func(c *bareClient) float64 {
		c.send(`{"type":"init_file","fileId":%q,"meta":"bWV0YQ","fileSize":%d,"totalChunks":%d,"topic":"files"}`, bareFile, len(content), chunks)
		return c.want("file_progress")["acked"].(float64)
	}

	receiver := dialBare(t, n, 2, "receiver")
	receiver.send(`{"type":"subscribe","topic":"files"}`)
	receiver.want("subscribe_response")
	sender := dialBare(t, n, 2, "sender")
	begin(sender)
	sendChunks(sender, 0, 40)
	receiver.want("init_file")
	receive(receiver, 0, 20)
	receiver.conn.Close()
	receiver = dialBare(t, n, 2, "receiver") // may come before the old one's end is noticed
	receiver.send(`{"type":"file_resume","fileId":%q,"next":20}`, bareFile)
	receive(receiver, 20, 40)

	sender.conn.Close()
	sender = dialBare(t, n, 2, "sender")
	acked := int(begin(sender))
	if acked < 20 || acked > 40 {
		t.Fatalf("the sender is told to go on from %d, want 20 to 40", acked)
	}
	sendChunks(sender, acked, chunks)
	sender.send(`{"type":"end_file","fileId":%q,"topic":"files"}`, bareFile)
	receive(receiver, 40, chunks)
	receiver.want("end_file")
	for {
		if p := sender.want("file_progress"); p["done"] == true {
			break
		}
	}
	if !bytes.Equal(got, content) {
		t.Error("received something else than was sent")
	}
}

// takeFile receives one file and returns the hash of its content, or what went wrong.
func takeFile(c *bareClient, version, chunks int) string {
	text, _ := c.read()
	if text["type"] != "init_file" || text["fileName"] != "big.bin" {
		return fmt.Sprint(text)
	}
	hash := sha256.New()
	for i := range chunks {
		text, chunk := c.read()
		if text != nil || int(chunk.Index) != i || !bytes.Equal(chunk.FileID, []byte(bareFile)) {
			return fmt.Sprintf("chunk %d, want %d; %v", chunk.Index, i, text)
		}
		hash.Write(chunk.Payload)
		if version == 2 && (i%protocol.FileAckEvery == 15 || i == chunks-1) {
			c.send(`{"type":"file_ack","fileId":%q,"next":%d}`, bareFile, i+1)
		}
	}
	if text, _ := c.read(); text["type"] != "end_file" || text["hash"] != hex.EncodeToString(hash.Sum(nil)) {
		return fmt.Sprint(text)
	}
	return hex.EncodeToString(hash.Sum(nil))
}
