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
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"

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

// blackHole is a way to a server that can be stopped up.
type blackHole struct {
	listener net.Listener
	shell    target.Shell
	stop     chan struct{} // closed: nothing passes any more
	accepted chan struct{} // one for each connection
}

// newBlackHole passes limit bytes of each connection from the server, or all if
// it is negative, until it is stopped up. Then it takes and gives nothing, but
// stays open.
func newBlackHole(t *testing.T, login sshtest.Login, limit int) *blackHole {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &blackHole{listener: listener, shell: login.Shell(), stop: make(chan struct{}), accepted: make(chan struct{}, 1000)}
	b.shell.Port = listener.Addr().(*net.TCPAddr).Port
	ended := make(chan struct{})
	t.Cleanup(func() {
		close(ended)
		_ = listener.Close()
	})
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			b.accepted <- struct{}{}
			far, err := net.Dial("tcp", net.JoinHostPort(login.Host, strconv.Itoa(login.Port)))
			if err != nil {
				_ = near.Close()
				continue
			}
			go b.pass(far, near, -1, ended)
			go b.pass(near, far, limit, ended)
		}
	}()
	return b
}

func (b *blackHole) pass(to, from net.Conn, limit int, ended <-chan struct{}) {
	defer func() { _, _ = to.Close(), from.Close() }()
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		select {
		case <-b.stop:
			<-ended
			return
		default:
		}
		cut := limit >= 0 && n >= limit
		if cut {
			n = limit
		}
		if _, errTo := to.Write(buf[:n]); errTo != nil || err != nil {
			return
		}
		if cut {
			<-ended
			return
		}
		limit -= max(0, min(n, limit))
	}
}
