package remote_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/pgam/pgam/internal/faultnet"
	"github.com/pgam/pgam/internal/remote"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/sshtest"
	"github.com/pgam/pgam/internal/target"
)

func portText(port int) string { return strconv.Itoa(port) }

func mustParse(t *testing.T, line string) remote.HostKey {
	t.Helper()
	key, err := remote.ParseHostKey(line)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// Nobody says a word about a user to a host whose key is not confirmed.
func TestHostKeys(t *testing.T) {
	t.Parallel()
	_, edLine := sshtest.NewKey(t, "ed25519", "")
	_, ecLine := sshtest.NewKey(t, "ecdsa", "")
	_, rsaLine := sshtest.NewKey(t, "rsa", "")
	for _, kind := range []string{"ed25519", "ecdsa", "rsa"} {
		server := sshtest.InProcess(t, sshtest.WithHostKey(kind))
		shown := mustParse(t, server.HostKeyLine)
		for name, c := range map[string]struct {
			pin    string
			reason sample.Reason
		}{
			"pinned":        {server.HostKeyLine, sample.None},
			"unknown":       {"", sample.HostKeyUnknown},
			"other ecdsa":   {ecLine, sample.HostKeyChanged},
			"other ed25519": {edLine, sample.HostKeyChanged},
			"other rsa":     {rsaLine, sample.HostKeyChanged},
		} {
			before := server.Attempts()
			w := watched(server.Shell())
			w.Shell.HostKey = c.pin
			_, err := newShells(t).Run(t.Context(), w, "true")
			if got := remote.Classify(err); got != c.reason {
				t.Errorf("%s, %s: reason %q, want %q, of: %v", kind, name, got, c.reason, err)
			}
			if c.reason == sample.None {
				continue
			}
			if n := server.Attempts() - before; n != 0 {
				t.Errorf("%s, %s: %d attempts to log in", kind, name, n)
			}
			var hostKey *remote.HostKeyError
			if !errors.As(err, &hostKey) || hostKey.Got != shown || hostKey.Server != "db1" {
				t.Errorf("%s, %s: error %v, want %+v", kind, name, err, shown)
			}
			text := remote.Describe(err)
			if !strings.Contains(text, shown.Fingerprint) || (c.pin != "" && !strings.Contains(text, mustParse(t, c.pin).Fingerprint)) {
				t.Errorf("%s, %s: described as %q", kind, name, text)
			}
		}
	}
}

func TestScanHostKey(t *testing.T) {
	t.Parallel()
	server := sshtest.InProcess(t)
	shells := newShells(t)
	w := watched(server.Shell())
	w.Shell.HostKey = ""
	got, err := shells.ScanHostKey(t.Context(), w)
	if want := mustParse(t, server.HostKeyLine); err != nil || got != want {
		t.Fatalf("got %+v, want %+v, error %v", got, want, err)
	}
	if n := server.Attempts(); n != 0 {
		t.Errorf("%d attempts to log in", n)
	}
	expect(t, shells.CheckHostKey(w, got), sample.HostKeyUnknown)
	w.Shell.HostKey = got.Line
	expect(t, shells.CheckHostKey(w, got), sample.None)
	greet(t, shells, w)

	// Of a host with several keys the one of the pinned kind is shown.
	private, line := sshtest.NewKey(t, "rsa", "")
	file := filepath.Join(t.TempDir(), "rsa")
	if err := os.WriteFile(file, []byte(private), 0o600); err != nil {
		t.Fatal(err)
	}
	both := sshtest.Start(t, sshtest.WithSetting("HostKey "+file))
	w = watched(both.Shell())
	for _, want := range []string{both.HostKeyLine, line} {
		w.Shell.HostKey = want
		if got, err := shells.ScanHostKey(t.Context(), w); err != nil || got.Line != want {
			t.Errorf("got %q, want %q, error %v", got.Line, want, err)
		}
	}
	w.Shell.HostKey = ""
	if got, err := shells.ScanHostKey(t.Context(), w); err != nil || got.Type != "ssh-ed25519" {
		t.Errorf("got %q, error %v", got.Type, err)
	}
	w.Shell.Port = faultnet.FreePort(t)
	_, err = shells.ScanHostKey(t.Context(), w)
	expect(t, err, sample.Refused)
}

func TestKnownHosts(t *testing.T) {
	t.Parallel()
	server := sshtest.Start(t)
	address := net.JoinHostPort(server.Host, portText(server.Port))
	_, other := sshtest.NewKey(t, "ed25519", "")
	_, rsa := sshtest.NewKey(t, "rsa", "")
	plain := knownhosts.Normalize(address)
	file := filepath.Join(t.TempDir(), "known_hosts")
	shells := newShells(t, func(c *remote.ShellsConfig) { c.KnownHosts = file })
	for i, c := range []struct {
		name    string
		content string
		pin     string
		want    sample.Reason
	}{
		{"no file", "", "", sample.HostKeyUnknown},
		{"plain", plain + " " + server.HostKeyLine, "", sample.None},
		{"wildcard", "127.0.0.* " + server.HostKeyLine, "", sample.None},
		{"hashed", knownhosts.HashHostname(plain) + " " + server.HostKeyLine, "", sample.None},
		{"one of several", plain + " " + rsa + "\n" + plain + " " + server.HostKeyLine, "", sample.None},
		{"other port", "127.0.0.1 " + server.HostKeyLine, "", sample.HostKeyUnknown},
		{"another key", plain + " " + other, "", sample.HostKeyChanged},
		{"another kind", plain + " " + rsa, "", sample.HostKeyChanged},
		{"revoked", "@revoked * " + server.HostKeyLine + "\n" + plain + " " + server.HostKeyLine, "", sample.HostKeyChanged},
		{"pinned and revoked", "@revoked * " + server.HostKeyLine, server.HostKeyLine, sample.HostKeyChanged},
		{"pinned otherwise", plain + " " + server.HostKeyLine, other, sample.HostKeyChanged},
		{"pinned, other in file", plain + " " + other, server.HostKeyLine, sample.None},
		{"fault", plain + " ssh-ed25519 AAAAnonsense", "", sample.HostKeyUnknown},
		{"fault, pinned", plain + " ssh-ed25519 AAAAnonsense", server.HostKeyLine, sample.None},
	} {
		// One file, which changes: in order.
		if c.content != "" {
			if err := os.WriteFile(file, []byte("# comment\n\n"+c.content+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		w := watched(server.Shell())
		w.ID, w.Shell.HostKey = target.ID(100+i), c.pin
		_, err := shells.Run(t.Context(), w, "true")
		if got := remote.Classify(err); got != c.want {
			t.Errorf("%s: reason %q, want %q, of: %v", c.name, got, c.want, err)
		}
		var hostKey *remote.HostKeyError
		if errors.As(err, &hostKey) && hostKey.Got.Line != server.HostKeyLine {
			t.Errorf("%s: got %+v", c.name, hostKey.Got)
		}
		if strings.HasPrefix(c.name, "fault") && c.want != sample.None && remote.Describe(err) != "the known_hosts file has a fault: see the log" {
			t.Errorf("%s: described as %q", c.name, remote.Describe(err))
		}
	}
}

func TestParseHostKey(t *testing.T) {
	t.Parallel()
	_, line := sshtest.NewKey(t, "ed25519", "")
	want := mustParse(t, line)
	if want.Line != line || want.Type != "ssh-ed25519" || !strings.HasPrefix(want.Fingerprint, "SHA256:") {
		t.Errorf("%+v", want)
	}
	for _, form := range []string{line + " root@db1", "db1.example " + line, " " + line + "\n", "# db1:22 SSH-2.0-OpenSSH_9.2\n" + line + "\n"} {
		if got, err := remote.ParseHostKey(form); err != nil || got != want {
			t.Errorf("%q: %+v, %v", form, got, err)
		}
	}
	private, _ := sshtest.NewKey(t, "ed25519", "")
	for _, bad := range []string{"", "ssh-ed25519", "ssh-ed25519 AAAA", line + "\n" + line, private, "SHA256:" + strings.Repeat("a", 43)} {
		if _, err := remote.ParseHostKey(bad); !errors.Is(err, target.ErrInvalid) {
			t.Errorf("%q: error %v", bad, err)
		} else if strings.Contains(err.Error(), "PRIVATE") {
			t.Errorf("the error holds what was given: %v", err)
		}
	}
}

func FuzzParseHostKey(f *testing.F) {
	f.Add("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl a@b")
	f.Add("command=\"x\" ssh-rsa AAAA")
	f.Fuzz(func(t *testing.T, line string) {
		key, err := remote.ParseHostKey(line)
		if err != nil {
			return
		}
		again, err := remote.ParseHostKey(key.Line)
		if err != nil || again != key || strings.ContainsAny(key.Line, "\r\n") {
			t.Errorf("%q became %+v, then %+v, %v", line, key, again, err)
		}
	})
}
