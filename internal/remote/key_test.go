package remote_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/pgam/pgam/internal/remote"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/sshtest"
	"github.com/pgam/pgam/internal/target"
)

func TestGenerateKey(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind      string
		bits      int
		wantType  string
		wantBits  int
		wantError bool
	}{
		{"ed25519", 0, "ssh-ed25519", 256, false},
		{"ed25519", 256, "ssh-ed25519", 256, false},
		{"ed25519", 3072, "", 0, true},
		{"rsa", 0, "ssh-rsa", 3072, false},
		{"rsa", 2048, "", 0, true},
		{"rsa", 1 << 20, "", 0, true},
		{"dsa", 0, "", 0, true},
		{"", 0, "", 0, true},
	} {
		pair, err := remote.GenerateKey(c.kind, c.bits, "pgam db1")
		if (err != nil) != c.wantError || (err != nil && !errors.Is(err, remote.ErrKeyInvalid)) {
			t.Errorf("%s %d: error %v", c.kind, c.bits, err)
			continue
		}
		if err != nil {
			continue
		}
		if pair.Type != c.wantType || pair.Bits != c.wantBits || !strings.HasSuffix(pair.Public, " pgam db1") {
			t.Errorf("%s %d: %+v", c.kind, c.bits, pair)
		}
		public, comment, _, _, err := ssh.ParseAuthorizedKey([]byte(pair.Public))
		if err != nil || comment != "pgam db1" || ssh.FingerprintSHA256(public) != pair.Fingerprint {
			t.Errorf("public %q of %s: %v", pair.Public, pair.Fingerprint, err)
		}
		again, err := remote.ParseKey(pair.Private, secret.Value{})
		if err != nil || again.Fingerprint != pair.Fingerprint || again.Bits != pair.Bits || !again.Private.Equal(pair.Private) {
			t.Errorf("parsed again: %+v, %v", again, err)
		}
	}
	for _, comment := range []string{"two\nlines", "a\x00b", strings.Repeat("x", 300)} {
		if _, err := remote.GenerateKey("ed25519", 0, comment); !errors.Is(err, remote.ErrKeyInvalid) {
			t.Errorf("comment %q: %v", comment, err)
		}
	}

	// A made key opens a door.
	pair, err := remote.GenerateKey("ed25519", 0, "")
	if err != nil {
		t.Fatal(err)
	}
	server := sshtest.InProcess(t, sshtest.WithClientKey(pair.Public))
	w := watched(server.Shell())
	w.Shell.Key = target.ShellKey{ID: 1, Private: pair.Private}
	greet(t, newShells(t), w)
}

