package remote_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pgam/pgam/internal/faultnet"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/remote"
	"github.com/pgam/pgam/internal/sshtest"
	"github.com/pgam/pgam/internal/target"
)

// farName is a name that only an SSH host knows, in the certificate too.
const farName = "db.far.example"

// certDir holds server.crt and server.key for farName; their CA is one that
// this test binary trusts.
var certDir string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "pgam-remote-test-")
	if err == nil {
		certDir = dir
		err = makeCertificates(dir)
	}
	if err == nil {
		err = os.Setenv("SSL_CERT_FILE", filepath.Join(dir, "ca.crt"))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	pgtest.Main(m, func() error { return os.RemoveAll(dir) }, func() error { return goleak.Find() })
}

// makeCertificates writes a CA's certificate and a server's.
func makeCertificates(dir string) error {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "remote test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: farName}, DNSNames: []string{farName},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey)
	if err != nil {
		return err
	}
	for name, block := range map[string]*pem.Block{
		"ca.crt":     {Type: "CERTIFICATE", Bytes: caDER},
		"server.crt": {Type: "CERTIFICATE", Bytes: leafDER},
		"server.key": {Type: "PRIVATE KEY", Bytes: keyDER},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// newShells makes Shells that are closed with the test.
func newShells(t *testing.T, change ...func(*remote.ShellsConfig)) *remote.Shells {
	t.Helper()
	cfg := remote.ShellsConfig{Timeout: 30 * time.Second, Log: slog.New(slog.DiscardHandler)}
	for _, f := range change {
		f(&cfg)
	}
	shells, err := remote.NewShells(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(shells.Close)
	return shells
}

func timeout(d time.Duration) func(*remote.ShellsConfig) {
	return func(c *remote.ShellsConfig) { c.Timeout = d }
}

// watched gives a target that is reached as the shell says.
func watched(shell target.Shell) target.Target {
	t := target.Target{
		ID: 7, Name: "db1", Revision: 1,
		Endpoint: target.Endpoint{Host: "db1.example", User: "pgam"},
		Shell:    shell,
	}
	t.Defaults()
	return t
}

// proxied gives a way to an SSH server that can go dark.
func proxied(t *testing.T, login sshtest.Login) (*faultnet.Proxy, target.Shell) {
	t.Helper()
	proxy, shell := faultnet.NewProxy(t, login.Host, login.Port), login.Shell()
	shell.Port = proxy.Port()
	return proxy, shell
}
