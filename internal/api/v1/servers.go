package v1

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"sort"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/api/route"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/target"
)

// The bodies. What is written has pointers, so that what was left out is told
// from what is empty.

type shellRow struct {
	Host               *string `json:"host" doc:"Null: the server's own host."`
	User               string  `json:"user"`
	Port               int     `json:"port"`
	HasPassword        bool    `json:"has_password"`
	Key                *string `json:"key" doc:"Name of the SSH key that logs in instead of the password; null: none."`
	SecretBroken       bool    `json:"secret_broken" doc:"The stored password or key cannot be opened: set it again."`
	HostKey            *string `json:"host_key" doc:"The host's public key as it was confirmed; null: not yet."`
	HostKeyFingerprint *string `json:"host_key_fingerprint" doc:"As ssh-keygen -l shows it."`
	Tunnel             bool    `json:"tunnel" doc:"PostgreSQL is reached through SSH: host and port are as the SSH host sees them."`
}

type intervalsRow struct {
	ActivitySeconds  *int64 `json:"activity_seconds"`
	DatabasesSeconds *int64 `json:"databases_seconds"`
	InventorySeconds *int64 `json:"inventory_seconds"`
	SizesSeconds     *int64 `json:"sizes_seconds"`
	DisksSeconds     *int64 `json:"disks_seconds"`
}

type burstRow struct {
	Active             *int `json:"active" doc:"Active sessions."`
	LockWaits          *int `json:"lock_waits" doc:"Sessions that wait for a lock."`
	ConnectionsPercent *int `json:"connections_percent" doc:"Connections, in percent of max_connections."`
}

type serverRow struct {
	ID             int64        `json:"id" doc:"Never reused; history belongs to it."`
	Name           string       `json:"name"`
	Host           string       `json:"host"`
	Port           int          `json:"port"`
	User           string       `json:"user"`
	Database       string       `json:"database"`
	TLSMode        string       `json:"tls_mode" enum:"disable,allow,prefer,require,verify-ca,verify-full"`
	AllowMD5       bool         `json:"allow_md5" doc:"A server that asks for MD5, or for SCRAM of less than 4096 rounds, is answered also where TLS does not verify who it is."`
	HasPassword    bool         `json:"has_password"`
	PasswordBroken bool         `json:"password_broken" doc:"A stored password cannot be opened: set it again."`
	SSH            shellRow     `json:"ssh"`
	DiskSource     string       `json:"disk_source" enum:"auto,none,ssh,local" doc:"How the host's file systems are looked at; auto: ssh where there is an SSH user and a host to go to, none otherwise; local: pgam runs on the host."`
	StatsDB        *string      `json:"stats_db" doc:"Kept for clients of the Python version."`
	PoolProfile    string       `json:"pool_profile" enum:"default,stats_db,high_load"`
	Intervals      intervalsRow `json:"intervals" doc:"Null: the collector's setting."`
	QueryTexts     string       `json:"query_texts" enum:"normalized,full,none" doc:"How the texts of statements are kept in the history: without literals, as the server shows them, or not at all."`
	Burst          burstRow     `json:"burst" doc:"From when on the server is looked at in full detail for a while. 0: never; null: the collector's setting."`
	SessionControl *string      `json:"session_control" enum:"off,cancel,terminate" doc:"What operators may do with its sessions: nothing, cancel statements, or also end sessions; null: as PGAM_SESSION_CONTROL of the API says."`
	ControlInForce string       `json:"session_control_in_force" enum:"off,cancel,terminate" doc:"What they may do."`
	CPUCount       *int         `json:"cpu_count" doc:"Processors of the host as somebody typed in; null: as the host says, see /fleet."`
	Enabled        bool         `json:"enabled" doc:"False: collection is paused."`
	CreatedAt      time.Time    `json:"created_at"`
	UpdatedAt      time.Time    `json:"updated_at"`
}