// Keys made by ssh-keygen itself, in each of its formats.
func TestParseKeyFormats(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		t.Skip("needs ssh-keygen")
	}
	for _, c := range []struct {
		name, passphrase, wantType string
		wantBits                   int
		args                       []string
	}{
		{"ed25519", "", "ssh-ed25519", 256, []string{"-t", "ed25519"}},
		{"ed25519 sealed", "pass phrase", "ssh-ed25519", 256, []string{"-t", "ed25519", "-a", "1"}},
		{"rsa", "", "ssh-rsa", 2048, []string{"-t", "rsa", "-b", "2048"}},
		{"rsa PEM", "", "ssh-rsa", 3072, []string{"-t", "rsa", "-b", "3072", "-m", "PEM"}},
		{"rsa PEM sealed", "pass phrase", "ssh-rsa", 2048, []string{"-t", "rsa", "-b", "2048", "-m", "PEM"}},
		{"rsa PKCS8", "", "ssh-rsa", 2048, []string{"-t", "rsa", "-b", "2048", "-m", "PKCS8"}},
		{"ecdsa", "", "ecdsa-sha2-nistp521", 521, []string{"-t", "ecdsa", "-b", "521"}},
		{"ecdsa PEM", "", "ecdsa-sha2-nistp256", 256, []string{"-t", "ecdsa", "-b", "256", "-m", "PEM"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "key")
			args := append([]string{"-q", "-f", file, "-N", c.passphrase, "-C", "somebody"}, c.args...)
			if out, err := exec.Command("ssh-keygen", args...).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			public, err := os.ReadFile(file + ".pub")
			if err != nil {
				t.Fatal(err)
			}
			for _, text := range []string{
				string(content), strings.TrimSpace(string(content)), "\n " + strings.ReplaceAll(string(content), "\n", "\r\n") + "\r\n\r\n",
			} {
				got, err := remote.ParseKey(secret.New(text), secret.New(c.passphrase))
				if err != nil {
					t.Fatal(err)
				}
				if got.Type != c.wantType || got.Bits != c.wantBits || !strings.HasPrefix(string(public), got.Public) {
					t.Errorf("%+v", got)
				}
				// What is kept can be opened the same way.
				if again, err := remote.ParseKey(got.Private, secret.New(c.passphrase)); err != nil || again.Fingerprint != got.Fingerprint {
					t.Errorf("again: %+v, %v", again, err)
				}
			}
			for _, wrong := range []string{"wrong", ""} {
				if wrong == c.passphrase {
					wrong = "none is needed"
				}
				if _, err := remote.ParseKey(secret.New(string(content)), secret.New(wrong)); !errors.Is(err, remote.ErrKeyInvalid) || !strings.Contains(err.Error(), "passphrase") {
					t.Errorf("passphrase %q: %v", wrong, err)
				}
			}
		})
	}
}

func TestParseKeyRefuses(t *testing.T) {
	t.Parallel()
	private, public := sshtest.NewKey(t, "ed25519", "")
	made := func(args ...string) string {
		file := filepath.Join(t.TempDir(), "key")
		if out, err := exec.Command(args[0], append(args[1:], file)...).CombinedOutput(); err != nil {
			t.Skipf("%v: %v\n%s", args, err, out)
		}
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	for name, c := range map[string]struct{ text, want string }{
		"empty":      {" \n", "empty"},
		"noise":      {"hello", "no private key"},
		"public":     {public, "public part"},
		"putty":      {"PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n", "puttygen"},
		"two":        {private + private, "one key"},
		"cut":        {private[:len(private)-60] + "\n-----END OPENSSH PRIVATE KEY-----\n", "cut off"},
		"very large": {strings.Repeat("x", 1<<20), "larger"},
		"dsa":        {made("ssh-keygen", "-q", "-t", "dsa", "-N", "", "-f"), "DSA"},
		"dsa PEM":    {made("ssh-keygen", "-q", "-t", "dsa", "-N", "", "-m", "PEM", "-f"), "DSA"},
		"weak rsa":   {made("ssh-keygen", "-q", "-t", "rsa", "-b", "1024", "-N", "", "-f"), "1024"},
		"pkcs8":      {made("openssl", "genpkey", "-algorithm", "ed25519", "-aes256", "-pass", "pass:x", "-out"), "ssh-keygen -p"},
		"x25519":     {made("openssl", "genpkey", "-algorithm", "x25519", "-out"), "kind"},
		"cert":       {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no private key"},
	} {
		_, err := remote.ParseKey(secret.New(c.text), secret.Value{})
		if !errors.Is(err, remote.ErrKeyInvalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q in it", name, err, c.want)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	private, public := sshtest.NewKey(f, "ecdsa", "")
	f.Add(private, "")
	f.Add(public, "x")
	f.Add("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n", "x")
	f.Fuzz(func(t *testing.T, text, passphrase string) {
		pair, err := remote.ParseKey(secret.New(text), secret.New(passphrase))
		if err != nil {
			if !errors.Is(err, remote.ErrKeyInvalid) {
				t.Errorf("error %v", err)
			}
			return
		}
		if _, err := remote.ParseHostKey(pair.Public); err != nil {
			t.Errorf("public %q: %v", pair.Public, err)
		}
	})
}
