package target_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/target"
)

// hostKey is a real Ed25519 key; its fingerprint is below, by ssh-keygen -lf.
const (
	hostKey            = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOY/02n2dnq9vZzM0TrdUNwXZfCxZzmtd5fLsbGxGSwk"
	hostKeyFingerprint = "SHA256:lyk4GSPTSyKkGWO5qR+WpVMWxNYNBZGdaUeGejMFPJ8"
)

func valid() target.Target {
	t := target.Target{
		Name:     "db1",
		Endpoint: target.Endpoint{Host: "db.example.org", User: "mon"},
		Shell:    target.Shell{User: "watch"},
	}
	t.Defaults()
	return t
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*target.Target)
		want   string // in the error; "" for none
	}{
		"as it is": {func(*target.Target) {}, ""},
		"all of SSH": {func(s *target.Target) {
			s.Shell.Host, s.Shell.HostKey, s.Shell.Tunnel = "jump.example.org", hostKey, true
		}, ""},
		"IPv6 SSH host": {func(s *target.Target) { s.Shell.Host = "fd00::1" }, ""},
		"Unix socket":   {func(s *target.Target) { s.Endpoint.Host = "/run/postgresql" }, ""},
		"socket behind tunnel": {func(s *target.Target) {
			s.Endpoint.Host, s.Shell.Host, s.Shell.Tunnel = "/run/postgresql", "jump", true
		}, ""},
		"disks by SSH": {func(s *target.Target) { s.DiskSource = target.DiskSSH }, ""},
		"local disks":  {func(s *target.Target) { s.DiskSource, s.Shell.User = target.DiskLocal, "" }, ""},
		"own interval": {func(s *target.Target) { s.Intervals.Disks = time.Minute }, ""},

		"name with a slash":          {func(s *target.Target) { s.Name = "a/b" }, "name contains a slash"},
		"two hosts":                  {func(s *target.Target) { s.Endpoint.Host = "a,b" }, "one name or address"},
		"no port of SSH":             {func(s *target.Target) { s.Shell.Port = 0 }, "ssh_port 0"},
		"two SSH hosts":              {func(s *target.Target) { s.Shell.Host = "a,b" }, "ssh_host"},
		"SSH host with a space":      {func(s *target.Target) { s.Shell.Host = "a b" }, "ssh_host"},
		"SSH host with a line end":   {func(s *target.Target) { s.Shell.Host = "a\n" }, "ssh_host"},
		"SSH host is a path":         {func(s *target.Target) { s.Shell.Host = "/run" }, "ssh_host"},
		"SSH user with a zero":       {func(s *target.Target) { s.Shell.User = "a\x00" }, "ssh_user"},
		"pin is no key":              {func(s *target.Target) { s.Shell.HostKey = "SHA256:abc" }, "ssh_host_key"},
		"pin with a comment":         {func(s *target.Target) { s.Shell.HostKey = hostKey + " root@db" }, "ssh_host_key"},
		"pin with a host":            {func(s *target.Target) { s.Shell.HostKey = "db.example.org " + hostKey }, "ssh_host_key"},
		"pin of another type":        {func(s *target.Target) { s.Shell.HostKey = strings.Replace(hostKey, "ed25519", "rsa", 1) }, "ssh_host_key"},
		"tunnel without a user":      {func(s *target.Target) { s.Shell.Tunnel, s.Shell.User = true, "" }, "tunnel needs ssh_user"},
		"tunnel to a socket, nohow":  {func(s *target.Target) { s.Shell.Tunnel, s.Endpoint.Host = true, "/run/postgresql" }, "tunnel needs ssh_host"},
		"disks by SSH, nobody":       {func(s *target.Target) { s.DiskSource, s.Shell.User = target.DiskSSH, "" }, "disk_source ssh needs ssh_user"},
		"disks by SSH, nowhere":      {func(s *target.Target) { s.DiskSource, s.Endpoint.Host = target.DiskSSH, "/run" }, "disk_source ssh needs ssh_host"},
		"unknown source":             {func(s *target.Target) { s.DiskSource = "nfs" }, "disk_source is none of"},
		"disks interval in a second": {func(s *target.Target) { s.Intervals.Disks = time.Second / 2 }, "disks interval"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := valid()
			test.change(&s)
			err := s.Validate()
			if test.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if !errors.Is(err, target.ErrInvalid) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

func TestDisks(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*target.Target)
		want   target.DiskSource
	}{
		"SSH user":              {func(*target.Target) {}, target.DiskSSH},
		"no SSH user":           {func(s *target.Target) { s.Shell.User = "" }, target.DiskNone},
		"socket":                {func(s *target.Target) { s.Endpoint.Host = "/run" }, target.DiskNone},
		"socket and SSH host":   {func(s *target.Target) { s.Endpoint.Host, s.Shell.Host = "/run", "db" }, target.DiskSSH},
		"chosen, with SSH user": {func(s *target.Target) { s.DiskSource = target.DiskLocal }, target.DiskLocal},
		"none, with SSH user":   {func(s *target.Target) { s.DiskSource = target.DiskNone }, target.DiskNone},
	} {
		s := valid()
		test.change(&s)
		if got := s.Disks(); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

// What makes a way another one, for PostgreSQL and for SSH.
func TestSameWay(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change          func(*target.Target)
		endpoint, shell bool // still the same
	}{
		"nothing":        {func(*target.Target) {}, true, true},
		"name":           {func(s *target.Target) { s.Name = "other" }, true, true},
		"host":           {func(s *target.Target) { s.Endpoint.Host = "other" }, false, false},
		"same SSH host":  {func(s *target.Target) { s.Shell.Host = "db.example.org" }, true, true},
		"SSH host":       {func(s *target.Target) { s.Shell.Host = "other" }, true, false},
		"password":       {func(s *target.Target) { s.Endpoint.Password = secret.New("x") }, false, true},
		"SSH password":   {func(s *target.Target) { s.Shell.Password = secret.New("x") }, true, false},
		"SSH key":        {func(s *target.Target) { s.Shell.Key.Private = secret.New("x") }, true, false},
		"SSH passphrase": {func(s *target.Target) { s.Shell.Key.Passphrase = secret.New("x") }, true, false},
		"name of a key":  {func(s *target.Target) { s.Shell.Key.Name = "x" }, true, true},
		"pin":            {func(s *target.Target) { s.Shell.HostKey = hostKey }, true, false},
		"tunnel":         {func(s *target.Target) { s.Shell.Tunnel = true }, false, true},
	} {
		a, b := valid(), valid()
		test.change(&b)
		if got := a.SameEndpoint(b); got != test.endpoint {
			t.Errorf("%s: SameEndpoint is %t", name, got)
		}
		if got := a.SameShell(b); got != test.shell {
			t.Errorf("%s: SameShell is %t", name, got)
		}
		a.Shell.Tunnel, b.Shell.Tunnel = true, true
		if name != "tunnel" && a.SameEndpoint(b) != (test.endpoint && test.shell) {
			t.Errorf("%s: in a tunnel SameEndpoint is %t", name, a.SameEndpoint(b))
		}
	}
}

func TestSecretsError(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	var err error = &target.SecretsError{Server: "db1", Shell: broken}
	if err.Error() != "open secrets of db1: broken" || !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}
