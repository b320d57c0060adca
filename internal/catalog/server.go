package catalog

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

// serverRow is a row of pgam.server with the SSH key bound to it. Its JSON form
// is the collector's offline copy: it holds ciphertext only, and all that is
// needed to open it but the keyring.
type serverRow struct {
	ID          int64     `db:"id"                         json:"id"`
	Name        string    `db:"name"                       json:"name"`
	Host        string    `db:"host"                       json:"host"`
	Port        int       `db:"port"                       json:"port"`
	User        string    `db:"user_name"                  json:"user_name"`
	Database    string    `db:"database_name"              json:"database_name"`
	TLS         string    `db:"tls_mode"                   json:"tls_mode"`
	AllowMD5    bool      `db:"allow_md5"                  json:"allow_md5"`
	Password    []byte    `db:"password_sealed"            json:"password_sealed"`
	SSHHost     string    `db:"ssh_host"                   json:"ssh_host"`
	SSHUser     string    `db:"ssh_user"                   json:"ssh_user"`
	SSHPort     int       `db:"ssh_port"                   json:"ssh_port"`
	SSHPassword []byte    `db:"ssh_password_sealed"        json:"ssh_password_sealed"`
	SSHKeyID    *int64    `db:"ssh_key_id"                 json:"ssh_key_id"`
	SSHKey      *string   `db:"ssh_key_name"               json:"ssh_key_name"` // null: there is none of this id
	Private     []byte    `db:"ssh_key_private_sealed"     json:"ssh_key_private_sealed"`
	Passphrase  []byte    `db:"ssh_key_passphrase_sealed"  json:"ssh_key_passphrase_sealed"`
	SSHHostKey  string    `db:"ssh_host_key"               json:"ssh_host_key"`
	SSHTunnel   bool      `db:"ssh_tunnel"                 json:"ssh_tunnel"`
	StatsDB     *string   `db:"stats_db"                   json:"stats_db"`
	Pool        string    `db:"pool_profile"               json:"pool_profile"`
	DiskSource  string    `db:"disk_source"                json:"disk_source"`
	Activity    *int64    `db:"activity_interval_seconds"  json:"activity_interval_seconds"`
	Databases   *int64    `db:"databases_interval_seconds" json:"databases_interval_seconds"`
	Inventory   *int64    `db:"inventory_interval_seconds" json:"inventory_interval_seconds"`
	Sizes       *int64    `db:"sizes_interval_seconds"     json:"sizes_interval_seconds"`
	Disks       *int64    `db:"disks_interval_seconds"     json:"disks_interval_seconds"`
	QueryTexts  string    `db:"query_texts"                json:"query_texts"`
	BurstActive *int      `db:"burst_active"               json:"burst_active"`
	BurstLocks  *int      `db:"burst_lock_waits"           json:"burst_lock_waits"`
	BurstShare  *int      `db:"burst_connections_percent"  json:"burst_connections_percent"`
	Control     *string   `db:"session_control"            json:"session_control"`
	CPUs        *int      `db:"cpu_count"                  json:"cpu_count"`
	Enabled     bool      `db:"enabled"                    json:"enabled"`
	Revision    int64     `db:"revision"                   json:"revision"`
	CreatedAt   time.Time `db:"created_at"                 json:"created_at"`
	UpdatedAt   time.Time `db:"updated_at"                 json:"updated_at"`
}

const selectServers = `
select s.id, s.name, s.host, s.port, s.user_name, s.database_name, s.tls_mode, s.allow_md5, s.password_sealed,
       s.ssh_host, s.ssh_user, s.ssh_port, s.ssh_password_sealed, s.ssh_key_id, s.ssh_host_key, s.ssh_tunnel,
       k.name as ssh_key_name, k.private_sealed as ssh_key_private_sealed, k.passphrase_sealed as ssh_key_passphrase_sealed,
       s.stats_db, s.pool_profile, s.disk_source, s.activity_interval_seconds, s.databases_interval_seconds,
       s.inventory_interval_seconds, s.sizes_interval_seconds, s.disks_interval_seconds,
       s.query_texts, s.burst_active, s.burst_lock_waits, s.burst_connections_percent,
       s.session_control, s.cpu_count, s.enabled, s.revision, s.created_at, s.updated_at
  from pgam.server s
  left join pgam.ssh_key k on k.id = s.ssh_key_id`

