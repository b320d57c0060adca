package v1

import (
	"context"
	"encoding/base64"
	"net/http"
	"sort"
	"time"

	"github.com/pgam/pgam/internal/httpapi/face"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/target"
)

// The bodies. What is written has pointers, so that what was left out is told
// from what is empty.

type shellRow struct {
	User        string `json:"user"`
	Port        int    `json:"port"`
	HasPassword bool   `json:"has_password"`
}

type intervalsRow struct {
	ActivitySeconds  *int64 `json:"activity_seconds"`
	DatabasesSeconds *int64 `json:"databases_seconds"`
	InventorySeconds *int64 `json:"inventory_seconds"`
	SizesSeconds     *int64 `json:"sizes_seconds"`
}

type serverRow struct {
	ID             int64        `json:"id" doc:"Never reused; history belongs to it."`
	Name           string       `json:"name"`
	Host           string       `json:"host"`
	Port           int          `json:"port"`
	User           string       `json:"user"`
	Database       string       `json:"database"`
	TLSMode        string       `json:"tls_mode" enum:"disable,allow,prefer,require,verify-ca,verify-full"`
	HasPassword    bool         `json:"has_password"`
	PasswordBroken bool         `json:"password_broken" doc:"A stored password cannot be opened: set it again."`
	SSH            shellRow     `json:"ssh"`
	StatsDB        *string      `json:"stats_db" doc:"Kept for clients of the Python version."`
	PoolProfile    string       `json:"pool_profile" enum:"default,stats_db,high_load"`
	Intervals      intervalsRow `json:"intervals" doc:"Null: the collector's setting."`
	Enabled        bool         `json:"enabled" doc:"False: collection is paused."`
	CreatedAt      time.Time    `json:"created_at"`
	UpdatedAt      time.Time    `json:"updated_at"`
}

func (r routes) row(t target.Target) serverRow {
	broken := r.Roster.SecretBroken(t.ID)
	row := serverRow{
		ID: int64(t.ID), Name: t.Name, Host: t.Endpoint.Host, Port: t.Endpoint.Port, User: t.Endpoint.User,
		Database: t.Endpoint.Database, TLSMode: string(t.Endpoint.TLS),
		HasPassword: broken || !t.Endpoint.Password.IsZero(), PasswordBroken: broken,
		SSH:         shellRow{t.Shell.User, t.Shell.Port, !t.Shell.Password.IsZero()},
		PoolProfile: string(t.Pool), Enabled: t.Enabled,
		Intervals: intervalsRow{
			inSeconds(t.Intervals.Activity), inSeconds(t.Intervals.Databases), inSeconds(t.Intervals.Inventory), inSeconds(t.Intervals.Sizes),
		},
		CreatedAt: utc(t.CreatedAt), UpdatedAt: utc(t.UpdatedAt),
	}
	if t.StatsDB != "" {
		row.StatsDB = &t.StatsDB
	}
	return row
}

func inSeconds(d time.Duration) *int64 {
	if d == 0 {
		return nil
	}
	n := int64(d / time.Second)
	return &n
}

type shellChange struct {
	User     *string `json:"user,omitempty"`
	Port     *int    `json:"port,omitempty" minimum:"1" maximum:"65535"`
	Password *string `json:"password,omitempty" format:"password" doc:"Empty keeps the stored one; never returned."`
}

type intervalsChange struct {
	ActivitySeconds  *int64 `json:"activity_seconds,omitempty" minimum:"0" maximum:"60" doc:"0: the collector's setting."`
	DatabasesSeconds *int64 `json:"databases_seconds,omitempty" minimum:"0" maximum:"3600"`
	InventorySeconds *int64 `json:"inventory_seconds,omitempty" minimum:"0" maximum:"86400"`
	SizesSeconds     *int64 `json:"sizes_seconds,omitempty" minimum:"0" maximum:"604800"`
}

