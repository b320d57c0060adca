package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/target"
)

// serverRow is a row of pgam.server. Its JSON form is the collector's offline
// copy: it holds ciphertext only.
type serverRow struct {
	ID          int64     `db:"id"                         json:"id"`
	Name        string    `db:"name"                       json:"name"`
	Host        string    `db:"host"                       json:"host"`
	Port        int       `db:"port"                       json:"port"`
	User        string    `db:"user_name"                  json:"user_name"`
	Database    string    `db:"database_name"              json:"database_name"`
	TLS         string    `db:"tls_mode"                   json:"tls_mode"`
	Password    []byte    `db:"password_sealed"            json:"password_sealed"`
	SSHUser     string    `db:"ssh_user"                   json:"ssh_user"`
	SSHPort     int       `db:"ssh_port"                   json:"ssh_port"`
	SSHPassword []byte    `db:"ssh_password_sealed"        json:"ssh_password_sealed"`
	StatsDB     *string   `db:"stats_db"                   json:"stats_db"`
	Pool        string    `db:"pool_profile"               json:"pool_profile"`
	Activity    *int64    `db:"activity_interval_seconds"  json:"activity_interval_seconds"`
	Databases   *int64    `db:"databases_interval_seconds" json:"databases_interval_seconds"`
	Inventory   *int64    `db:"inventory_interval_seconds" json:"inventory_interval_seconds"`
	Sizes       *int64    `db:"sizes_interval_seconds"     json:"sizes_interval_seconds"`
	Enabled     bool      `db:"enabled"                    json:"enabled"`
	Revision    int64     `db:"revision"                   json:"revision"`
	CreatedAt   time.Time `db:"created_at"                 json:"created_at"`
	UpdatedAt   time.Time `db:"updated_at"                 json:"updated_at"`
}

const serverColumns = `
	id, name, host, port, user_name, database_name, tls_mode, password_sealed, ssh_user, ssh_port, ssh_password_sealed,
	stats_db, pool_profile, activity_interval_seconds, databases_interval_seconds, inventory_interval_seconds,
	sizes_interval_seconds, enabled, revision, created_at, updated_at`

const serversSQL = `/* pgam:servers */ select` + serverColumns + `
  from pgam.server
 where deleted_at is null
 order by name collate "C"`

const serverSQL = `/* pgam:server */ select` + serverColumns + `
  from pgam.server
 where name = $1
   and deleted_at is null`

// Changes of servers are made one at a time, so that revisions become visible
// in the order in which they were drawn: a reader that has seen one has seen
// all before it.
const lockServersSQL = `/* pgam:server_lock */ lock table pgam.server in share row exclusive mode`

// ListServers gives every server that was not deleted, by name, with its
// secrets opened. A server whose secret does not open is listed without it
// and its fault, which wraps secret.ErrSealBroken, is in faults.
func (s *Store) ListServers(ctx context.Context) (targets []target.Target, faults map[target.ID]error, err error) {
	rows, err := s.serverRows(ctx)
	if err != nil {
		return nil, nil, err
	}
	targets, faults = s.openRows(rows)
	return targets, faults, nil
}

func (s *Store) serverRows(ctx context.Context) ([]serverRow, error) {
	rows, err := s.pool.Query(ctx, serversSQL)
	if err != nil {
		return nil, fmt.Errorf("list servers: %w", dbError(err))
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[serverRow])
	if err != nil {
		return nil, fmt.Errorf("list servers: %w", dbError(err))
	}
	return list, nil
}

func (s *Store) openRows(rows []serverRow) ([]target.Target, map[target.ID]error) {
	targets := make([]target.Target, 0, len(rows))
	faults := map[target.ID]error{}
	for _, row := range rows {
		t, err := s.openRow(row)
		if err != nil {
			faults[t.ID] = err
		}
		targets = append(targets, t)
	}
	return targets, faults
}

// Server gives the server of this name. The error is target.ErrNotFound, or
// wraps secret.ErrSealBroken, and then the server is given without its secrets.
func (s *Store) Server(ctx context.Context, name string) (target.Target, error) {
	row, err := serverNamed(ctx, s.pool, name)
	if err != nil {
		return target.Target{}, err
	}
	return s.openRow(row)
}