const serversSQL = `/* pgam:servers */` + selectServers + `
 where s.deleted_at is null
 order by s.name collate "C"`

const serverByIDSQL = `/* pgam:server */` + selectServers + `
 where s.id = $1
   and s.deleted_at is null`

const serverSQL = `/* pgam:server */` + selectServers + `
 where s.name = $1
   and s.deleted_at is null`

//go:embed sql/server_create.sql
var createServerSQL string

//go:embed sql/server_update.sql
var updateServerSQL string

// Changes of servers and of SSH keys are made one at a time, so that revisions
// become visible in the order in which they were drawn: a reader that has seen one
// has seen all before it.
const lockServersSQL = `/* pgam:server_lock */ lock table pgam.server in share row exclusive mode`

// ListServers gives every server that was not deleted, by name, with its
// secrets and its SSH key opened. A server of which one does not open is listed
// without that one, and its fault, a *target.SecretsError that wraps
// secret.ErrSealBroken, is in faults.
func (c *Catalog) ListServers(ctx context.Context) (targets []target.Target, faults map[target.ID]error, err error) {
	rows, err := c.serverRows(ctx)
	if err != nil {
		return nil, nil, err
	}
	targets, faults = c.openRows(rows)
	return targets, faults, nil
}

func (c *Catalog) serverRows(ctx context.Context) ([]serverRow, error) {
	rows, _ := c.pool.Query(ctx, serversSQL) // its error is in rows
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[serverRow])
	if err != nil {
		return nil, fmt.Errorf("list servers: %w", statsdb.Classify(err))
	}
	return list, nil
}

func (c *Catalog) openRows(rows []serverRow) ([]target.Target, map[target.ID]error) {
	targets := make([]target.Target, 0, len(rows))
	faults := map[target.ID]error{}
	for _, row := range rows {
		t, err := c.openRow(row)
		if err != nil {
			faults[t.ID] = err
		}
		targets = append(targets, t)
	}
	return targets, faults
}

// Server gives the server of this name. The error is target.ErrNotFound, or
// is a *target.SecretsError that wraps secret.ErrSealBroken, and then the server
// is given without the secrets that do not open.
func (c *Catalog) Server(ctx context.Context, name string) (target.Target, error) {
	row, err := serverNamed(ctx, c.pool, name)
	if err != nil {
		return target.Target{}, err
	}
	return c.openRow(row)
}

// rowQuerier is a pool or a transaction.
type rowQuerier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func serverNamed(ctx context.Context, q rowQuerier, name string) (serverRow, error) {
	if target.ValidateName(name) != nil {
		return serverRow{}, target.ErrNotFound
	}
	return oneServer(ctx, q, serverSQL, name)
}

func serverByID(ctx context.Context, q rowQuerier, id target.ID) (serverRow, error) {
	return oneServer(ctx, q, serverByIDSQL, id)
}

func oneServer(ctx context.Context, q rowQuerier, sql string, key any) (serverRow, error) {
	rows, _ := q.Query(ctx, sql, key) // its error is in rows
	row, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[serverRow])
	if errors.Is(err, pgx.ErrNoRows) {
		return serverRow{}, target.ErrNotFound
	}
	if err != nil {
		return serverRow{}, fmt.Errorf("read server: %w", statsdb.Classify(err))
	}
	return row, nil
}

