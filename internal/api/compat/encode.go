package compat

import (
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pgam/pgam/internal/history"
)

// The bodies that are asked for most, or are largest, write themselves: with
// encoding/json they cost several times more than all else that a request is.
// A test holds what they write against encoding/json, for every field.

// serverRows is what GET /servers answers with.
type serverRows []serverRow

// AppendJSON appends the rows as JSON.
func (rows serverRows) AppendJSON(to []byte) []byte {
	if rows == nil {
		return append(to, "null"...)
	}
	to = append(to, '[')
	for i := range rows {
		if i > 0 {
			to = append(to, ',')
		}
		to = rows[i].appendJSON(to)
	}
	return append(to, ']')
}

func (r *serverRow) appendJSON(to []byte) []byte {
	to = appendString(append(to, `{"name":`...), r.Name)
	to = appendString(append(to, `,"host":`...), r.Host)
	to = appendString(append(to, `,"user":`...), r.User)
	to = strconv.AppendInt(append(to, `,"port":`...), int64(r.Port), 10)
	to = appendString(append(to, `,"ssh_user":`...), r.SSHUser)
	to = strconv.AppendInt(append(to, `,"ssh_port":`...), int64(r.SSHPort), 10)
	to = strconv.AppendBool(append(to, `,"has_password":`...), r.HasPassword)
	to = strconv.AppendBool(append(to, `,"has_ssh_password":`...), r.HasSSHPassword)
	to = appendStringOrNull(append(to, `,"version":`...), r.Version)
	to = appendIntOrNull(append(to, `,"free_space":`...), r.FreeSpace)
	to = appendIntOrNull(append(to, `,"total_space":`...), r.TotalSpace)
	to = appendCounts(append(to, `,"connections":`...), r.Connections)
	to = append(to, `,"uptime_hours":`...)
	if r.UptimeHours == nil {
		to = append(to, "null"...)
	} else {
		to = appendFloat(to, *r.UptimeHours)
	}
	to = appendStringOrNull(append(to, `,"stats_db":`...), r.StatsDB)
	to = appendString(append(to, `,"status":`...), r.Status)
	to = appendStringOrNull(append(to, `,"data_dir":`...), r.DataDir)
	to = appendString(append(to, `,"ssh_auth_type":`...), r.SSHAuthType)
	to = appendIntOrNull(append(to, `,"ssh_key_id":`...), r.SSHKeyID)
	to = appendTexts(append(to, `,"ssh_key_info":`...), r.SSHKeyInfo)
	return append(to, '}')
}

// appendCounts appends an object, its keys in order.
func appendCounts(to []byte, counts map[string]int64) []byte {
	return appendObject(to, counts, func(to []byte, n int64) []byte { return strconv.AppendInt(to, n, 10) })
}

// appendTexts likewise.
func appendTexts(to []byte, texts map[string]string) []byte {
	return appendObject(to, texts, appendString)
}

func appendObject[V any](to []byte, object map[string]V, value func(to []byte, v V) []byte) []byte {
	if object == nil {
		return append(to, "null"...)
	}
	var some [8]string // there are hardly more states
	keys := slices.AppendSeq(some[:0], maps.Keys(object))
	slices.Sort(keys)
	to = append(to, '{')
	for i, key := range keys {
		if i > 0 {
			to = append(to, ',')
		}
		to = append(appendString(to, key), ':')
		to = value(to, object[key])
	}
	return append(to, '}')
}

// AppendJSON appends the sessions as JSON.
func (b sessionsBody) AppendJSON(to []byte) []byte {
	to = append(to, `{"queries":`...)
	if b.Queries == nil {
		return append(to, `null}`...)
	}
	to = append(to, '[')
	for i := range b.Queries {
		s := &b.Queries[i]
		if i > 0 {
			to = append(to, ',')
		}
		to = strconv.AppendInt(append(to, `{"pid":`...), int64(s.PID), 10)
		to = appendStringOrNull(append(to, `,"usename":`...), s.UserName)
		to = appendStringOrNull(append(to, `,"datname":`...), s.DatName)
		to = appendStringOrNull(append(to, `,"query":`...), s.Query)
		to = appendString(append(to, `,"state":`...), s.State)
		to = append(to, '}')
	}
	return append(to, `]}`...)
}