// ServerOptions are the fields that may be left out of any change.
type ServerOptions struct {
	Port        *int             `json:"port,omitempty" minimum:"1" maximum:"65535" doc:"5432 if never set."`
	Database    *string          `json:"database,omitempty" doc:"The one to connect to; postgres if never set."`
	TLSMode     *string          `json:"tls_mode,omitempty" enum:"disable,allow,prefer,require,verify-ca,verify-full"`
	Password    *string          `json:"password,omitempty" format:"password" doc:"Empty keeps the stored one, which another host, port, user or tls_mode needs again; never returned."`
	SSH         *shellChange     `json:"ssh,omitempty"`
	StatsDB     *string          `json:"stats_db,omitempty"`
	PoolProfile *string          `json:"pool_profile,omitempty" enum:"default,stats_db,high_load"`
	Intervals   *intervalsChange `json:"intervals,omitempty"`
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
	if o.Password != nil {
		t.Endpoint.Password = secret.New(*o.Password)
	}
	if s := o.SSH; s != nil {
		set(&t.Shell.User, s.User)
		set(&t.Shell.Port, s.Port)
		if s.Password != nil {
			t.Shell.Password = secret.New(*s.Password)
		}
	}
	set(&t.StatsDB, o.StatsDB)
	setText(&t.Pool, o.PoolProfile)
	if i := o.Intervals; i != nil {
		setSeconds(&t.Intervals.Activity, i.ActivitySeconds)
		setSeconds(&t.Intervals.Databases, i.DatabasesSeconds)
		setSeconds(&t.Intervals.Inventory, i.InventorySeconds)
		setSeconds(&t.Intervals.Sizes, i.SizesSeconds)
	}
	set(&t.Enabled, o.Enabled)
}

type listInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	Cursor string `query:"cursor" doc:"next_cursor of the page before."`
}

type serverPage struct {
	Items      []serverRow `json:"items" nullable:"false"`
	NextCursor *string     `json:"next_cursor" doc:"Null: this is the last page."`
}

func (r routes) listServers(_ context.Context, in *listInput) (*output[serverPage], error) {
	after, err := base64.RawURLEncoding.DecodeString(in.Cursor)
	if err != nil {
		return nil, face.NewError(http.StatusUnprocessableEntity, "cursor is not one that was given out")
	}
	servers := r.Roster.Servers() // by name
	first := 0
	if in.Cursor != "" {
		first = sort.Search(len(servers), func(i int) bool { return servers[i].Name > string(after) })
	}
	last := min(first+in.Limit, len(servers))
	page := serverPage{Items: make([]serverRow, 0, last-first)}
	for _, t := range servers[first:last] {
		page.Items = append(page.Items, r.row(t))
	}
	if last < len(servers) {
		next := base64.RawURLEncoding.EncodeToString([]byte(servers[last-1].Name))
		page.NextCursor = &next
	}
	return say(page), nil
}

func (r routes) createServer(ctx context.Context, in *struct{ Body serverNew }) (*output[serverRow], error) {
	t := target.Target{Name: in.Body.Name, Endpoint: target.Endpoint{Host: in.Body.Host, User: in.Body.User}, Enabled: true}
	in.Body.apply(&t)
	made, err := r.Catalog.CreateServer(ctx, t)
	if err != nil {
		return nil, err
	}
	r.Changed(ctx)
	return say(r.row(made)), nil
}

func (r routes) getServer(_ context.Context, in *ServerPath) (*output[serverRow], error) {
	t, err := r.Roster.Server(in.Name)
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
	changed, err := r.Catalog.UpdateServer(ctx, in.Name, func(t *target.Target) error {
		set(&t.Name, in.Body.Name)
		set(&t.Endpoint.Host, in.Body.Host)
		set(&t.Endpoint.User, in.Body.User)
		in.Body.apply(t)
		return nil
	})
	if err != nil {
		return nil, err
	}
	r.Changed(ctx)
	return say(r.row(changed)), nil
}

func (r routes) deleteServer(ctx context.Context, in *ServerPath) (*struct{}, error) {
	if err := r.Catalog.DeleteServer(ctx, in.Name); err != nil {
		return nil, err
	}
	r.Changed(ctx)
	return nil, nil //nolint:nilnil // 204
}

type findingRow struct {
	Name   string `json:"name" enum:"connection,version,privileges,data_directory,superuser"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail" doc:"What was found, or what is wrong and what to do."`
}

type testBody struct {
	OK              bool         `json:"ok" doc:"Nothing that matters is missing."`
	Findings        []findingRow `json:"findings" nullable:"false"`
	Version         *string      `json:"version"`
	InRecovery      *bool        `json:"in_recovery" doc:"True: a standby."`
	DurationSeconds float64      `json:"duration_seconds"`
}

func (r routes) testServer(ctx context.Context, in *ServerPath) (*output[testBody], error) {
	t, err := r.Roster.Server(in.Name)
	if err != nil {
		return nil, err
	}
	report := r.Live.Test(ctx, t)
	body := testBody{
		OK: report.OK, Version: report.Status.Version, DurationSeconds: report.Duration.Seconds(),
		Findings: make([]findingRow, len(report.Findings)),
	}
	if report.Status.Version != nil {
		body.InRecovery = &report.Status.InRecovery
	}
	for i, f := range report.Findings {
		body.Findings[i] = findingRow(f)
	}
	return say(body), nil
}
