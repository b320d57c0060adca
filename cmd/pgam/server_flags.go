package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pgam/pgam/internal/remote"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/target"
)

// endpointFlags describe a server on the command line.
type endpointFlags struct {
	url      string
	endpoint target.Endpoint
	tls      string
	password passwordSource
}

func (f *endpointFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.url, "dsn", "", "address as a `URL`: postgres://user:password@host:port/database?sslmode=…")
	flags.StringVar(&f.endpoint.Host, "host", "", "`host`: a name, an address, or the folder of a Unix socket")
	flags.IntVar(&f.endpoint.Port, "port", 0, "`port` (default 5432)")
	flags.StringVar(&f.endpoint.User, "user", "", "`role` to log in as")
	flags.StringVar(&f.endpoint.Database, "database", "", "`database` to connect to (default postgres)")
	flags.StringVar(&f.tls, "tls", "", "`mode`: disable, allow, prefer, require, verify-ca or verify-full (default prefer)")
	flags.BoolVar(&f.endpoint.AllowMD5, "allow-md5", false, "answer a server that asks for MD5, or for SCRAM of less than 4096 rounds, though TLS does not verify who it is")
}

// given tells whether an address was given at all.
func (f *endpointFlags) given() bool { return f.url != "" || f.endpoint.Host != "" }

// read returns the address: the URL, over which the other flags win, and the
// password, which is asked for where nothing holds it and a person is there.
func (f *endpointFlags) read(ctx context.Context, t *tool) (target.Endpoint, error) {
	var e target.Endpoint
	if f.url != "" {
		parsed, err := parseServerURL(f.url)
		if err != nil {
			return e, misconfigured{err}
		}
		e = parsed
	}
	for _, field := range []struct{ from, into *string }{
		{&f.endpoint.Host, &e.Host}, {&f.endpoint.User, &e.User}, {&f.endpoint.Database, &e.Database}, {&f.tls, (*string)(&e.TLS)},
	} {
		if *field.from != "" {
			*field.into = *field.from
		}
	}
	if f.endpoint.Port != 0 {
		e.Port = f.endpoint.Port
	}
	e.AllowMD5 = f.endpoint.AllowMD5
	var err error
	switch {
	case f.password.file != "":
		e.Password, err = t.passwordFromFile(f.password.file)
	case e.Password.IsZero() && isTerminal(t.in):
		e.Password, err = t.prompt(ctx, "Password (empty for none): ")
	}

	return e, err
}

// apply writes what was given over a stored server; its password is not among it.
func (f *endpointFlags) apply(flags *pflag.FlagSet, server *target.Target) error {
	e := &server.Endpoint
	if f.url != "" {
		parsed, err := parseServerURL(f.url)
		if err != nil {
			return misconfigured{err}
		}
		parsed.AllowMD5 = e.AllowMD5
		*e = parsed
	}
	for name, put := range map[string]func(){
		"host":      func() { e.Host = f.endpoint.Host },
		"port":      func() { e.Port = f.endpoint.Port },
		"user":      func() { e.User = f.endpoint.User },
		"database":  func() { e.Database = f.endpoint.Database },
		"tls":       func() { e.TLS = target.TLSMode(f.tls) },
		"allow-md5": func() { e.AllowMD5 = f.endpoint.AllowMD5 },
	} {
		if flags.Changed(name) {
			put()
		}
	}

	return nil
}

// shellFlags describe a server's host on the command line.
type shellFlags struct {
	host, user, key, hostKey string
	port                     int
	passwordFile             string
	tunnel                   bool
	diskSource               string
	disksInterval            time.Duration
}

func (f *shellFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.host, "ssh-host", "", "`host` that SSH goes to (default: the host of PostgreSQL)")
	flags.StringVar(&f.user, "ssh-user", "", "`user` to log in as over SSH")
	flags.IntVar(&f.port, "ssh-port", 0, "`port` of SSH (default 22)")
	flags.StringVar(&f.passwordFile, "ssh-password-file", "", "read the password of SSH from the one line of this `file`; - is standard input")
	flags.StringVar(&f.key, "ssh-key", "", "`name` of the managed key that logs in instead of a password; see pgam ssh-key")
	flags.StringVar(&f.hostKey, "ssh-host-key", "", "the host's public key, a `line` such as \"ssh-ed25519 AAAA…\", to be pinned; see pgam server pin")
	flags.BoolVar(&f.tunnel, "tunnel", false, "go to PostgreSQL through SSH")
	flags.StringVar(&f.diskSource, "disk-source", "auto", "how disks are looked at, a `word`: ssh, local (on this machine), none, or auto: ssh where there is an SSH user")
	flags.DurationVar(&f.disksInterval, "disks-interval", 0, "`time` between two looks at disks (default: the collector's setting)")
}

// sharesInput refuses to read both passwords from standard input.
func (f *shellFlags) sharesInput(p passwordSource) error {
	if f.passwordFile == "-" && p.file == "-" {
		return misconfigured{errors.New("only one password can be read from standard input")}
	}

	return nil
}