// CreateServer stores a new server and gives it as stored. An SSH key is bound
// by its ID or its Name. The error wraps target.ErrInvalid or is
// target.ErrConflict.
func (c *Catalog) CreateServer(ctx context.Context, t target.Target) (target.Target, error) {
	t.Defaults()
	if err := t.Validate(); err != nil {
		return target.Target{}, err
	}
	err := c.changeServers(ctx, func(tx pgx.Tx) error {
		var err error
		if t.Shell.Key, err = c.bindKey(ctx, tx, target.ShellKey{}, t.Shell.Key); err != nil {
			return err
		}
		err = tx.QueryRow(ctx, createServerSQL, serverArguments(t)).Scan(&t.ID, &t.Revision, &t.CreatedAt, &t.UpdatedAt)
		if err != nil {
			return err
		}
		return c.sealSecrets(ctx, tx, t, false)
	})
	if err != nil {
		return target.Target{}, serverChangeError("create server", err)
	}
	return inUTC(t), nil
}

// UpdateServer lets change edit the server of this name and stores the result.
// change is given the server without its passwords: one that it leaves empty
// keeps the stored one. A stored password belongs to the address it was given
// for, so a change of the host, port, user, database or TLS mode, of whether MD5
// is answered, or of the SSH host that a tunnel goes through, needs it again:
// without it the error wraps target.ErrInvalid, as for any other fault of the
// result. Another pinned host key needs the passwords again that are sent to that
// host or through it, unless change says that it is vouched for. Another SSH host
// or port drops the pinned host key, unless change brings another one. An SSH key
// is bound by its ID or its Name; the zero ShellKey unbinds. The other errors are
// target.ErrNotFound, target.ErrConflict for a new name that is taken, and what
// change returns.
func (c *Catalog) UpdateServer(ctx context.Context, name string, change func(*target.Target) error) (target.Target, error) {
	var t target.Target
	err := c.changeServers(ctx, func(tx pgx.Tx) error {
		row, err := serverNamed(ctx, tx, name)
		if err != nil {
			return err
		}
		old := row.target()
		t = old
		if err := change(&t); err != nil {
			return refusedError{err}
		}
		t.ID, t.CreatedAt = old.ID, old.CreatedAt
		t.Defaults()
		if shellPlace(t) != shellPlace(old) && t.Shell.HostKey == old.Shell.HostKey {
			t.Shell.HostKey = ""
		}
		if t.Shell.HostKeyVouched {
			c.carry(row, old, &t)
			t.Shell.HostKeyVouched = false
		}
		if err := errors.Join(t.Validate(), row.keeps(old, t)); err != nil {
			return err
		}
		if t.Shell.Key, err = c.bindKey(ctx, tx, old.Shell.Key, t.Shell.Key); err != nil {
			return err
		}
		columns := serverArguments(t)
		columns["id"] = t.ID
		if err := tx.QueryRow(ctx, updateServerSQL, columns).Scan(&t.Revision, &t.UpdatedAt); err != nil {
			return err
		}
		if err := c.sealSecrets(ctx, tx, t, forgetsShell(old, t)); err != nil {
			return err
		}
		c.keepSecrets(&t, row)
		return nil
	})
	if err != nil {
		return target.Target{}, serverChangeError("update server", err)
	}
	return inUTC(t), nil
}

// PinHostKey pins the key that an SSH host has shown, in the form that
// target.ValidateHostKey accepts. It pins nothing, and says so, where a key is
// pinned already, or where SSH goes to another host or port than it did for t,
// which is the server as it was when it was asked. The stored passwords are sealed
// anew for a host that shows the key: whoever calls answers for it.
func (c *Catalog) PinHostKey(ctx context.Context, t target.Target, hostKey string) (pinned bool, err error) {
	if err := target.ValidateHostKey(hostKey); err != nil {
		return false, err
	}
	err = c.changeServers(ctx, func(tx pgx.Tx) error {
		const sql = `/* pgam:server_pin */
update pgam.server
   set ssh_host_key = $2, revision = nextval('pgam.revision'), updated_at = now()
 where id = $1
   and deleted_at is null
   and ssh_host_key = ''
   and coalesce(nullif(ssh_host, ''), host) = $3
   and ssh_port = $4`
		tag, err := tx.Exec(ctx, sql, t.ID, hostKey, t.ShellHost(), t.Shell.Port)
		if pinned = tag.RowsAffected() > 0; err != nil || !pinned {
			return err
		}
		row, err := serverByID(ctx, tx, t.ID)
		if err != nil {
			return err
		}
		now := row.target()
		was := now
		was.Shell.HostKey = ""
		c.carry(row, was, &now)
		return c.sealSecrets(ctx, tx, now, false)
	})
	if err != nil {
		return false, serverChangeError("pin host key", err)
	}
	return pinned, nil
}