// AppendJSON appends the timeline as JSON.
func (b serverStatsBody) AppendJSON(to []byte) []byte {
	to = slices.Grow(to, 512+128*len(b.Databases)+112*len(b.ConnectionTimeline))
	to = appendStringOrNull(append(to, `{"last_stat_update":`...), b.LastStatUpdate)
	to = strconv.AppendInt(append(to, `,"total_connections":`...), b.TotalConnections, 10)
	to = appendFloat(append(to, `,"total_size_gb":`...), b.TotalSizeGB)
	to = append(to, `,"databases":[`...)
	for i := range b.Databases {
		d := &b.Databases[i]
		if i > 0 {
			to = append(to, ',')
		}
		to = appendString(append(to, `{"name":`...), d.Name)
		to = strconv.AppendBool(append(to, `,"exists":`...), d.Exists)
		to = appendStringOrNull(append(to, `,"creation_time":`...), d.CreationTime)
		to = append(to, '}')
	}
	to = append(to, `],"connection_timeline":`...)
	to = b.ConnectionTimeline.appendJSON(to)
	to = appendString(append(to, `,"aggregation":`...), b.Aggregation)
	return append(to, '}')
}

// connectionTimeline is the points of a server's timeline as history has them.
// Its JSON is a list of connectionPoint.
type connectionTimeline []history.DatabasePoint

// Schema implements huma.SchemaProvider.
func (connectionTimeline) Schema(r huma.Registry) *huma.Schema {
	return r.Schema(reflect.TypeFor[[]connectionPoint](), true, "")
}

// MarshalJSON implements json.Marshaler.
func (c connectionTimeline) MarshalJSON() ([]byte, error) { return c.appendJSON(nil), nil }

func (c connectionTimeline) appendJSON(to []byte) []byte {
	var (
		at     time.Time
		head   []byte // {"ts":"…","datname":
		series seriesTexts
	)
	to = append(to, '[')
	for i := range c {
		p := &c[i]
		if i > 0 {
			to = append(to, ',')
		}
		if i == 0 || !p.At.Equal(at) { // the points of one instant lie together
			at = p.At
			head = append(appendInstant(append(head[:0], `{"ts":`...), at), `,"datname":`...)
		}
		text := series.of(p.Database)
		to = append(append(to, head...), text.name...)
		to = strconv.AppendInt(append(to, `,"connections":`...), int64(math.RoundToEven(p.Connections)), 10)
		to = append(append(to, `,"size_gb":`...), text.sizeOf(p.SizeBytes)...)
		to = append(to, '}')
	}
	return append(to, ']')
}

// seriesTexts keeps what comes again with the points of a database. The
// databases of one instant follow each other as those of the one before did.
type seriesTexts struct {
	list   []*seriesText
	byName map[string]int
	next   int
}

type seriesText struct {
	database string
	name     []byte // in quotes
	bytes    int64
	size     []byte // bytes in GiB; empty: none was written yet
}

func (s *seriesTexts) of(database string) *seriesText {
	if s.next >= len(s.list) {
		s.next = 0
	}
	if s.next >= len(s.list) || s.list[s.next].database != database {
		at, ok := s.byName[database]
		if !ok {
			if s.byName == nil {
				s.byName = make(map[string]int)
			}
			at = len(s.list)
			s.list, s.byName[database] = append(s.list, &seriesText{database: database, name: appendString(nil, database)}), at
		}
		s.next = at
	}
	s.next++
	return s.list[s.next-1]
}

// sizeOf writes a size; most are those of the point before.
func (t *seriesText) sizeOf(bytes *int64) []byte {
	n := int64(0)
	if bytes != nil {
		n = *bytes
	}
	if len(t.size) == 0 || n != t.bytes {
		t.bytes, t.size = n, appendFloat(t.size[:0], float64(n)/gibibyte)
	}
	return t.size
}

