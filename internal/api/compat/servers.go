package compat

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pgam/pgam/internal/api/route"
	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/live"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/target"
)

// port is a port as clients send it: a number, or one in a string.
type port int

// Schema implements huma.SchemaProvider.
func (port) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		OneOf:    []*huma.Schema{{Type: "integer", Format: "int32"}, {Type: "string", Pattern: `^\s*[-+]?[0-9]{1,9}\s*$`}},
		Examples: []any{5432},
	}
}

// UnmarshalJSON implements json.Unmarshaler.
func (p *port) UnmarshalJSON(data []byte) error {
	text := string(data)
	var quoted string
	if json.Unmarshal(data, &quoted) == nil {
		text = strings.TrimSpace(quoted)
	} else if whole, ok := strings.CutSuffix(text, ".0"); ok {
		text = whole // as some languages write a whole number
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return errors.New("this must be a whole number")
	}
	*p = port(n)
	return nil
}

// keyID is the number of an SSH key as clients send it: a number, or one in a
// string, or null.
type keyID port

// Schema implements huma.SchemaProvider.
func (keyID) Schema(r huma.Registry) *huma.Schema {
	s := port(0).Schema(r)
	s.OneOf[0].Nullable, s.Examples = true, nil
	return s
}

// UnmarshalJSON implements json.Unmarshaler.
func (k *keyID) UnmarshalJSON(data []byte) error { return (*port)(k).UnmarshalJSON(data) }

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
	SSHAuthType *string  `json:"ssh_auth_type,omitempty" enum:"password,key" nullable:"true" doc:"Of the later version: key binds ssh_key_id, password unbinds it, and nothing changes nothing."`
	SSHKeyID    *keyID   `json:"ssh_key_id,omitempty" doc:"Number of a key of /api/ssh-keys."`
}

// apply writes the body over a server; an empty password leaves it out.
func (b serverBody) apply(t *target.Target) error {
	t.Name, t.Endpoint.Host, t.Endpoint.Port, t.Endpoint.User = b.Name, b.Host, int(b.Port), b.User
	t.StatsDB, t.Shell.User, t.Shell.Port = orEmpty(b.StatsDB), orEmpty(b.SSHUser), 22
	if b.SSHPort != nil {
		t.Shell.Port = int(*b.SSHPort)
	}
	t.Endpoint.Password, t.Shell.Password = secret.New(orEmpty(b.Password)), secret.New(orEmpty(b.SSHPassword))
	switch orEmpty(b.SSHAuthType) {
	case byKey:
		if b.SSHKeyID == nil || *b.SSHKeyID <= 0 {
			return route.NewError(http.StatusUnprocessableEntity, "ssh_auth_type is key: send the number of a key in ssh_key_id, see GET /api/ssh-keys")
		}
		t.Shell.Key = target.ShellKey{ID: target.KeyID(*b.SSHKeyID)}
	case byPassword:
		t.Shell.Key = target.ShellKey{}
	}
	switch {
	case t.StatsDB != "" && (t.Pool == target.PoolDefault || t.Pool == ""):
		t.Pool = target.PoolStatsDB
	case t.StatsDB == "" && t.Pool == target.PoolStatsDB:
		t.Pool = target.PoolDefault
	}
	return nil
}

func orEmpty(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

// serverRow is a server with its status. The order of the fields is the
// contract's. The Python version added a seventeenth, timestamp, to rows that
// came from its cache: what leaked out of it is left out.
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
	Status         string           `json:"status" doc:"ok; ok (SSH: why the disks could not be seen), and then free_space and total_space are of the newest sample of the last day; or PostgreSQL: and what is wrong."`
	DataDir        *string          `json:"data_dir"`
	// What follows is of the later version.
	SSHAuthType string            `json:"ssh_auth_type" enum:"password,key"`
	SSHKeyID    *int64            `json:"ssh_key_id" doc:"Number of the key of /api/ssh-keys that logs in; null: a password does."`
	SSHKeyInfo  map[string]string `json:"ssh_key_info" doc:"The key's name; null: a password logs in."`
}

// TransformSchema implements huma.SchemaTransformer: the framework takes maps
// for never null.
func (serverRow) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	s.Properties["connections"].Nullable = true
	s.Properties["ssh_key_info"].Nullable = true
	return s
}