func (r routes) row(t target.Target) serverRow {
	broken, _ := r.Live.SecretsBroken(t.ID)
	row := serverRow{
		ID: int64(t.ID), Name: t.Name, Host: t.Endpoint.Host, Port: t.Endpoint.Port, User: t.Endpoint.User,
		Database: t.Endpoint.Database, TLSMode: string(t.Endpoint.TLS), AllowMD5: t.Endpoint.AllowMD5,
		HasPassword: broken || !t.Endpoint.Password.IsZero(), PasswordBroken: broken,
		SSH:         r.shellRow(t),
		DiskSource:  diskSource(t.DiskSource),
		PoolProfile: string(t.Pool), Enabled: t.Enabled,
		Intervals: intervalsRow{
			inSeconds(t.Intervals.Activity), inSeconds(t.Intervals.Databases), inSeconds(t.Intervals.Inventory), inSeconds(t.Intervals.Sizes),
			inSeconds(t.Intervals.Disks),
		},
		QueryTexts:     string(t.QueryTexts),
		Burst:          burstRow{t.Burst.Active, t.Burst.LockWaits, t.Burst.ConnectionsPercent},
		SessionControl: textOrNull(string(t.SessionControl)), ControlInForce: string(r.control(t)), CPUCount: t.CPUs,
		CreatedAt: utc(t.CreatedAt), UpdatedAt: utc(t.UpdatedAt),
	}
	row.StatsDB = textOrNull(t.StatsDB)
	return row
}

func (r routes) shellRow(t target.Target) shellRow {
	_, broken := r.Live.SecretsBroken(t.ID)
	row := shellRow{
		Host: textOrNull(t.Shell.Host), User: t.Shell.User, Port: t.Shell.Port, Key: textOrNull(t.Shell.Key.Name),
		HasPassword: !t.Shell.Password.IsZero() || broken && t.Shell.Key.ID == 0, SecretBroken: broken,
		HostKey: textOrNull(t.Shell.HostKey), Tunnel: t.Shell.Tunnel,
	}
	if t.Shell.HostKey != "" {
		if key, err := r.Live.HostKey(t.Shell.HostKey); err == nil {
			row.HostKeyFingerprint = &key.Fingerprint
		}
	}
	return row
}

func textOrNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// diskAuto is target.DiskAuto on the wire.
const diskAuto = "auto"

func diskSource(s target.DiskSource) string {
	if s == target.DiskAuto {
		return diskAuto
	}
	return string(s)
}

func inSeconds(d time.Duration) *int64 {
	if d == 0 {
		return nil
	}
	n := int64(d / time.Second)
	return &n
}

// clearable is a text that may be left out, and that null takes away as an
// empty one does.
type clearable struct {
	text string
	sent bool
}

// Schema implements huma.SchemaProvider.
func (clearable) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Nullable: true}
}

// UnmarshalJSON implements json.Unmarshaler; it is called for null too.
func (c *clearable) UnmarshalJSON(data []byte) error {
	*c = clearable{sent: true}
	if err := json.Unmarshal(data, &c.text); err != nil {
		return errors.New("expected string or null")
	}
	return nil
}

// ShellOptions are the fields of ssh, which may be left out of any change.
type ShellOptions struct {
	Host     clearable `json:"host,omitzero" doc:"Where SSH goes; null or empty: the server's own host. Another host, port or user needs the password again, another host or port the host_key."`
	User     *string   `json:"user,omitempty" doc:"Empty: nobody logs in."`
	Port     *int      `json:"port,omitempty" minimum:"1" maximum:"65535" doc:"22 if never set."`
	Password *string   `json:"password,omitempty" format:"password" doc:"Empty keeps the stored one; never returned."`
	Key      clearable `json:"key,omitzero" doc:"Name of an SSH key that logs in instead of the password; null or empty: none."`
	HostKey  clearable `json:"host_key,omitzero" doc:"The host's public key, as the test of the server or ssh-keyscan shows it: only a host that has it is logged in to. Null or empty: not confirmed. Another one needs the passwords again that are sent to that host or through it, unless an administrator changes it." example:"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGm5JEt1qBSuL3RYh9PhcmYZmeFF3l9rnV5ZRDFSGsNO"`
	Tunnel   *bool     `json:"tunnel,omitempty" doc:"Reach PostgreSQL through SSH: host and port are then as the SSH host sees them."`
}

