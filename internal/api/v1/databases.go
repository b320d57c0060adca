package v1

import (
	"bytes"
	"cmp"
	"context"
	"encoding/csv"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/api/route"
	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/target"
)

// useRange is what the use of databases is told of where no range is given.
const useRange = 30 * 24 * time.Hour

const (
	formatCSV = "csv"
	mediaCSV  = "text/csv"
)

// registerDatabases adds which databases are used, and for what.
func (r routes) registerDatabases(op func(id, method, path, summary, tag string) huma.Operation) {
	asked := []int{http.StatusBadRequest, http.StatusGone, http.StatusUnprocessableEntity}
	one := r.describeDatabases(op("databases", http.MethodGet, "/servers/{name}/databases", "Databases with their use over a range", "history"))
	route.Register(r.Group, one, account.Viewer, append(asked, http.StatusNotFound), r.databases)
	all := r.describeDatabases(op("fleet-databases", http.MethodGet, "/fleet/databases", "Databases of all servers with their use over a range", "fleet"))
	route.Register(r.Group, all, account.Viewer, asked, r.fleetDatabases)
}

func (r routes) describeDatabases(op huma.Operation) huma.Operation {
	op.Description = "From what is summed up by hour and day: the newest quarter of an hour may not be in it. " +
		"As CSV, on `format=csv` or `Accept: text/csv`, all of them at once, with the same names."
	op.Responses = map[string]*huma.Response{"200": {
		Description: "OK",
		Content: map[string]*huma.MediaType{
			"application/json": {Schema: r.Schema(reflect.TypeFor[databasesBody]())},
			mediaCSV:           {Schema: &huma.Schema{Type: huma.TypeString}},
		},
	}}
	return op
}

