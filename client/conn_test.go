package client

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http/httptest"
	"testing"

	"github.com/gobwas/ws"

	"github.com/fastport/fastport/protocol"
)

func TestConnect_OverTLSChecksTheCertificate(t *testing.T) {
	certified := httptest.NewTLSServer(nil)
	defer certified.Close()
	p := newPeer(t)
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	front = tls.NewListener(front, &tls.Config{Certificates: certified.TLS.Certificates})
	p.wg.Go(func() { p.serve(front) })
	t.Cleanup(func() { front.Close() })

	o := Options{URL: "wss://" + front.Addr().String(), SessionName: testSession, Password: "p", AESKey: testKey}
	if c, err := Connect(testContext(t), o); err == nil {
		c.Close(testContext(t))
		t.Fatal("connected to a server whose certificate nobody vouches for")
	}
	roots := x509.NewCertPool()
	roots.AddCert(certified.Certificate())
	connect(t, p, func(all *Options) {
		all.URL, all.TLS = o.URL, &tls.Config{RootCAs: roots, ServerName: "example.com"}
	})
}

// FuzzNext: whatever a server sends, reading it ends in frames or an error, never in a panic or in memory without bound.
func FuzzNext(f *testing.F) {
	var seed bytes.Buffer
	for _, frame := range []ws.Frame{
		ws.NewTextFrame([]byte(`{"type":"pong"}`)), ws.NewPingFrame([]byte("x")), ws.NewFrame(ws.OpText, false, []byte("a")),
		ws.NewFrame(ws.OpContinuation, true, []byte("b")), ws.NewBinaryFrame([]byte{2}), ws.NewCloseFrame(ws.NewCloseFrameBody(1000, "")),
	} {
		if err := ws.WriteFrame(&seed, frame); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(seed.Bytes())
	f.Add([]byte{0x81, 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, raw []byte) {
		near, far := net.Pipe()
		defer near.Close()
		drained := make(chan struct{})
		go func() {
			defer close(drained)
			io.Copy(io.Discard, far)
		}()
		defer func() { near.Close(); <-drained }()
		k := newConn(&Client{}, near, bufio.NewReader(bytes.NewReader(raw)))
		for {
			op, payload, err := k.next()
			if err != nil {
				return
			}
			if op != ws.OpText && op != ws.OpBinary || len(payload) > len(raw) {
				t.Fatalf("frame of op %v and %d bytes from %d", op, len(payload), len(raw))
			}
			var sf protocol.ServerFrame
			_ = sf.Parse(payload) // must not panic
		}
	})
}

func TestAppendFrame_IsReadBack(t *testing.T) {
	for _, n := range []int{0, 125, 126, 1<<16 - 1, 1 << 16} {
		raw := appendFrame([]byte("before"), ws.OpBinary, content(n))
		r := bytes.NewReader(raw[len("before"):])
		h, err := ws.ReadHeader(r)
		if err != nil || !h.Fin || h.OpCode != ws.OpBinary || !h.Masked || h.Length != int64(n) {
			t.Fatalf("header of a frame of %d bytes: %+v, %v", n, h, err)
		}
		payload := raw[len(raw)-r.Len():]
		if ws.Cipher(payload, h.Mask, 0); !bytes.Equal(payload, content(n)) {
			t.Errorf("a frame of %d bytes was read back as something else", n)
		}
	}
}
