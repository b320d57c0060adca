package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/target"
)

// keeps refuses to keep a stored secret for another address.
func (r serverRow) keeps(was, t target.Target) error {
	var faults []error
	if len(r.Password) > 0 && t.Endpoint.Password.IsZero() && passwordBinding(was) != passwordBinding(t) {
		old := "host, port, user, TLS mode and allow_md5"
		if was.Shell.Tunnel || t.Shell.Tunnel {
			old += ", and for the old SSH tunnel"
		}
		faults = append(faults, fmt.Errorf("%w: the stored password is for the old %s: send the password again", target.ErrInvalid, old))
	}
	if len(r.SSHPassword) > 0 && t.Shell.Password.IsZero() && shellPasswordBinding(was) != shellPasswordBinding(t) && !forgetsShell(was, t) {
		faults = append(faults, fmt.Errorf("%w: the stored ssh_password is for the old SSH host, ssh_port and ssh_user: send the ssh_password again", target.ErrInvalid))
	}
	return errors.Join(faults...)
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
// too: the same host and port would be another server elsewhere.
func passwordBinding(t target.Target) secret.Binding {
	host := t.Endpoint.Host
	if t.Shell.Tunnel {
		host += " through " + shellPlace(t)
	}
	mode := string(t.Endpoint.TLS)
	if t.Endpoint.AllowMD5 {
		mode += " with md5"
	}
	return secret.Binding{
		Purpose: "pgam.server.password", RowID: int64(t.ID),
		Host: host, Port: t.Endpoint.Port, User: t.Endpoint.User, TLSMode: mode,
	}
}

func shellPasswordBinding(t target.Target) secret.Binding {
	return secret.Binding{
		Purpose: "pgam.server.ssh_password", RowID: int64(t.ID),
		Host: t.ShellHost(), Port: t.Shell.Port, User: t.Shell.User,
	}
}

// seal gives null for nothing.
func (s *Store) seal(plain secret.Value, binding secret.Binding) ([]byte, error) {
	switch {
	case plain.IsZero():
		return nil, nil
	case s.keyring == nil:
		return nil, errors.New("no keyring to seal a secret with")
	}
	return s.keyring.Seal(plain, binding)
}

func (s *Store) open(sealed []byte, binding secret.Binding) (secret.Value, error) {
	switch {
	case len(sealed) == 0:
		return secret.Value{}, nil
	case s.keyring == nil:
		return secret.Value{}, secret.ErrSealBroken
	}
	return s.keyring.Open(sealed, binding)
}

// sealSecrets stores the passwords that t holds; others stay as they are, but
// for an SSH password that is to be forgotten.
func (s *Store) sealSecrets(ctx context.Context, tx pgx.Tx, t target.Target, forgetShell bool) error {
	password, err := s.seal(t.Endpoint.Password, passwordBinding(t))
	if err != nil {
		return err
	}
	shellPassword, err := s.seal(t.Shell.Password, shellPasswordBinding(t))
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
func (s *Store) openRow(r serverRow) (target.Target, error) {
	t := r.target()
	var err1, err2, err3 error
	t.Endpoint.Password, err1 = s.open(r.Password, passwordBinding(t))
	t.Shell.Password, err2 = s.open(r.SSHPassword, shellPasswordBinding(t))
	t.Shell.Key, err3 = s.openKey(t.Shell.Key, r.Private, r.Passphrase)
	if shell := errors.Join(err2, err3); err1 != nil || shell != nil {
		return t, &target.SecretsError{Server: t.Name, Password: err1, Shell: shell}
	}
	return t, nil
}

// keepSecrets fills what the change left out from the row it kept. One that
// does not open stays out.
func (s *Store) keepSecrets(t *target.Target, r serverRow) {
	if t.Endpoint.Password.IsZero() {
		t.Endpoint.Password, _ = s.open(r.Password, passwordBinding(*t))
	}
	if t.Shell.Password.IsZero() {
		t.Shell.Password, _ = s.open(r.SSHPassword, shellPasswordBinding(*t))
	}
}
