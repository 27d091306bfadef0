package gateway

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/session"
)

func newReader(c net.Conn) *bufio.Reader { return bufio.NewReader(c) }

func testCertificate(t testing.TB) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (r *rig) dialTLS() *client {
	r.t.Helper()
	d := ws.Dialer{TLSConfig: &tls.Config{InsecureSkipVerify: true}} // the certificate is made by the test
	conn, br, _, err := d.Dial(context.Background(), "wss://"+r.addr+"/ws")
	if err != nil {
		r.t.Fatal(err)
	}
	if br == nil {
		br = newReader(conn)
	}
	conn.SetDeadline(time.Now().Add(patience))
	r.t.Cleanup(func() { conn.Close() })
	return &client{t: r.t, conn: conn, br: br}
}

func TestTLS_ServesFramesAndCloses(t *testing.T) {
	r := start(t, Config{TLS: &tls.Config{Certificates: []tls.Certificate{testCertificate(t)}}}, echoes)
	c := r.dialTLS()
	for _, n := range []int{0, 5, 4096, 70_000, 2 << 20} {
		want := repeat("t", n)
		go c.conn.Write(frame(0x81, want))
		c.expect(want)
	}
	r.peer().sock.Close(protocol.CloseSessionGone, "dropped")
	c.expectClose(protocol.CloseSessionGone)
	c = r.dialTLS()
	c.write(frame(0xf1, "x"))
	c.expectClose(protocol.CloseBadFrame)
}

func TestTLS_PausesAndResumes(t *testing.T) {
	got := make(chan string, 10)
	r := start(t, Config{TLS: &tls.Config{Certificates: []tls.Certificate{testCertificate(t)}}}, func(p *peer) {
		p.text = func(p *peer, frame []byte) bool {
			got <- string(frame)
			go p.sock.Resume()
			return true
		}
	})
	c := r.dialTLS()
	for _, want := range []string{"a", "b", "c"} {
		c.send(want)
		if f := <-got; f != want {
			t.Fatalf("got %q, want %q", f, want)
		}
	}
}

func TestTLS_DropsHandshakesThatStandStill(t *testing.T) {
	r := start(t, Config{HeaderTimeout: 50 * time.Millisecond, TLS: &tls.Config{Certificates: []tls.Certificate{testCertificate(t)}}}, nil)
	c := r.rawDial()
	c.write([]byte{0x16, 0x03, 0x01})
	if _, err := c.br.ReadByte(); err == nil {
		t.Fatal("a half handshake was answered")
	}
	eventually(t, "it is gone", func() bool { return r.srv.Stats().Pending == 0 })
}

func TestTLS_SlowConsumerIsCutOff(t *testing.T) {
	cfg := Config{TLS: &tls.Config{Certificates: []tls.Certificate{testCertificate(t)}}}
	cfg.SlowConsumerAfter, cfg.CloseLinger = 100*time.Millisecond, 100*time.Millisecond
	r := start(t, cfg, nil)
	r.dialTLS()
	p := r.peer()
	for p.sock.Send(session.LaneMessage, packet(true, repeat("x", 64<<10))) {
	}
	p.waitClosed()
	eventually(t, "the socket is closed", func() bool { return r.srv.Stats().Connections == 0 })
}