type rowQuerier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func serverNamed(ctx context.Context, q rowQuerier, name string) (serverRow, error) {
	if target.ValidateName(name) != nil {
		return serverRow{}, target.ErrNotFound
	}
	rows, err := q.Query(ctx, serverSQL, name)
	if err != nil {
		return serverRow{}, fmt.Errorf("read server: %w", dbError(err))
	}
	row, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[serverRow])
	if errors.Is(err, pgx.ErrNoRows) {
		return serverRow{}, target.ErrNotFound
	}
	if err != nil {
		return serverRow{}, fmt.Errorf("read server: %w", dbError(err))
	}
	return row, nil
}

// CreateServer stores a new server and gives it as stored. The error wraps
// target.ErrInvalid or is target.ErrConflict.
func (s *Store) CreateServer(ctx context.Context, t target.Target) (target.Target, error) {
	t.Defaults()
	if err := t.Validate(); err != nil {
		return target.Target{}, err
	}
	err := s.changeServers(ctx, func(tx pgx.Tx) error {
		const sql = `/* pgam:server_create */
insert into pgam.server (name, host, port, user_name, database_name, tls_mode, ssh_user, ssh_port, stats_db, pool_profile,
       activity_interval_seconds, databases_interval_seconds, inventory_interval_seconds, sizes_interval_seconds, enabled)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
returning id, revision, created_at, updated_at`
		err := tx.QueryRow(ctx, sql, serverArguments(t)...).Scan(&t.ID, &t.Revision, &t.CreatedAt, &t.UpdatedAt)
		if err != nil {
			return err
		}
		return s.sealSecrets(ctx, tx, t)
	})
	if err != nil {
		return target.Target{}, serverChangeError("create server", err)
	}
	return inUTC(t), nil
}

// UpdateServer lets change edit the server of this name and stores the result.
// change is given the server without its passwords: one that it leaves empty
// keeps the stored one. A stored password belongs to the address it was given
// for, so a change of the host, port, user or TLS mode needs it again: without
// it the error wraps target.ErrInvalid, as for any other fault of the result.
// The other errors are target.ErrNotFound, target.ErrConflict for a new name
// that is taken, and what change returns.
func (s *Store) UpdateServer(ctx context.Context, name string, change func(*target.Target) error) (target.Target, error) {
	var t target.Target
	err := s.changeServers(ctx, func(tx pgx.Tx) error {
		row, err := serverNamed(ctx, tx, name)
		if err != nil {
			return err
		}
		old := row.target()
		t = old
		if err := change(&t); err != nil {
			return err
		}
		t.ID, t.CreatedAt = old.ID, old.CreatedAt
		t.Defaults()
		if err := errors.Join(t.Validate(), row.keeps(old, t)); err != nil {
			return err
		}
		const sql = `/* pgam:server_update */
update pgam.server
   set name = $1, host = $2, port = $3, user_name = $4, database_name = $5, tls_mode = $6, ssh_user = $7, ssh_port = $8,
       stats_db = $9, pool_profile = $10, activity_interval_seconds = $11, databases_interval_seconds = $12,
       inventory_interval_seconds = $13, sizes_interval_seconds = $14, enabled = $15,
       revision = nextval('pgam.revision'), updated_at = now()
 where id = $16
returning revision, updated_at`
		if err := tx.QueryRow(ctx, sql, append(serverArguments(t), t.ID)...).Scan(&t.Revision, &t.UpdatedAt); err != nil {
			return err
		}
		if err := s.sealSecrets(ctx, tx, t); err != nil {
			return err
		}
		s.keepSecrets(&t, row)
		return nil
	})
	if err != nil {
		return target.Target{}, serverChangeError("update server", err)
	}
	return inUTC(t), nil
}