// row shapes a server. sampled is what history knows of the disks where they
// could not be seen.
func (r routes) row(t target.Target, v live.View, sampled []history.Disk) serverRow {
	passwordBroken, shellBroken := r.Live.SecretsBroken(t.ID)
	row := serverRow{
		Name: t.Name, Host: t.Endpoint.Host, User: t.Endpoint.User, Port: t.Endpoint.Port,
		SSHUser: t.Shell.User, SSHPort: t.Shell.Port,
		HasPassword:    passwordBroken || !t.Endpoint.Password.IsZero(),
		HasSSHPassword: !t.Shell.Password.IsZero() || shellBroken && t.Shell.Key.ID == 0,
		Version:        v.Version, Connections: v.Connections, DataDir: v.DataDir, Status: v.Explanation, SSHAuthType: shellAuth(t),
	}
	switch {
	case v.Reason != 0:
		row.Status = "PostgreSQL: " + v.Explanation
	case v.Disks.Reason != 0:
		row.Status += " (SSH: " + v.Disks.Explanation + ")"
	}
	row.FreeSpace, row.TotalSpace = r.DataSpace(v.Disks, sampled, sampleAge)
	if t.StatsDB != "" {
		row.StatsDB = &t.StatsDB
	}
	if row.SSHAuthType == byKey {
		id := int64(t.Shell.Key.ID)
		row.SSHKeyID, row.SSHKeyInfo = &id, map[string]string{"name": t.Shell.Key.Name}
	}
	if v.Uptime != nil {
		hours := round2(v.Uptime.Hours())
		row.UptimeHours = &hours
	}
	return row
}

// sampleAge is how old a sample of a disk may be to be shown instead of a look.
const sampleAge = 24 * time.Hour

// rows shapes servers with what is known of them now, all asked at once.
func (r routes) rows(ctx context.Context, servers []target.Target) ([]serverRow, []live.View) {
	sampled := make([][]history.Disk, len(servers))
	views := r.Live.Views(ctx, servers, func(ctx context.Context, i int) {
		list, err := r.NewestDisks(ctx, servers[i].ID)
		if err != nil {
			r.Log.DebugContext(ctx, "samples of disks were not read", "server", servers[i].Name, "error", err)
		}
		sampled[i] = list
	})
	rows := make([]serverRow, len(servers))
	for i := range servers {
		rows[i] = r.row(servers[i], views[i], sampled[i])
	}
	return rows, views
}

// listServers gives the servers in the order in which they were added, as the
// Python version's file had them.
func (r routes) listServers(ctx context.Context, _ *struct{}) (*output[[]serverRow], error) {
	servers := r.Live.Servers() // by name
	order := make([]int, len(servers))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(servers[a].ID, servers[b].ID) })
	rows, _ := r.rows(ctx, servers)
	sorted := make([]serverRow, len(rows))
	for i, at := range order {
		sorted[i] = rows[at]
	}
	return say(sorted), nil
}

// changed answers with the row of a server that was just changed. Clients take
// every status but ok for a change that failed, so a host whose key is still to
// be confirmed is told of by GET /servers alone.
func (r routes) changed(ctx context.Context, t target.Target) *output[serverRow] {
	r.Changed(ctx)
	rows, views := r.rows(ctx, []target.Target{t})
	if views[0].Reason == sample.None && views[0].Disks.Reason == sample.HostKeyUnknown {
		rows[0].Status = views[0].Explanation
	}
	return say(rows[0])
}

type addServerInput struct {
	Body serverBody
}

func (r routes) addServer(ctx context.Context, in *addServerInput) (*output[serverRow], error) {
	t := target.Target{Enabled: true}
	if err := in.Body.apply(&t); err != nil {
		return nil, err
	}
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
		return in.Body.apply(t)
	})
	if err != nil {
		return nil, err
	}
	return r.changed(ctx, updated), nil
}

type messageBody struct {
	Message string `json:"message"`
}

type deleteServerInput struct {
	ServerPath
	Purge bool `query:"purge" doc:"Remove the history too, instead of leaving it to retention: for administrators."`
}

func (r routes) deleteServer(ctx context.Context, in *deleteServerInput) (*output[messageBody], error) {
	if err := route.MayPurge(ctx, in.Purge); err != nil {
		return nil, err
	}
	if err := r.Catalog.DeleteServer(ctx, in.ServerName, in.Purge); err != nil {
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
	t, err := r.Live.Server(in.ServerName)
	if err != nil {
		return nil, err
	}
	activity, err := r.Live.Activity(ctx, t, true)
	if err != nil {
		return nil, err
	}
	shown, err := route.Shown(ctx, t, activity.Sessions)
	if err != nil {
		return nil, err
	}
	body := sessionsBody{Queries: make([]sessionRow, 0, len(activity.Sessions))}
	for _, s := range shown {
		if s.State != nil {
			body.Queries = append(body.Queries, sessionRow{s.PID, s.User, s.Database, s.Query, *s.State})
		}
	}
	return say(body), nil
}