// DeleteServer hides the server of this name, forgets its secrets and unbinds its
// SSH key; the name is free at once. Its history is left to retention or, with
// purge, to PurgeDeleted. The error is target.ErrNotFound if there is none.
func (c *Catalog) DeleteServer(ctx context.Context, name string, purge bool) error {
	if target.ValidateName(name) != nil {
		return target.ErrNotFound
	}
	err := c.changeServers(ctx, func(tx pgx.Tx) error {
		const sql = `/* pgam:server_delete */
update pgam.server
   set deleted_at = now(), updated_at = now(), revision = nextval('pgam.revision'), purge = $2,
       password_sealed = null, ssh_password_sealed = null, ssh_key_id = null
 where name = $1
   and deleted_at is null`
		tag, err := tx.Exec(ctx, sql, name, purge)
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

// ServersRevision gives a number that grows with every change of any server or
// setting; zero when there never was one. It is cheap enough to be asked every second.
func (c *Catalog) ServersRevision(ctx context.Context) (int64, error) {
	var revision int64
	const sql = `/* pgam:servers_revision */
select coalesce(greatest((select max(revision) from pgam.server), (select max(revision) from pgam.setting)), 0)`
	err := c.pool.QueryRow(ctx, sql).Scan(&revision)
	if err != nil {
		return 0, fmt.Errorf("read revision of servers: %w", statsdb.Classify(err))
	}
	return revision, nil
}

// SealedServers gives all servers as one opaque text for OpenServers, with
// their secrets still sealed, and the revision it stands for or an earlier one.
func (c *Catalog) SealedServers(ctx context.Context) (data []byte, revision int64, err error) {
	// The revision first: a change in between is then only read again.
	if revision, err = c.ServersRevision(ctx); err != nil {
		return nil, 0, err
	}
	rows, err := c.serverRows(ctx)
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
func (c *Catalog) OpenServers(data []byte) (targets []target.Target, faults map[target.ID]error, err error) {
	var rows []serverRow
	if err := json.Unmarshal(data, &rows); err != nil {
		return nil, nil, errors.New("decode servers: the copy is damaged")
	}
	targets, faults = c.openRows(rows)
	return targets, faults, nil
}

// changeServers runs change in a transaction that no other change of servers
// runs beside.
func (c *Catalog) changeServers(ctx context.Context, change func(pgx.Tx) error) error {
	return c.db.Change(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockServersSQL); err != nil {
			return err
		}
		return change(tx)
	})
}

// refusedError is what the caller's own part of a change returned: no fault of
// stats_db.
type refusedError struct{ error }

func serverChangeError(what string, err error) error {
	if refused, ok := errors.AsType[refusedError](err); ok {
		return refused.error
	}
	switch {
	case statsdb.IsUnique(err, "server_name_key"):
		return target.ErrConflict
	case errors.Is(err, target.ErrNotFound), errors.Is(err, target.ErrInvalid), errors.Is(err, target.ErrConflict):
		return err
	}
	return fmt.Errorf("%s: %w", what, statsdb.Classify(err))
}

// serverArguments gives the columns that people set, but for the secrets.
func serverArguments(t target.Target) pgx.StrictNamedArgs {
	return pgx.StrictNamedArgs{
		"name": t.Name, "host": t.Endpoint.Host, "port": t.Endpoint.Port, "user_name": t.Endpoint.User, "database_name": t.Endpoint.Database,
		"tls_mode": string(t.Endpoint.TLS), "allow_md5": t.Endpoint.AllowMD5,
		"ssh_host": t.Shell.Host, "ssh_user": t.Shell.User, "ssh_port": t.Shell.Port, "ssh_key_id": orNil(int64(t.Shell.Key.ID)),
		"ssh_host_key": t.Shell.HostKey, "ssh_tunnel": t.Shell.Tunnel,
		"stats_db": orNil(t.StatsDB), "pool_profile": string(t.Pool), "disk_source": string(t.DiskSource),
		"activity_interval_seconds":  wholeSeconds(t.Intervals.Activity),
		"databases_interval_seconds": wholeSeconds(t.Intervals.Databases),
		"inventory_interval_seconds": wholeSeconds(t.Intervals.Inventory),
		"sizes_interval_seconds":     wholeSeconds(t.Intervals.Sizes),
		"disks_interval_seconds":     wholeSeconds(t.Intervals.Disks),
		"query_texts":                string(t.QueryTexts),
		"burst_active":               t.Burst.Active, "burst_lock_waits": t.Burst.LockWaits, "burst_connections_percent": t.Burst.ConnectionsPercent,
		"session_control": orNil(string(t.SessionControl)), "cpu_count": t.CPUs, "enabled": t.Enabled,
	}
}

// orNil stores the zero value as null.
func orNil[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

func wholeSeconds(d time.Duration) *int64 { return orNil(int64(d / time.Second)) }

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
			Host: r.Host, Port: r.Port, User: r.User, Database: r.Database, TLS: target.TLSMode(r.TLS), AllowMD5: r.AllowMD5,
		},
		Shell: target.Shell{
			Host: r.SSHHost, User: r.SSHUser, Port: r.SSHPort, HostKey: r.SSHHostKey, Tunnel: r.SSHTunnel,
		},
		Intervals: target.Intervals{
			Activity: fromSeconds(r.Activity), Databases: fromSeconds(r.Databases),
			Inventory: fromSeconds(r.Inventory), Sizes: fromSeconds(r.Sizes), Disks: fromSeconds(r.Disks),
		},
		Pool:       target.PoolProfile(r.Pool),
		DiskSource: target.DiskSource(r.DiskSource),
		QueryTexts: target.QueryTexts(r.QueryTexts),
		Burst:      target.Burst{Active: r.BurstActive, LockWaits: r.BurstLocks, ConnectionsPercent: r.BurstShare},
		CPUs:       r.CPUs,
		Enabled:    r.Enabled,
		Revision:   r.Revision,
		CreatedAt:  r.CreatedAt,
		UpdatedAt:  r.UpdatedAt,
	}
	if t.QueryTexts == "" { // a copy that an older version made
		t.QueryTexts = target.TextsNormalized
	}
	if r.SSHKeyID != nil {
		t.Shell.Key.ID = target.KeyID(*r.SSHKeyID)
	}
	if r.SSHKey != nil {
		t.Shell.Key.Name = *r.SSHKey
	}
	if r.StatsDB != nil {
		t.StatsDB = *r.StatsDB
	}
	if r.Control != nil {
		t.SessionControl = target.SessionControl(*r.Control)
	}
	return inUTC(t)
}

// Backdate says that a server was added at an instant, if it was not added
// before: what is loaded of an earlier time was promised.
func (c *Catalog) Backdate(ctx context.Context, id target.ID, at time.Time) error {
	err := c.changeServers(ctx, func(tx pgx.Tx) error {
		const sql = `/* pgam:server_backdate */
update pgam.server
   set created_at = $2, revision = nextval('pgam.revision')
 where id = $1
   and created_at > $2`
		_, err := tx.Exec(ctx, sql, id, at)
		return err
	})
	if err != nil {
		return serverChangeError("backdate server", err)
	}
	return nil
}