// DeleteServer hides the server of this name, forgets its secrets and leaves
// its history to retention. The error is target.ErrNotFound if there is none.
func (s *Store) DeleteServer(ctx context.Context, name string) error {
	if target.ValidateName(name) != nil {
		return target.ErrNotFound
	}
	err := s.changeServers(ctx, func(tx pgx.Tx) error {
		const sql = `/* pgam:server_delete */
update pgam.server
   set deleted_at = now(), updated_at = now(), revision = nextval('pgam.revision'),
       password_sealed = null, ssh_password_sealed = null
 where name = $1
   and deleted_at is null`
		tag, err := tx.Exec(ctx, sql, name)
		if err == nil && tag.RowsAffected() == 0 {
			return target.ErrNotFound
		}
		return err
	})
	if err != nil {
		return serverChangeError("delete server", err)
	}
	return nil
}

// ServersRevision gives a number that grows with every change of any server;
// zero when there never was one. It is cheap enough to be asked every second.
func (s *Store) ServersRevision(ctx context.Context) (int64, error) {
	var revision int64
	err := s.pool.QueryRow(ctx, "/* pgam:servers_revision */ select coalesce(max(revision), 0) from pgam.server").Scan(&revision)
	if err != nil {
		return 0, fmt.Errorf("read revision of servers: %w", dbError(err))
	}
	return revision, nil
}

// SealedServers gives all servers as one opaque text for OpenServers, with
// their secrets still sealed, and the revision it stands for or an earlier one.
func (s *Store) SealedServers(ctx context.Context) (data []byte, revision int64, err error) {
	// The revision first: a change in between is then only read again.
	if revision, err = s.ServersRevision(ctx); err != nil {
		return nil, 0, err
	}
	rows, err := s.serverRows(ctx)
	if err != nil {
		return nil, 0, err
	}
	data, err = json.Marshal(rows) //nolint:gosec // G117: what is named a password is ciphertext
	if err != nil {
		return nil, 0, fmt.Errorf("encode servers: %w", err)
	}
	return data, revision, nil
}

// OpenServers reads what SealedServers gave, as ListServers does. It needs the
// keyring, not stats_db.
func (s *Store) OpenServers(data []byte) (targets []target.Target, faults map[target.ID]error, err error) {
	var rows []serverRow
	if err := json.Unmarshal(data, &rows); err != nil {
		return nil, nil, errors.New("decode servers: the copy is damaged")
	}
	targets, faults = s.openRows(rows)
	return targets, faults, nil
}

// changeServers runs change in a transaction that no other change of servers
// runs beside.
func (s *Store) changeServers(ctx context.Context, change func(pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockServersSQL); err != nil {
			return err
		}
		return change(tx)
	})
}

func serverChangeError(what string, err error) error {
	switch {
	case isUnique(err, "server_name_key"):
		return target.ErrConflict
	case errors.Is(err, target.ErrNotFound), errors.Is(err, target.ErrInvalid), errors.Is(err, target.ErrConflict):
		return err
	}
	return fmt.Errorf("%s: %w", what, dbError(err))
}

func serverArguments(t target.Target) []any {
	return []any{
		t.Name, t.Endpoint.Host, t.Endpoint.Port, t.Endpoint.User, t.Endpoint.Database, string(t.Endpoint.TLS),
		t.Shell.User, t.Shell.Port, serverText(t.StatsDB), string(t.Pool),
		wholeSeconds(t.Intervals.Activity), wholeSeconds(t.Intervals.Databases),
		wholeSeconds(t.Intervals.Inventory), wholeSeconds(t.Intervals.Sizes), t.Enabled,
	}
}

