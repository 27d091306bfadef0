package dataplane

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"time"

	"golang.org/x/crypto/argon2"
)

// errStranger is what a handshake fails with where the ends do not hold the same secret.
var errStranger = errors.New("dataplane: the other end has another CLUSTER_SECRET")

// Key is what the nodes of a cluster know each other by: a certificate and its private key, which come of the secret
// alone, so that only who has the secret has them.
type Key struct {
	certificate tls.Certificate
	public      ed25519.PublicKey
}

// NewKey stretches a secret into a key: who can connect to a node sees the public half of it and may try secrets at
// home, at some 25 milliseconds and 19 MiB each.
func NewKey(secret string) (Key, error) {
	seed := argon2.IDKey([]byte(secret), []byte("fastport/cluster/1"), 2, 19<<10, 1, ed25519.SeedSize)
	private := ed25519.NewKeyFromSeed(seed)
	public := private.Public().(ed25519.PublicKey)
	// Nobody looks at more than its public key. Its times say nothing, since hosts' clocks may be off.
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "fastport node"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		return Key{}, fmt.Errorf("dataplane: certificate: %w", err)
	}
	return Key{certificate: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, public: public}, nil
}

// verify takes no certificate but one of the key. That the other end has its private half, the handshake has shown.
func (k Key) verify(state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 1 {
		public, ok := state.PeerCertificates[0].PublicKey.(ed25519.PublicKey)
		if ok && bytes.Equal(public, k.public) {
			return nil
		}
	}
	return errStranger
}

func (k Key) config() *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{k.certificate}, MinVersion: tls.VersionTLS13, NextProtos: []string{"h2"},
		SessionTicketsDisabled: true, VerifyConnection: k.verify,
	}
}

func (k Key) server() *tls.Config {
	c := k.config()
	c.ClientAuth = tls.RequireAnyClientCert
	return c
}

func (k Key) client() *tls.Config {
	c := k.config()
	c.InsecureSkipVerify = true // no authority vouches for the key: verify does, for the key itself
	c.ServerName = "fastport"
	return c
}