// read takes the password of SSH from the file, or asks for it where that makes
// sense and a person is there.
func (f *shellFlags) read(cmd *cobra.Command, t *tool, into *secret.Value, ask bool) (err error) {
	switch {
	case f.passwordFile != "":
		*into, err = t.passwordFromFile(f.passwordFile)
	case ask && isTerminal(t.in):
		*into, err = t.prompt(cmd.Context(), "Password of SSH (empty for none): ")
	}

	return err
}

// apply writes what was given over a server; its password is not among it.
func (f *shellFlags) apply(flags *pflag.FlagSet, server *target.Target) error {
	s := &server.Shell
	for name, put := range map[string]func() error{
		"ssh-host": func() error { s.Host = f.host; return nil },
		"ssh-user": func() error { s.User = f.user; return nil },
		"ssh-port": func() error { s.Port = f.port; return nil },
		"ssh-key":  func() error { s.Key = target.ShellKey{Name: f.key}; return nil },
		"ssh-host-key": func() error {
			s.HostKey, s.HostKeyVouched = "", true
			if f.hostKey == "" {
				return nil
			}
			key, err := remote.ParseHostKey(f.hostKey)
			s.HostKey = key.Line

			return err
		},
		"tunnel": func() error { s.Tunnel = f.tunnel; return nil },
		"disk-source": func() error {
			if server.DiskSource = target.DiskSource(f.diskSource); f.diskSource == "auto" {
				server.DiskSource = target.DiskAuto
			}

			return nil
		},
		"disks-interval": func() error { server.Intervals.Disks = f.disksInterval; return nil },
	} {
		if !flags.Changed(name) {
			continue
		}
		if err := put(); err != nil {
			return misconfigured{err}
		}
	}

	return nil
}

// serverChange is what the command line changes of a stored server.
type serverChange struct {
	name                  string
	enabled               bool
	endpoint              endpointFlags
	shell                 shellFlags
	keep                  keepFlags
	askPassword, askShell bool

	password, shellPassword secret.Value // as read; empty keeps the stored one
}

func (c *serverChange) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&c.name, "name", "", "rename to this `name`; the history follows")
	flags.BoolVar(&c.enabled, "enabled", true, "false pauses the watching")
	c.endpoint.add(cmd)
	c.endpoint.password.flags(cmd)
	flags.BoolVar(&c.askPassword, "ask-password", false, "ask for a new password")
	c.shell.add(cmd)
	c.keep.add(cmd)
	flags.BoolVar(&c.askShell, "ask-ssh-password", false, "ask for a new password of SSH")
	cmd.MarkFlagsMutuallyExclusive("password-file", "ask-password")
	cmd.MarkFlagsMutuallyExclusive("ssh-password-file", "ask-ssh-password")
}

// read gets the passwords: from files, or from a person who asked for it or gives
// an address that the stored ones do not belong to.
func (c *serverChange) read(cmd *cobra.Command, t *tool, before target.Target) error {
	if (c.askPassword || c.askShell) && !isTerminal(t.in) {
		return misconfigured{errors.New("no terminal to ask for the password: give --password-file or --ssh-password-file (- is standard input)")}
	}
	if err := c.shell.sharesInput(c.endpoint.password); err != nil {
		return err
	}
	after := before
	after.Endpoint.Password = secret.Value{}
	if err := c.apply(cmd.Flags(), &after); err != nil {
		return err
	}
	after.Defaults()
	moved := after.Endpoint.Host != before.Endpoint.Host || after.Endpoint.Port != before.Endpoint.Port ||
		after.Endpoint.User != before.Endpoint.User || after.Endpoint.TLS != before.Endpoint.TLS ||
		after.Endpoint.AllowMD5 != before.Endpoint.AllowMD5
	shellMoved := after.ShellHost() != before.ShellHost() || after.Shell.Port != before.Shell.Port
	moved = moved || after.Shell.Tunnel != before.Shell.Tunnel || after.Shell.Tunnel && shellMoved
	inURL := !after.Endpoint.Password.IsZero()
	var err error
	switch {
	case c.endpoint.password.file != "":
		c.password, err = t.passwordFromFile(c.endpoint.password.file)
	case c.askPassword, moved && !inURL && !before.Endpoint.Password.IsZero() && isTerminal(t.in):
		c.password, err = t.prompt(cmd.Context(), "Password: ")
	}
	if err != nil {
		return err
	}
	shellMoved = shellMoved || after.Shell.User != before.Shell.User

	return c.shell.read(cmd, t, &c.shellPassword, c.askShell || shellMoved && !before.Shell.Password.IsZero())
}

// apply writes the change over a server.
func (c *serverChange) apply(flags *pflag.FlagSet, server *target.Target) error {
	if flags.Changed("name") {
		server.Name = c.name
	}
	if flags.Changed("enabled") {
		server.Enabled = c.enabled
	}
	if err := c.endpoint.apply(flags, server); err != nil {
		return err
	}
	if !c.password.IsZero() {
		server.Endpoint.Password = c.password
	}
	if err := c.keep.apply(flags, server); err != nil {
		return err
	}
	if !c.shellPassword.IsZero() {
		server.Shell.Password = c.shellPassword
	}

	return c.shell.apply(flags, server)
}