type intervalsChange struct {
	ActivitySeconds  *int64 `json:"activity_seconds,omitempty" minimum:"0" maximum:"60" doc:"0: the collector's setting."`
	DatabasesSeconds *int64 `json:"databases_seconds,omitempty" minimum:"0" maximum:"3600"`
	InventorySeconds *int64 `json:"inventory_seconds,omitempty" minimum:"0" maximum:"86400"`
	SizesSeconds     *int64 `json:"sizes_seconds,omitempty" minimum:"0" maximum:"604800"`
	DisksSeconds     *int64 `json:"disks_seconds,omitempty" minimum:"0" maximum:"86400"`
}

// limit is a number that may be left out, and that null gives back to the
// collector's setting.
type limit struct {
	n    *int
	sent bool
}

// Schema implements huma.SchemaProvider.
func (limit) Schema(huma.Registry) *huma.Schema {
	least := 0.0
	return &huma.Schema{Type: huma.TypeInteger, Nullable: true, Minimum: &least}
}

// UnmarshalJSON implements json.Unmarshaler; it is called for null too.
func (l *limit) UnmarshalJSON(data []byte) error {
	*l = limit{sent: true}
	if err := json.Unmarshal(data, &l.n); err != nil {
		return errors.New("expected integer or null")
	}
	return nil
}

func (l limit) apply(to **int) {
	if l.sent {
		*to = l.n
	}
}

// BurstOptions are the fields of burst, which may be left out of any change.
type BurstOptions struct {
	Active             limit `json:"active,omitzero" doc:"Active sessions, to 1000000. 0: never; null: the collector's setting."`
	LockWaits          limit `json:"lock_waits,omitzero" doc:"Sessions that wait for a lock, to 1000000."`
	ConnectionsPercent limit `json:"connections_percent,omitzero" doc:"Connections, in percent of max_connections, to 100."`
}

// ServerOptions are the fields that may be left out of any change.
type ServerOptions struct {
	Port        *int             `json:"port,omitempty" minimum:"1" maximum:"65535" doc:"5432 if never set."`
	Database    *string          `json:"database,omitempty" doc:"The one to connect to; postgres if never set."`
	TLSMode     *string          `json:"tls_mode,omitempty" enum:"disable,allow,prefer,require,verify-ca,verify-full"`
	Password    *string          `json:"password,omitempty" format:"password" doc:"Empty keeps the stored one, which another host, port, user, database, tls_mode or allow_md5 needs again; never returned."`
	AllowMD5    *bool            `json:"allow_md5,omitempty" doc:"Answer a server that asks for MD5, or for SCRAM of less than 4096 rounds, though TLS does not verify who it is (tls_mode verify-ca, verify-full): who listens or stands in for it can guess the password. False if never set."`
	SSH         *ShellOptions    `json:"ssh,omitempty"`
	DiskSource  *string          `json:"disk_source,omitempty" enum:"auto,none,ssh,local" doc:"How the host's file systems are looked at; auto: ssh where there is an SSH user and a host to go to, none otherwise; local: pgam runs on the host."`
	StatsDB     *string          `json:"stats_db,omitempty"`
	PoolProfile *string          `json:"pool_profile,omitempty" enum:"default,stats_db,high_load"`
	Intervals   *intervalsChange `json:"intervals,omitempty"`
	QueryTexts  *string          `json:"query_texts,omitempty" enum:"normalized,full,none" doc:"How the texts of statements are kept in the history: without literals (if never set), as the server shows them, or not at all. What was kept and may not be any more is removed. Only an administrator sets full."`
	Burst       *BurstOptions    `json:"burst,omitempty"`
	Control     clearable        `json:"session_control,omitzero" doc:"What operators may do with its sessions: off, cancel (statements) or terminate (sessions too); null: as PGAM_SESSION_CONTROL of the API says. Only an administrator changes it." example:"cancel"`
	CPUCount    limit            `json:"cpu_count,omitzero" doc:"Processors of the host, 1 to 65536, which counts more than what the host says: those that PostgreSQL may use, where a container or a unit has fewer; null: as the host says."`
	Enabled     *bool            `json:"enabled,omitempty"`
}

