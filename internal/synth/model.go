package synth

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// Config says what is made up.
type Config struct {
	Seed uint64
	// Hash names what servers show.
	Hash sample.Hash
	// Cadence is the time between ticks, whole seconds that divide a minute.
	Cadence time.Duration
	// Sessions is how many are not idle at a time, on average over a working day.
	Sessions float64
	// Queries is how many different statements a server runs.
	Queries int
}

func (c Config) validate() error {
	switch {
	case c.Cadence < time.Second || c.Cadence%time.Second != 0 || time.Minute%c.Cadence != 0:
		return errors.New("synth: the cadence must be whole seconds that divide a minute")
	case c.Sessions <= 0 || c.Sessions > 1000:
		return fmt.Errorf("synth: %g sessions are not between 0 and 1000", c.Sessions)
	case c.Queries < 1 || c.Queries > 100_000:
		return fmt.Errorf("synth: %d statements are not between 1 and 100000", c.Queries)
	}
	return nil
}

// Generator makes the history of servers.
type Generator struct{ cfg Config }

// New checks the configuration.
func New(cfg Config) (*Generator, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Generator{cfg}, nil
}

// Names and proportions as they are met on servers of shops and offices.
var (
	databases    = [...]string{"shop", "billing", "warehouse", "reporting"}
	users        = [...]string{"shop_app", "billing_app", "etl", "analyst", "postgres"}
	applications = [...]string{"shop-web", "shop-worker", "billing", "nightly-etl", "Metabase", ""}
	tables       = [...]string{"orders", "customers", "items", "invoices", "payments", "stock", "ev"}
)

// wait is a state and wait with how often it is met, in a thousand samples.
type wait struct {
	state, typ, event string
	share             int
}

// waits are those of every server.
var waits = [...]wait{
	{"active", sample.CPU, "", 520},
	{"active", "IO", "DataFileRead", 150},
	{"active", "LWLock", "WALWrite", 60},
	{"active", "IO", "WALSync", 50},
	{"idle in transaction", "Client", "ClientRead", 110},
	{"active", "Lock", "transactionid", 30},
	{"active", "Client", "ClientWrite", 30},
	{"active", "LWLock", "BufferMapping", 15},
	{"active", "IPC", "ParallelFinish", 15},
	{"active", "IO", "DataFileExtend", 10},
	{"active", "Lock", "relation", 5},
	{"active", "Timeout", "PgSleep", 5},
}

// session is a connection of a pool that lives for the whole of the history.
type session struct {
	entry sample.SessionEntry
	query []int // of the server's statements, what it runs, most often the first
}

// content is what tells the session from others.
func (s *session) content() []byte {
	e := &s.entry
	return fmt.Appendf(nil, "%d %d %d %d %s %s %s", e.PID, e.BackendStart, e.DatabaseOID, e.UserOID, e.ClientAddr, e.BackendType, e.Application)
}

// statement is one that a server runs.
type statement struct {
	id   int64
	text string
}

// server is what does not change about a server.
type server struct {
	id         target.ID
	size       float64 // of its load, against the others
	zone       float64 // hours by which its working day is off
	sessions   []session
	statements []statement
}

// dice gives the random numbers of one purpose: the same for the same keys.
func (g *Generator) dice(keys ...uint64) *rand.Rand {
	state := g.cfg.Seed ^ 0x9e3779b97f4a7c15
	for _, k := range keys {
		state = (state ^ k) * 0xff51afd7ed558ccd
		state ^= state >> 32
	}
	return rand.New(rand.NewPCG(state, 1)) //nolint:gosec // made up, not secret
}

// spread is how many sessions there are for each that is not idle.
const spread = 4

func (g *Generator) server(id target.ID) server {
	d := g.dice(uint64(id))
	s := server{id: id, size: 0.4 + 1.2*d.Float64(), zone: 3 * d.Float64(), statements: g.statements(id)}
	n := max(int(g.cfg.Sessions*s.size*spread), 4)
	s.sessions = make([]session, n)
	began := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()
	for i := range s.sessions {
		db := d.IntN(len(databases))
		app := (db + d.IntN(3)) % len(applications)
		e := &s.sessions[i].entry
		*e = sample.SessionEntry{
			PID: int32(2000 + i), BackendStart: began + int64(i)*1_000_000,
			DatabaseOID: uint32(16384 + db), Database: databases[db],
			UserOID: uint32(10 + db), User: users[(db+d.IntN(2))%len(users)],
			Application: applications[app], ClientAddr: fmt.Sprintf("10.0.%d.%d", app, 1+d.IntN(8)), BackendType: "client backend",
		}
		s.sessions[i].query = make([]int, 6)
		for k := range s.sessions[i].query {
			s.sessions[i].query[k] = g.draw(d)
		}
	}
	return s
}

// draw gives one of the statements: few are run often, many seldom.
func (g *Generator) draw(d *rand.Rand) int {
	return int(float64(g.cfg.Queries) * math.Pow(d.Float64(), 3))
}

func (g *Generator) statements(id target.ID) []statement {
	d := g.dice(uint64(id), 7)
	forms := [...]string{
		"select * from %s where id = $1", "update %s set state = $1 where id = $2", "insert into %s (id, body) values ($1, $2)",
		"select count(*) from %s where created_at > $1", "delete from %s where expires_at < $1",
	}
	all := make([]statement, g.cfg.Queries)
	for i := range all {
		text := fmt.Sprintf(forms[i%len(forms)], tables[d.IntN(len(tables))]) + fmt.Sprintf(" /* %d */", i)
		all[i] = statement{int64(d.Uint64()), text}
	}
	return all
}

// load is how busy a server is at an instant, around 1 on a working day.
func (s *server) load(at time.Time) float64 {
	hour := float64(at.Hour()) + float64(at.Minute())/60 + s.zone
	busy := 0.35 + 0.9*math.Max(0, math.Sin((hour-6)/14*math.Pi))
	if day := at.Weekday(); day == time.Saturday || day == time.Sunday {
		busy *= 0.5
	}
	if at.Hour() == 3 && at.Minute() < 20 {
		busy += 0.6 // the nightly jobs
	}
	return s.size * busy
}