// UseQuery asks which databases are used.
type UseQuery struct {
	From          string  `query:"from" doc:"RFC 3339, included; default thirty days before to. Answered in whole hours." example:"2026-11-01T00:00:00Z"`
	To            string  `query:"to" doc:"RFC 3339, left out; default now." example:"2026-11-22T04:00:00Z"`
	UnusedDays    int     `query:"unused_days" minimum:"1" maximum:"3650" default:"7" doc:"One that nobody connected to for so many days is unused."`
	StaticCommits float64 `query:"static_commits_per_hour" minimum:"0" default:"300" doc:"One with no more is static, if no more rows were written than static_rows: autovacuum alone commits about 200 times an hour."`
	StaticRows    int64   `query:"static_rows" minimum:"0" default:"0" doc:"In all of the range."`
	LowCommits    float64 `query:"low_commits_per_hour" minimum:"0" default:"1000" doc:"One with no more is low."`
	Class         string  `query:"class" enum:"unused,static,low,healthy,dropped,unknown" doc:"Only databases of this class; default all."`
	Sort          string  `query:"sort" enum:"name,class,size,growth,last_connection,commits,written,connections" default:"size" doc:"Unknown last."`
	Order         string  `query:"order" enum:"asc,desc" doc:"Default: of names, classes and last connections asc, of all else desc."`
	Format        string  `query:"format" enum:"json,csv" doc:"Default: json, or what Accept says."`
	Accept        string  `header:"Accept" hidden:"true"`
	Limit         int     `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	Cursor        string  `query:"cursor"`
}

// CriteriaRow is what a class was judged by.
type CriteriaRow struct {
	UnusedDays    int     `json:"unused_days"`
	StaticCommits float64 `json:"static_commits_per_hour"`
	StaticRows    int64   `json:"static_rows"`
	LowCommits    float64 `json:"low_commits_per_hour"`
}

type databaseUseRow struct {
	Server           string     `json:"server"`
	Database         string     `json:"database"`
	Class            string     `json:"class" enum:"unused,static,low,healthy,dropped,unknown" doc:"unused: nobody connected for some days; static: somebody did, and nothing was written and little committed; low: little committed; dropped: it is gone; unknown: it was not watched for long enough."`
	SizeBytes        *int64     `json:"size_bytes" doc:"The newest of the range."`
	SizeAt           *time.Time `json:"size_at"`
	GrowthBytes      *int64     `json:"growth_bytes" doc:"Since the oldest of the range."`
	LastConnectionAt *time.Time `json:"last_connection_at" doc:"To the hour; null: nobody was seen in the range. Before PostgreSQL 14 autovacuum may be taken for somebody."`
	ConnectionsMax   *int32     `json:"connections_max" doc:"In one look, autovacuum's too."`
	Connections      *float64   `json:"connections_average"`
	Sessions         *int64     `json:"sessions" doc:"Begun in the range; null before PostgreSQL 14."`
	Commits          *int64     `json:"commits" doc:"In the range, autovacuum's too."`
	CommitsPerHour   *float64   `json:"commits_per_hour" doc:"Over the time in which they were counted."`
	Rollbacks        *int64     `json:"rollbacks"`
	Inserted         *int64     `json:"rows_inserted"`
	Updated          *int64     `json:"rows_updated"`
	Deleted          *int64     `json:"rows_deleted"`
	CreatedAt        *time.Time `json:"created_at" doc:"Null: it was there before pgam looked."`
	FirstSeenAt      time.Time  `json:"first_seen_at"`
	DroppedAt        *time.Time `json:"dropped_at"`
	MayConnect       bool       `json:"allow_connect"`
	Through          bool       `json:"monitored_through" doc:"pgam itself is connected to it, which looks like use."`
	SeenDays         float64    `json:"seen_days" doc:"Of the range, in which it was looked at."`
}

type useSum struct {
	Databases int   `json:"databases"`
	SizeBytes int64 `json:"size_bytes" doc:"Of those whose size is known."`
}

type databasesBody struct {
	From        time.Time         `json:"from" doc:"As answered, in whole hours."`
	To          time.Time         `json:"to"`
	Criteria    CriteriaRow       `json:"criteria"`
	Databases   []databaseUseRow  `json:"databases" nullable:"false" doc:"Those of this page; templates are left out."`
	Total       int               `json:"databases_total" doc:"On all pages."`
	ByClass     map[string]useSum `json:"by_class" doc:"Of all databases, whatever class is asked for: unused, static, low, healthy, dropped, unknown."`
	Reclaimable int64             `json:"reclaimable_bytes" doc:"Of the unused ones, without those that pgam is connected to."`
	Next        *string           `json:"next_cursor" doc:"Null: this is the last page."`
}

type databasesOutput struct {
	ContentType string `header:"Content-Type"`
	Disposition string `header:"Content-Disposition"`
	Body        []byte
}

type databasesInput struct {
	ServerPath
	UseQuery
}

func (r routes) databases(ctx context.Context, in *databasesInput) (*databasesOutput, error) {
	t, err := r.Live.Server(in.Name)
	if err != nil {
		return nil, err
	}
	return r.databaseUse(ctx, []target.Target{t}, &in.UseQuery)
}

func (r routes) fleetDatabases(ctx context.Context, in *UseQuery) (*databasesOutput, error) {
	return r.databaseUse(ctx, r.Live.Servers(), in)
}

// usePlace is where a page of databases begins.
type usePlace struct {
	From, To time.Time
	Offset   int
}

func (in *UseQuery) place(now time.Time) (usePlace, error) {
	place, next, err := readCursor[usePlace](in.Cursor)
	if err != nil || next {
		return place, err
	}
	if place.To, err = parseInstant("to", in.To, now); err != nil {
		return place, err
	}
	place.From, err = parseInstant("from", in.From, place.To.Add(-useRange))
	return place, err
}

func (r routes) databaseUse(ctx context.Context, servers []target.Target, in *UseQuery) (*databasesOutput, error) {
	place, err := in.place(r.Now())
	if err != nil {
		return nil, err
	}
	span, err := history.NewRange(place.From, place.To)
	if err != nil {
		return nil, err
	}
	criteria := history.UseCriteria{
		UnusedDays: in.UnusedDays, StaticCommits: in.StaticCommits, StaticRows: in.StaticRows, LowCommits: in.LowCommits,
	}
	list, answered, err := r.History.DatabasesUsed(ctx, servers, history.UseQuestion{Range: span, Criteria: criteria})
	if err != nil {
		return nil, err
	}
	body := databasesBody{
		From: utc(answered.From), To: utc(answered.To), ByClass: make(map[string]useSum),
		Criteria: CriteriaRow{in.UnusedDays, in.StaticCommits, in.StaticRows, in.LowCommits},
	}
	names := make(map[target.ID]string, len(servers))
	for _, t := range servers {
		names[t.ID] = t.Name
	}
	rows := body.add(list, names, in.Class)
	in.sort(rows)
	body.Total = len(rows)
	if in.Format == formatCSV || in.Format == "" && strings.HasPrefix(in.Accept, mediaCSV) {
		return csvOf(rows)
	}
	body.Databases = rows[min(place.Offset, len(rows)):min(place.Offset+in.Limit, len(rows))]
	if end := place.Offset + in.Limit; end < len(rows) {
		place.Offset = end
		body.Next = writeCursor(place)
	}
	var data bytes.Buffer
	if err := r.Marshal(&data, body); err != nil {
		return nil, fmt.Errorf("encode databases: %w", err)
	}
	return &databasesOutput{ContentType: "application/json", Body: data.Bytes()}, nil
}

// add counts all databases, and gives the rows of a class.
func (b *databasesBody) add(list []history.DatabaseUse, names map[target.ID]string, class string) []databaseUseRow {
	for _, c := range history.UseClasses() {
		b.ByClass[string(c)] = useSum{}
	}
	rows := make([]databaseUseRow, 0, len(list))
	for i := range list {
		d := &list[i]
		sum := b.ByClass[string(d.Class)]
		sum.Databases++
		if d.Size != nil {
			sum.SizeBytes += *d.Size
			if d.Class == history.Unused && !d.Through {
				b.Reclaimable += *d.Size
			}
		}
		b.ByClass[string(d.Class)] = sum
		if class == "" || class == string(d.Class) {
			rows = append(rows, useRow(d, names[d.Server]))
		}
	}
	return rows
}

func useRow(d *history.DatabaseUse, server string) databaseUseRow {
	return databaseUseRow{
		Server: server, Database: d.Name, Class: string(d.Class), SizeBytes: d.Size, SizeAt: utcOrNull(d.SizeAt), GrowthBytes: d.Growth,
		LastConnectionAt: utcOrNull(d.ConnectedAt), ConnectionsMax: d.ConnectionsMax, Connections: roundedOrNull(d.Connections),
		Sessions: d.Sessions, Commits: d.Commits, CommitsPerHour: roundedOrNull(d.CommitsPerHour()), Rollbacks: d.Rollbacks,
		Inserted: d.Inserted, Updated: d.Updated, Deleted: d.Deleted, CreatedAt: utcOrNull(d.CreatedAt), FirstSeenAt: utc(d.FirstSeenAt),
		DroppedAt: utcOrNull(d.DroppedAt), MayConnect: d.AllowConnect, Through: d.Through, SeenDays: rounded(d.Seen.Hours() / 24),
	}
}

// sort orders rows that are by server and name.
func (in *UseQuery) sort(rows []databaseUseRow) {
	number := func(v *int64) *float64 {
		if v == nil {
			return nil
		}
		f := float64(*v)
		return &f
	}
	classes, up := history.UseClasses(), false
	var key func(*databaseUseRow) *float64
	switch in.Sort {
	case "name":
		if in.Order == "desc" {
			slices.Reverse(rows)
		}
		return
	case "class":
		up = true
		key = func(d *databaseUseRow) *float64 {
			at := float64(slices.Index(classes, history.UseClass(d.Class)))
			return &at
		}
	case "last_connection":
		up = true
		key = func(d *databaseUseRow) *float64 {
			if d.LastConnectionAt == nil {
				return nil
			}
			at := float64(d.LastConnectionAt.Unix())
			return &at
		}
	case "growth":
		key = func(d *databaseUseRow) *float64 { return number(d.GrowthBytes) }
	case "commits":
		key = func(d *databaseUseRow) *float64 { return number(d.Commits) }
	case "written":
		key = func(d *databaseUseRow) *float64 {
			if d.Inserted == nil || d.Updated == nil || d.Deleted == nil {
				return nil
			}
			n := float64(*d.Inserted + *d.Updated + *d.Deleted)
			return &n
		}
	case "connections":
		key = func(d *databaseUseRow) *float64 { return d.Connections }
	default:
		key = func(d *databaseUseRow) *float64 { return number(d.SizeBytes) }
	}
	if in.Order != "" {
		up = in.Order == "asc"
	}
	slices.SortStableFunc(rows, func(a, b databaseUseRow) int {
		one, other := key(&a), key(&b)
		switch {
		case one == nil || other == nil:
			return cmp.Compare(boolRank(one == nil), boolRank(other == nil))
		case up:
			return cmp.Compare(*one, *other)
		}
		return cmp.Compare(*other, *one)
	})
}

func boolRank(b bool) int {
	if b {
		return 1
	}
	return 0
}

// csvOf writes rows as CSV, under the names that they have in JSON.
func csvOf(rows []databaseUseRow) (*databasesOutput, error) {
	var (
		data   bytes.Buffer
		fields = reflect.TypeFor[databaseUseRow]()
		line   = make([]string, fields.NumField())
		out    = csv.NewWriter(&data)
	)
	for i := range line {
		line[i] = fields.Field(i).Tag.Get("json")
	}
	_ = out.Write(line) // errors stay in it
	for i := range rows {
		values := reflect.ValueOf(rows[i])
		for j := range line {
			line[j] = csvText(values.Field(j))
		}
		_ = out.Write(line)
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return nil, fmt.Errorf("write CSV: %w", err)
	}
	return &databasesOutput{ContentType: mediaCSV + "; charset=utf-8", Disposition: `attachment; filename="databases.csv"`, Body: data.Bytes()}, nil
}

// csvText gives a value as CSV has it: nothing for null. A name that a spreadsheet
// would take for a formula gets a quote before it.
func csvText(v reflect.Value) string {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return ""
		}
		v = v.Elem()
	}
	switch value := v.Interface().(type) {
	case time.Time:
		return value.Format(time.RFC3339)
	case float64:
		return strconv.FormatFloat(value, 'f', -1, 64)
	case string:
		if value != "" && strings.ContainsRune("=+-@\t\r", rune(value[0])) {
			return "'" + value
		}
		return value
	default:
		return fmt.Sprint(value)
	}
}
