package compat

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pgam/pgam/internal/live"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/target"
)

// port is a port as clients send it: a number, or one in a string.
type port int

// Schema implements huma.SchemaProvider.
func (port) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		OneOf:    []*huma.Schema{{Type: "integer", Format: "int32"}, {Type: "string", Pattern: `^\s*-?[0-9]{1,9}\s*$`}},
		Examples: []any{5432},
	}
}

// UnmarshalJSON implements json.Unmarshaler.
func (p *port) UnmarshalJSON(data []byte) error {
	text := string(data)
	var quoted string
	if json.Unmarshal(data, &quoted) == nil {
		text = quoted
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return errors.New("a port must be a whole number")
	}
	*p = port(n)
	return nil
}

// serverBody is what a client sends. Fields that it does not name are ignored:
// clients send back whole rows.
type serverBody struct {
	_           struct{} `json:"-" additionalProperties:"true"`
	Name        string   `json:"name"`
	Host        string   `json:"host" doc:"Name, address, or absolute path of the folder of a Unix socket."`
	StatsDB     *string  `json:"stats_db,omitempty" doc:"Kept and returned." nullable:"true"`
	User        string   `json:"user"`
	Password    *string  `json:"password,omitempty" doc:"Empty keeps the stored one, which another host, port or user needs again. Never returned." format:"password" nullable:"true"`
	Port        port     `json:"port"`
	SSHUser     *string  `json:"ssh_user,omitempty" nullable:"true"`
	SSHPassword *string  `json:"ssh_password,omitempty" doc:"As password." format:"password" nullable:"true"`
	SSHPort     *port    `json:"ssh_port,omitempty" doc:"22 if left out."`
}

// apply writes the body over a server; an empty password leaves it out.
func (b serverBody) apply(t *target.Target) {
	t.Name, t.Endpoint.Host, t.Endpoint.Port, t.Endpoint.User = b.Name, b.Host, int(b.Port), b.User
	t.StatsDB, t.Shell.User, t.Shell.Port = orEmpty(b.StatsDB), orEmpty(b.SSHUser), 22
	if b.SSHPort != nil {
		t.Shell.Port = int(*b.SSHPort)
	}
	t.Endpoint.Password, t.Shell.Password = secret.New(orEmpty(b.Password)), secret.New(orEmpty(b.SSHPassword))
	switch {
	case t.StatsDB != "" && (t.Pool == target.PoolDefault || t.Pool == ""):
		t.Pool = target.PoolStatsDB
	case t.StatsDB == "" && t.Pool == target.PoolStatsDB:
		t.Pool = target.PoolDefault
	}
}

func orEmpty(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

// serverRow is a server with its status. The order of the fields is the
// contract's.
type serverRow struct {
	Name           string           `json:"name"`
	Host           string           `json:"host"`
	User           string           `json:"user"`
	Port           int              `json:"port"`
	SSHUser        string           `json:"ssh_user"`
	SSHPort        int              `json:"ssh_port"`
	HasPassword    bool             `json:"has_password"`
	HasSSHPassword bool             `json:"has_ssh_password"`
	Version        *string          `json:"version"`
	FreeSpace      *int64           `json:"free_space" doc:"Bytes free on the file system of the data directory; null: unknown."`
	TotalSpace     *int64           `json:"total_space" doc:"Bytes of the file system of the data directory; null: unknown."`
	Connections    map[string]int64 `json:"connections" doc:"Client backends by state, the monitor's own left out; null: unknown."`
	UptimeHours    *float64         `json:"uptime_hours"`
	StatsDB        *string          `json:"stats_db"`
	Status         string           `json:"status" doc:"ok, or PostgreSQL: and what is wrong."`
	DataDir        *string          `json:"data_dir"`
}

// TransformSchema implements huma.SchemaTransformer: the framework takes maps
// for never null.
func (serverRow) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	s.Properties["connections"].Nullable = true
	return s
}

func (r routes) row(t target.Target, s live.Status) serverRow {
	broken := r.Roster.SecretBroken(t.ID)
	row := serverRow{
		Name: t.Name, Host: t.Endpoint.Host, User: t.Endpoint.User, Port: t.Endpoint.Port,
		SSHUser: t.Shell.User, SSHPort: t.Shell.Port,
		HasPassword: broken || !t.Endpoint.Password.IsZero(), HasSSHPassword: !t.Shell.Password.IsZero(),
		Version: s.Version, Connections: s.Connections, DataDir: s.DataDir, Status: s.Explanation,
	}
	if s.Reason != 0 {
		row.Status = "PostgreSQL: " + s.Explanation
	}
	if t.StatsDB != "" {
		row.StatsDB = &t.StatsDB
	}
	if s.Uptime != nil {
		hours := round2(s.Uptime.Hours())
		row.UptimeHours = &hours
	}
	return row
}

func (r routes) listServers(ctx context.Context, _ *struct{}) (*output[[]serverRow], error) {
	servers := r.Roster.Servers()
	rows := make([]serverRow, len(servers))
	for i, status := range r.Live.Statuses(ctx, servers) {
		rows[i] = r.row(servers[i], status)
	}
	return say(rows), nil
}

// changed answers with the row of a server that was just changed.
func (r routes) changed(ctx context.Context, t target.Target) *output[serverRow] {
	r.Changed(ctx)
	return say(r.row(t, r.Live.Statuses(ctx, []target.Target{t})[0]))
}

type addServerInput struct {
	Body serverBody
}

func (r routes) addServer(ctx context.Context, in *addServerInput) (*output[serverRow], error) {
	t := target.Target{Enabled: true}
	in.Body.apply(&t)
	made, err := r.Catalog.CreateServer(ctx, t)
	if err != nil {
		return nil, err
	}
	return r.changed(ctx, made), nil
}

// ServerPath is the server that an operation is about.
type ServerPath struct {
	ServerName string `path:"server_name" doc:"The server's name."`
}

type updateServerInput struct {
	ServerPath
	Body serverBody
}

func (r routes) updateServer(ctx context.Context, in *updateServerInput) (*output[serverRow], error) {
	updated, err := r.Catalog.UpdateServer(ctx, in.ServerName, func(t *target.Target) error {
		in.Body.apply(t)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return r.changed(ctx, updated), nil
}

type messageBody struct {
	Message string `json:"message"`
}

func (r routes) deleteServer(ctx context.Context, in *struct{ ServerPath }) (*output[messageBody], error) {
	if err := r.Catalog.DeleteServer(ctx, in.ServerName); err != nil {
		return nil, err
	}
	r.Changed(ctx)
	return say(messageBody{"Server " + in.ServerName + " deleted"}), nil
}

type sessionRow struct {
	PID      int32   `json:"pid"`
	UserName *string `json:"usename"`
	DatName  *string `json:"datname"`
	Query    *string `json:"query"`
	State    string  `json:"state"`
}

type sessionsBody struct {
	Queries []sessionRow `json:"queries" nullable:"false"`
}

func (r routes) serverSessions(ctx context.Context, in *struct{ ServerPath }) (*output[sessionsBody], error) {
	t, err := r.Roster.Server(in.ServerName)
	if err != nil {
		return nil, err
	}
	activity, err := r.Live.Activity(ctx, t, true)
	if err != nil {
		return nil, err
	}
	body := sessionsBody{Queries: make([]sessionRow, 0, len(activity.Sessions))}
	for _, s := range activity.Sessions {
		if s.State != nil {
			body.Queries = append(body.Queries, sessionRow{s.PID, s.User, s.Database, s.Query, *s.State})
		}
	}
	return say(body), nil
}