func serverText(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func wholeSeconds(d time.Duration) *int64 {
	if d == 0 {
		return nil
	}
	n := int64(d / time.Second)
	return &n
}

func fromSeconds(n *int64) time.Duration {
	if n == nil {
		return 0
	}
	return time.Duration(*n) * time.Second
}

func inUTC(t target.Target) target.Target {
	t.CreatedAt, t.UpdatedAt = t.CreatedAt.UTC(), t.UpdatedAt.UTC()
	return t
}

// target gives the row without its secrets.
func (r serverRow) target() target.Target {
	t := target.Target{
		ID:   target.ID(r.ID),
		Name: r.Name,
		Endpoint: target.Endpoint{
			Host: r.Host, Port: r.Port, User: r.User, Database: r.Database, TLS: target.TLSMode(r.TLS),
		},
		Shell: target.Shell{User: r.SSHUser, Port: r.SSHPort},
		Intervals: target.Intervals{
			Activity: fromSeconds(r.Activity), Databases: fromSeconds(r.Databases),
			Inventory: fromSeconds(r.Inventory), Sizes: fromSeconds(r.Sizes),
		},
		Pool:      target.PoolProfile(r.Pool),
		Enabled:   r.Enabled,
		Revision:  r.Revision,
		CreatedAt: r.CreatedAt,
		UpdatedAt: r.UpdatedAt,
	}
	if r.StatsDB != nil {
		t.StatsDB = *r.StatsDB
	}
	return inUTC(t)
}

// keeps refuses to keep a stored secret for another address.
func (r serverRow) keeps(old, t target.Target) error {
	var faults []error
	if len(r.Password) > 0 && t.Endpoint.Password.IsZero() && passwordBinding(old) != passwordBinding(t) {
		faults = append(faults, fmt.Errorf("%w: the stored password is for the old host, port, user and TLS mode: send the password again", target.ErrInvalid))
	}
	if len(r.SSHPassword) > 0 && t.Shell.Password.IsZero() && sshPasswordBinding(old) != sshPasswordBinding(t) {
		faults = append(faults, fmt.Errorf("%w: the stored ssh_password is for the old host, ssh_port and ssh_user: send the ssh_password again", target.ErrInvalid))
	}
	return errors.Join(faults...)
}

func passwordBinding(t target.Target) secret.Binding {
	return secret.Binding{
		Purpose: "pgam.server.password", RowID: int64(t.ID),
		Host: t.Endpoint.Host, Port: t.Endpoint.Port, User: t.Endpoint.User, TLSMode: string(t.Endpoint.TLS),
	}
}

func sshPasswordBinding(t target.Target) secret.Binding {
	return secret.Binding{
		Purpose: "pgam.server.ssh_password", RowID: int64(t.ID),
		Host: t.Endpoint.Host, Port: t.Shell.Port, User: t.Shell.User,
	}
}

// sealSecrets stores the secrets that t holds; others stay as they are.
func (s *Store) sealSecrets(ctx context.Context, tx pgx.Tx, t target.Target) error {
	seal := func(plain secret.Value, binding secret.Binding) ([]byte, error) {
		if plain.IsZero() {
			return nil, nil
		}
		if s.keyring == nil {
			return nil, errors.New("no keyring to seal a secret with")
		}
		return s.keyring.Seal(plain, binding)
	}
	password, err := seal(t.Endpoint.Password, passwordBinding(t))
	if err != nil {
		return err
	}
	sshPassword, err := seal(t.Shell.Password, sshPasswordBinding(t))
	if err != nil {
		return err
	}
	const sql = `/* pgam:server_seal */
update pgam.server
   set password_sealed = coalesce($2, password_sealed), ssh_password_sealed = coalesce($3, ssh_password_sealed)
 where id = $1`
	_, err = tx.Exec(ctx, sql, t.ID, password, sshPassword)
	return err
}

// openRow gives the row with its secrets. With an error, which wraps
// secret.ErrSealBroken, the target is complete but for them.
func (s *Store) openRow(r serverRow) (target.Target, error) {
	t := r.target()
	password, err1 := s.open(r.Password, passwordBinding(t))
	sshPassword, err2 := s.open(r.SSHPassword, sshPasswordBinding(t))
	if err := errors.Join(err1, err2); err != nil {
		return t, fmt.Errorf("open secrets of %s: %w", t.Name, err)
	}
	t.Endpoint.Password, t.Shell.Password = password, sshPassword
	return t, nil
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

// keepSecrets fills what the change left out from the row it kept. One that
// does not open stays out.
func (s *Store) keepSecrets(t *target.Target, r serverRow) {
	if t.Endpoint.Password.IsZero() {
		t.Endpoint.Password, _ = s.open(r.Password, passwordBinding(*t))
	}
	if t.Shell.Password.IsZero() {
		t.Shell.Password, _ = s.open(r.SSHPassword, sshPasswordBinding(*t))
	}
}