// AppendJSON appends the timeline as JSON.
func (b databaseStatsBody) AppendJSON(to []byte) []byte {
	to = slices.Grow(to, 512+112*len(b.Timeline))
	to = appendStringOrNull(append(to, `{"last_stat_update":`...), b.LastStatUpdate)
	to = strconv.AppendInt(append(to, `,"total_connections":`...), b.TotalConnections, 10)
	to = strconv.AppendInt(append(to, `,"total_commits":`...), b.TotalCommits, 10)
	to = appendFloat(append(to, `,"total_size_mb":`...), b.TotalSizeMB)
	to = appendStringOrNull(append(to, `,"creation_time":`...), b.CreationTime)
	to = strconv.AppendInt(append(to, `,"max_connections":`...), int64(b.MaxConnections), 10)
	to = strconv.AppendInt(append(to, `,"min_connections":`...), int64(b.MinConnections), 10)
	to = append(to, `,"timeline":`...)
	to = b.Timeline.appendJSON(to)
	to = appendString(append(to, `,"aggregation":`...), b.Aggregation)
	return append(to, '}')
}

// databaseTimeline is the points of one database's timeline as history has
// them. Its JSON is a list of databasePoint.
type databaseTimeline []history.DatabasePoint

// Schema implements huma.SchemaProvider.
func (databaseTimeline) Schema(r huma.Registry) *huma.Schema {
	return r.Schema(reflect.TypeFor[[]databasePoint](), true, "")
}

// MarshalJSON implements json.Marshaler.
func (d databaseTimeline) MarshalJSON() ([]byte, error) { return d.appendJSON(nil), nil }

func (d databaseTimeline) appendJSON(to []byte) []byte {
	to = append(to, '[')
	for i := range d {
		p := &d[i]
		if i > 0 {
			to = append(to, ',')
		}
		to = appendInstant(append(to, `{"ts":`...), p.At)
		to = strconv.AppendInt(append(to, `,"connections":`...), int64(math.RoundToEven(p.Connections)), 10)
		to = appendFloat(append(to, `,"size_mb":`...), sizeIn(p.SizeBytes, mebibyte))
		to = strconv.AppendInt(append(to, `,"commits":`...), p.Commits, 10)
		to = append(to, '}')
	}
	return append(to, ']')
}

// appendInstant appends isoTime in quotes.
func appendInstant(to []byte, t time.Time) []byte {
	t = t.UTC()
	to = append(to, '"')
	if t.Nanosecond() < int(time.Microsecond) {
		to = t.AppendFormat(to, time.RFC3339)
		to = append(to[:len(to)-len("Z")], "+00:00"...) // RFC 3339 is what time formats fast
	} else {
		to = append(to, isoTime(t)...)
	}
	return append(to, '"')
}

func appendStringOrNull(to []byte, s *string) []byte {
	if s == nil {
		return append(to, "null"...)
	}
	return appendString(to, *s)
}

func appendIntOrNull(to []byte, n *int64) []byte {
	if n == nil {
		return append(to, "null"...)
	}
	return strconv.AppendInt(to, *n, 10)
}

// appendFloat writes a finite number as encoding/json does.
func appendFloat(to []byte, x float64) []byte {
	if abs := math.Abs(x); abs == 0 || abs >= 1e-6 && abs < 1e21 {
		return strconv.AppendFloat(to, x, 'f', -1, 64)
	}
	to = strconv.AppendFloat(to, x, 'e', -1, 64)
	if n := len(to); n >= 4 && to[n-4] == 'e' && to[n-3] == '-' && to[n-2] == '0' {
		to[n-2] = to[n-1] // e-09 is e-9
		to = to[:n-1]
	}
	return to
}

// appendString writes a string as encoding/json does without HTML escapes.
func appendString(to []byte, s string) []byte {
	const digits = "0123456789abcdef"
	to = append(to, '"')
	plain := 0 // what is before is written
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' {
			i++
			continue
		}
		r, size := rune(c), 1
		if c >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(s[i:])
			if r != '\u2028' && r != '\u2029' && (r != utf8.RuneError || size > 1) {
				i += size
				continue
			}
		}
		to = append(to, s[plain:i]...)
		switch r {
		case '"', '\\':
			to = append(to, '\\', c)
		case '\b':
			to = append(to, '\\', 'b')
		case '\f':
			to = append(to, '\\', 'f')
		case '\n':
			to = append(to, '\\', 'n')
		case '\r':
			to = append(to, '\\', 'r')
		case '\t':
			to = append(to, '\\', 't')
		case utf8.RuneError, '\u2028', '\u2029':
			to = append(to, '\\', 'u', digits[r>>12&15], digits[r>>8&15], digits[r>>4&15], digits[r&15])
		default:
			to = append(to, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		}
		i += size
		plain = i
	}
	return append(append(to, s[plain:]...), '"')
}