type serverNew struct {
	Name string `json:"name" minLength:"1" maxLength:"128"`
	Host string `json:"host" minLength:"1" doc:"Name, address, or absolute path of the folder of a Unix socket."`
	User string `json:"user" minLength:"1"`
	ServerOptions
}

type serverChange struct {
	Name *string `json:"name,omitempty" minLength:"1" maxLength:"128" doc:"Renames; history follows."`
	Host *string `json:"host,omitempty" minLength:"1"`
	User *string `json:"user,omitempty" minLength:"1"`
	ServerOptions
}

// isAdmin says whether an administrator asks.
func isAdmin(ctx context.Context) bool { return route.Needs(ctx, account.Admin, "") == nil }

// adminsOnly returns 403 where something is asked for, and not by an admin.
func adminsOnly(ctx context.Context, asked bool, what string) error {
	if !asked {
		return nil
	}
	return route.Needs(ctx, account.Admin, what)
}

// adminOptions returns 403 where a server gets an option that is an administrator's
// to set, and not by one.
func adminOptions(ctx context.Context, t, was target.Target) error {
	return errors.Join(
		adminsOnly(ctx, t.QueryTexts == target.TextsFull && was.QueryTexts != target.TextsFull, "query_texts full"),
		adminsOnly(ctx, t.SessionControl != was.SessionControl, "Changing session_control"))
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

func setText[T ~string](to *T, from *string) {
	if from != nil {
		*to = T(*from)
	}
}

func setSeconds(to *time.Duration, from *int64) {
	if from != nil {
		*to = time.Duration(*from) * time.Second
	}
}

func (o ServerOptions) apply(t *target.Target) {
	set(&t.Endpoint.Port, o.Port)
	set(&t.Endpoint.Database, o.Database)
	setText(&t.Endpoint.TLS, o.TLSMode)
	set(&t.Endpoint.AllowMD5, o.AllowMD5)
	if o.Password != nil {
		t.Endpoint.Password = secret.New(*o.Password)
	}
	if o.DiskSource != nil {
		t.DiskSource = target.DiskSource(*o.DiskSource)
		if *o.DiskSource == diskAuto {
			t.DiskSource = target.DiskAuto
		}
	}
	set(&t.StatsDB, o.StatsDB)
	setText(&t.Pool, o.PoolProfile)
	if i := o.Intervals; i != nil {
		setSeconds(&t.Intervals.Activity, i.ActivitySeconds)
		setSeconds(&t.Intervals.Databases, i.DatabasesSeconds)
		setSeconds(&t.Intervals.Inventory, i.InventorySeconds)
		setSeconds(&t.Intervals.Sizes, i.SizesSeconds)
		setSeconds(&t.Intervals.Disks, i.DisksSeconds)
	}
	setText(&t.QueryTexts, o.QueryTexts)
	o.CPUCount.apply(&t.CPUs)
	if o.Control.sent {
		t.SessionControl = target.SessionControl(o.Control.text)
	}
	if b := o.Burst; b != nil {
		b.Active.apply(&t.Burst.Active)
		b.LockWaits.apply(&t.Burst.LockWaits)
		b.ConnectionsPercent.apply(&t.Burst.ConnectionsPercent)
	}
	set(&t.Enabled, o.Enabled)
}

// applyShell writes what is sent of ssh over a server.
func (r routes) applyShell(s *ShellOptions, t *target.Target) error {
	if s == nil {
		return nil
	}
	if s.Host.sent {
		t.Shell.Host = s.Host.text
	}
	set(&t.Shell.User, s.User)
	set(&t.Shell.Port, s.Port)
	if s.Password != nil {
		t.Shell.Password = secret.New(*s.Password)
	}
	if s.Key.sent {
		t.Shell.Key = target.ShellKey{Name: s.Key.text}
	}
	if s.HostKey.sent {
		t.Shell.HostKey = s.HostKey.text
		if s.HostKey.text != "" {
			key, err := r.Live.HostKey(s.HostKey.text)
			if err != nil {
				return err
			}
			t.Shell.HostKey = key.Line
		}
	}
	set(&t.Shell.Tunnel, s.Tunnel)
	return nil
}

// knownKey refuses a key that is none, with the status of a reference that
// leads nowhere.
func (r routes) knownKey(ctx context.Context, s *ShellOptions) error {
	if s == nil || s.Key.text == "" {
		return nil
	}
	_, err := r.Catalog.SSHKey(ctx, s.Key.text)
	if errors.Is(err, target.ErrKeyNotFound) {
		return route.NewError(http.StatusBadRequest, "ssh.key is not the name of an SSH key: make or import it first")
	}
	return err
}

type listInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	Cursor string `query:"cursor" doc:"next_cursor of the page before."`
}

