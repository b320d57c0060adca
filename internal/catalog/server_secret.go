package catalog

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/target"
)

// keeps refuses to keep a stored secret for another address, or for a host that
// shows another key.
func (r serverRow) keeps(was, t target.Target) error {
	var faults []error
	again := func(what, old string, pinOnly bool) {
		hint := "send the " + what + " again"
		if pinOnly {
			old, hint = "host key that was pinned, or for a host that none was pinned for yet", hint+", or let an administrator confirm the host key"
		}
		faults = append(faults, fmt.Errorf("%w: the stored %s is for the old %s: %s", target.ErrInvalid, what, old, hint))
	}
	if len(r.Password) > 0 && t.Endpoint.Password.IsZero() && passwordBinding(was) != passwordBinding(t) {
		old := "host, port, user, database, TLS mode and allow_md5"
		if was.Shell.Tunnel || t.Shell.Tunnel {
			old += ", and for the old SSH tunnel"
		}
		again("password", old, passwordBinding(repinned(was, t)) == passwordBinding(t))
	}
	if len(r.SSHPassword) > 0 && t.Shell.Password.IsZero() && shellPasswordBinding(was) != shellPasswordBinding(t) && !forgetsShell(was, t) {
		again("ssh_password", "SSH host, ssh_port and ssh_user", shellPasswordBinding(repinned(was, t)) == shellPasswordBinding(t))
	}
	return errors.Join(faults...)
}

// repinned is the server as it was, with the host key that it has now.
func repinned(was, t target.Target) target.Target {
	was.Shell.HostKey = t.Shell.HostKey
	return was
}

// carry opens the stored secrets that nothing but another host key would break,
// so that they are sealed anew for a host that shows that. One that does not open
// stays out.
func (c *Catalog) carry(r serverRow, was target.Target, t *target.Target) {
	before, after := passwordBinding(was), passwordBinding(*t)
	if t.Endpoint.Password.IsZero() && before != after && passwordBinding(repinned(was, *t)) == after {
		t.Endpoint.Password, _ = c.open(r.Password, before)
	}
	before, after = shellPasswordBinding(was), shellPasswordBinding(*t)
	if t.Shell.Password.IsZero() && before != after && shellPasswordBinding(repinned(was, *t)) == after && !forgetsShell(was, *t) {
		t.Shell.Password, _ = c.open(r.SSHPassword, before)
	}
}

// forgetsShell reports whether a stored SSH password goes: it is for another
// place or user, and nobody logs in with it any more.
func forgetsShell(was, t target.Target) bool {
	unused := t.Shell.User == "" || t.Shell.Key.ID != 0 || t.Shell.Key.Name != ""
	return unused && t.Shell.Password.IsZero() && shellPasswordBinding(was) != shellPasswordBinding(t)
}

// shellPlace is where SSH goes. No host holds a space.
func shellPlace(t target.Target) string { return t.ShellHost() + " " + strconv.Itoa(t.Shell.Port) }

// passwordBinding binds to the address and, in a tunnel, to whom it goes through
// too and the key that must be shown there: the same host and port would be
// another server elsewhere. The usual database is left out, as it was before
// databases were bound.
func passwordBinding(t target.Target) secret.Binding {
	mode := string(t.Endpoint.TLS)
	if t.Endpoint.AllowMD5 {
		mode += " with md5"
	}
	b := secret.Binding{
		Purpose: "pgam.server.password", RowID: int64(t.ID),
		Host: t.Endpoint.Host, Port: t.Endpoint.Port, User: t.Endpoint.User, TLSMode: mode,
	}
	if t.Shell.Tunnel {
		b.Host += " through " + shellPlace(t)
		b.HostKey = t.Shell.HostKey
	}
	if t.Endpoint.Database != target.DefaultDatabase {
		b.Database = t.Endpoint.Database
	}
	return b
}

func shellPasswordBinding(t target.Target) secret.Binding {
	return secret.Binding{
		Purpose: "pgam.server.ssh_password", RowID: int64(t.ID),
		Host: t.ShellHost(), Port: t.Shell.Port, User: t.Shell.User, HostKey: t.Shell.HostKey,
	}
}

// seal gives null for nothing.
func (c *Catalog) seal(plain secret.Value, binding secret.Binding) ([]byte, error) {
	switch {
	case plain.IsZero():
		return nil, nil
	case c.keyring == nil:
		return nil, errors.New("no keyring to seal a secret with")
	}
	return c.keyring.Seal(plain, binding)
}

func (c *Catalog) open(sealed []byte, binding secret.Binding) (secret.Value, error) {
	switch {
	case len(sealed) == 0:
		return secret.Value{}, nil
	case c.keyring == nil:
		return secret.Value{}, secret.ErrSealBroken
	}
	return c.keyring.Open(sealed, binding)
}

// sealSecrets stores the passwords that t holds; others stay as they are, but
// for an SSH password that is to be forgotten.
func (c *Catalog) sealSecrets(ctx context.Context, tx pgx.Tx, t target.Target, forgetShell bool) error {
	password, err := c.seal(t.Endpoint.Password, passwordBinding(t))
	if err != nil {
		return err
	}
	shellPassword, err := c.seal(t.Shell.Password, shellPasswordBinding(t))
	if err != nil {
		return err
	}
	const sql = `/* pgam:server_seal */
update pgam.server
   set password_sealed = coalesce($2, password_sealed),
       ssh_password_sealed = coalesce($3, case when not $4 then ssh_password_sealed end)
 where id = $1`
	_, err = tx.Exec(ctx, sql, t.ID, password, shellPassword, forgetShell)
	return err
}

// openRow gives the row with its secrets. With an error, a *target.SecretsError,
// the target is complete but for those that do not open.
func (c *Catalog) openRow(r serverRow) (target.Target, error) {
	t := r.target()
	var err1, err2, err3 error
	t.Endpoint.Password, err1 = c.open(r.Password, passwordBinding(t))
	t.Shell.Password, err2 = c.open(r.SSHPassword, shellPasswordBinding(t))
	t.Shell.Key, err3 = c.openKey(t.Shell.Key, r.Private, r.Passphrase)
	if shell := errors.Join(err2, err3); err1 != nil || shell != nil {
		return t, &target.SecretsError{Server: t.Name, Password: err1, Shell: shell}
	}
	return t, nil
}

// keepSecrets fills what the change left out from the row it kept. One that
// does not open stays out.
func (c *Catalog) keepSecrets(t *target.Target, r serverRow) {
	if t.Endpoint.Password.IsZero() {
		t.Endpoint.Password, _ = c.open(r.Password, passwordBinding(*t))
	}
	if t.Shell.Password.IsZero() {
		t.Shell.Password, _ = c.open(r.SSHPassword, shellPasswordBinding(*t))
	}
}
