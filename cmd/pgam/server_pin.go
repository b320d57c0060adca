package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pgam/pgam/internal/catalog"
	"github.com/pgam/pgam/internal/remote"
	"github.com/pgam/pgam/internal/target"
)

// lookAtKeys shows the fingerprints of a host's keys, on the host.
const lookAtKeys = "for f in /etc/ssh/ssh_host_*_key.pub; do ssh-keygen -lf $f; done"

// pinFlags say which key is right.
type pinFlags struct {
	yes         bool
	fingerprint string
	replace     bool
}

func (t *tool) serverPinCommand() *cobra.Command {
	var flags pinFlags
	cmd := &cobra.Command{
		Use:   "pin NAME",
		Short: "Confirm the SSH host key of a server",
		Long: `Shows the key that the host of a server presents over SSH, without logging in,
asks whether it is the right one, and pins it: pgam then logs in to this host
only, and refuses any other key. Compare the fingerprint with what the host
itself says:

  ` + lookAtKeys + `

Where a key is pinned already, another one is refused unless --replace is given.`,
		Example: `  pgam server pin db1
  pgam server pin db1 --fingerprint SHA256:lyk4GSPTSyKkGWO5qR+WpVMWxNYNBZGdaUeGejMFPJ8
  pgam server pin db1 --replace`,
		Args: one("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.pinServer(cmd.Context(), args[0], flags)
		},
	}
	cmd.Flags().BoolVar(&flags.yes, "yes", false, "take the key that the host shows, unseen")
	cmd.Flags().StringVar(&flags.fingerprint, "fingerprint", "", "take the key only if it has this `fingerprint`, SHA256:…")
	cmd.Flags().BoolVar(&flags.replace, "replace", false, "put it in the place of the key that is pinned")

	return cmd
}

func (t *tool) pinServer(ctx context.Context, name string, flags pinFlags) error {
	cfg, err := t.config()
	if err != nil {
		return err
	}
	stats, err := t.openStatsDB(ctx, true)
	if err != nil {
		return err
	}
	defer stats.Close()
	server, err := stats.Server(ctx, name)
	if _, broken := errors.AsType[*target.SecretsError](err); err != nil && !broken { // No secret is needed to look.
		return serverError(name, err)
	}
	shells, err := newShells(cfg.SSH)
	if err != nil {
		return err
	}
	defer shells.Close()
	shown, err := shells.ScanHostKey(ctx, server)
	switch {
	case errors.Is(err, target.ErrInvalid):
		return misconfigured{err}
	case err != nil:
		return fmt.Errorf("server %q: SSH: %s", name, remote.Describe(err))
	}
	t.printf("%s\t%s\t%s\n", net.JoinHostPort(server.ShellHost(), strconv.Itoa(server.Shell.Port)), shown.Type, shown.Fingerprint)
	if server.Shell.HostKey == shown.Line {
		t.say("this key is pinned already")

		return nil
	}
	if err := t.confirmHostKey(ctx, server, shown, flags); err != nil {
		return err
	}
	if err := pinHostKey(ctx, stats.Catalog, server, shown); err != nil {
		return err
	}
	t.say("pinned the host key of server %q", name)

	return nil
}

// confirmHostKey returns an error unless the key is the right one.
func (t *tool) confirmHostKey(ctx context.Context, server target.Target, shown remote.HostKey, flags pinFlags) error {
	if server.Shell.HostKey != "" && !flags.replace {
		pinned := "another key"
		if known, err := remote.ParseHostKey(server.Shell.HostKey); err == nil {
			pinned = known.Type + " " + known.Fingerprint
		}

		return fmt.Errorf("server %q: %s is pinned: if the host has a new key for a reason that you know, use --replace; if not, somebody may be in between", server.Name, pinned)
	}
	switch {
	case flags.fingerprint != "":
		if flags.fingerprint != shown.Fingerprint {
			return fmt.Errorf("server %q: the host shows another key than %s: nothing was pinned", server.Name, flags.fingerprint)
		}

		return nil
	case flags.yes:
		return nil
	case !isTerminal(t.in):
		return misconfigured{errors.New("no terminal to ask: give --fingerprint SHA256:…, which the host's administrator knows, or --yes")}
	}
	answer, err := t.ask(ctx, "Is this the key of the host? Only yes pins it: ")
	if err != nil {
		return err
	}
	if !strings.EqualFold(strings.TrimSpace(answer), "yes") {
		return errors.New("not confirmed: nothing was pinned")
	}

	return nil
}

// pinHostKey stores the key, if SSH still goes to where it was shown.
func pinHostKey(ctx context.Context, stored *catalog.Catalog, server target.Target, shown remote.HostKey) error {
	changed := fmt.Errorf("server %q was changed in the meantime: look again", server.Name)
	if server.Shell.HostKey == "" {
		pinned, err := stored.PinHostKey(ctx, server, shown.Line)
		if err == nil && !pinned {
			err = changed
		}

		return err
	}
	_, err := stored.UpdateServer(ctx, server.Name, func(now *target.Target) error {
		if now.ID != server.ID || now.ShellHost() != server.ShellHost() || now.Shell.Port != server.Shell.Port || now.Shell.HostKey != server.Shell.HostKey {
			return changed
		}
		now.Shell.HostKey, now.Shell.HostKeyVouched = shown.Line, true

		return nil
	})

	return err
}

// pinAdvice says what to do about the key that a host shows.
func pinAdvice(server target.Target, shown remote.HostKey) string {
	text := "the host shows " + shown.Type + " " + shown.Fingerprint
	if server.Shell.HostKey == "" {
		return text + fmt.Sprintf(", which nobody has confirmed: compare it with what the host itself says (%s), then: pgam server pin %q", lookAtKeys, server.Name)
	}
	if known, err := remote.ParseHostKey(server.Shell.HostKey); err == nil {
		text += ", not the pinned " + known.Type + " " + known.Fingerprint
	}

	return text + fmt.Sprintf(": if the host has a new key for a reason that you know: pgam server pin --replace %q; if not, somebody may be in between", server.Name)
}