// after gives the name that the page begins behind; empty: with the first.
func (in *listInput) after() (string, error) {
	name, err := base64.RawURLEncoding.DecodeString(in.Cursor)
	if err != nil {
		return "", errCursor
	}
	return string(name), nil
}

// pageOf cuts a page out of a list that is sorted by name; next is nil for the
// last.
func pageOf[T any](list []T, name func(T) string, after string, limit int) (page []T, next *string) {
	first := 0
	if after != "" {
		first = sort.Search(len(list), func(i int) bool { return name(list[i]) > after })
	}
	last := min(first+limit, len(list))
	if last < len(list) {
		cursor := base64.RawURLEncoding.EncodeToString([]byte(name(list[last-1])))
		next = &cursor
	}
	return list[first:last], next
}

type serverPage struct {
	Items      []serverRow `json:"items" nullable:"false"`
	NextCursor *string     `json:"next_cursor" doc:"Null: this is the last page."`
}

func (r routes) listServers(_ context.Context, in *listInput) (*output[serverPage], error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	servers, next := pageOf(r.Live.Servers(), func(t target.Target) string { return t.Name }, after, in.Limit)
	page := serverPage{Items: make([]serverRow, len(servers)), NextCursor: next}
	for i, t := range servers {
		page.Items[i] = r.row(t)
	}
	return say(page), nil
}

func (r routes) createServer(ctx context.Context, in *struct{ Body serverNew }) (*output[serverRow], error) {
	t := target.Target{Name: in.Body.Name, Endpoint: target.Endpoint{Host: in.Body.Host, User: in.Body.User}, Enabled: true}
	in.Body.apply(&t)
	if err := adminOptions(ctx, t, target.Target{}); err != nil {
		return nil, err
	}
	if err := errors.Join(r.knownKey(ctx, in.Body.SSH), r.applyShell(in.Body.SSH, &t)); err != nil {
		return nil, err
	}
	made, err := r.Catalog.CreateServer(ctx, t)
	if err != nil {
		return nil, err
	}
	r.Changed(ctx)
	return say(r.row(made)), nil
}

func (r routes) getServer(_ context.Context, in *ServerPath) (*output[serverRow], error) {
	t, err := r.Live.Server(in.Name)
	if err != nil {
		return nil, err
	}
	return say(r.row(t)), nil
}

type changeInput struct {
	ServerPath
	Body serverChange
}

func (r routes) changeServer(ctx context.Context, in *changeInput) (*output[serverRow], error) {
	if err := r.knownKey(ctx, in.Body.SSH); err != nil {
		return nil, err
	}
	changed, err := r.Catalog.UpdateServer(ctx, in.Name, func(t *target.Target) error {
		set(&t.Name, in.Body.Name)
		set(&t.Endpoint.Host, in.Body.Host)
		set(&t.Endpoint.User, in.Body.User)
		was := *t
		in.Body.apply(t)
		if err := adminOptions(ctx, *t, was); err != nil {
			return err
		}
		t.Shell.HostKeyVouched = isAdmin(ctx)
		return r.applyShell(in.Body.SSH, t)
	})
	if err != nil {
		return nil, err
	}
	r.Changed(ctx)
	return say(r.row(changed)), nil
}

type deleteInput struct {
	ServerPath
	Purge bool `query:"purge" doc:"Remove the history too, instead of leaving it to retention: for administrators."`
}

func (r routes) deleteServer(ctx context.Context, in *deleteInput) (*struct{}, error) {
	if err := route.MayPurge(ctx, in.Purge); err != nil {
		return nil, err
	}
	if err := r.Catalog.DeleteServer(ctx, in.Name, in.Purge); err != nil {
		return nil, err
	}
	r.Changed(ctx)
	return nil, nil
}
