package ingest

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
)

// twoCollectors see the same life of a server, one a little later than the other.
type twoCollectors struct {
	first, second *sample.Series
}

// look has both see the same, and gives what each would store.
func (c *twoCollectors) look(second int, see func(at time.Time) *sample.Visit) (a, b *sample.Visit) {
	at := noon.Add(time.Duration(second) * time.Second)
	a, b = see(at), see(at.Add(1500*time.Millisecond))
	c.first.Advance(a)
	c.second.Advance(b)
	return a, b
}

// TestEventsOfTwoCollectors has two collectors tell the whole life of a server,
// which is stored in any order: each event is there once, and what is known is what
// was seen last.
func TestEventsOfTwoCollectors(t *testing.T) {
	t.Parallel()
	for name, order := range map[string]func(a, b []*sample.Visit) []*sample.Visit{
		"side by side": func(a, b []*sample.Visit) (all []*sample.Visit) {
			for i := range a {
				all = append(all, a[i], b[i])
			}
			return all
		},
		"the second waits": func(a, b []*sample.Visit) []*sample.Visit { return append(a, b...) },
		"the first waits":  func(a, b []*sample.Visit) []*sample.Visit { return append(b, a...) },
		"both twice":       func(a, b []*sample.Visit) []*sample.Visit { return append(append(append(a, b...), a...), b...) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, dsn := openEmpty(t)
			c := twoCollectors{new(sample.Resume).Series(), new(sample.Resume).Series()}
			var first, second []*sample.Visit
			see := func(seconds int, look func(at time.Time) *sample.Visit) {
				a, b := c.look(seconds, look)
				first, second = append(first, a), append(second, b)
			}
			identity := sample.Identity{VersionNum: 150001, Version: "15.1", SystemIdentifier: 9, PostmasterStart: noon.Add(-time.Hour), InRecovery: true}
			who := func(at time.Time) *sample.Visit {
				i := identity
				i.At = at
				return &sample.Visit{Identity: &i}
			}
			list := func(databases ...sample.Database) func(time.Time) *sample.Visit {
				return func(at time.Time) *sample.Visit {
					return &sample.Visit{Inventory: &sample.Inventory{At: at, Databases: databases}}
				}
			}
			set := func(value string) func(time.Time) *sample.Visit {
				return func(at time.Time) *sample.Visit {
					return &sample.Visit{Settings: &sample.Settings{At: at, Set: []sample.Setting{{Name: "work_mem", Value: value}}}}
				}
			}
			see(0, who)
			see(1, list(dbNamed(1, "a"), dbNamed(2, "b")))
			see(2, set("4MB"))
			see(60, list(dbNamed(1, "a"), dbNamed(2, "b"), dbNamed(3, "c")))
			see(61, set("8MB"))
			see(120, list(dbNamed(1, "a"), dbNamed(4, "b"), dbNamed(3, "d")))
			see(121, set("4MB"))
			identity.InRecovery = false
			see(180, who)
			identity.PostmasterStart = noon.Add(200 * time.Second)
			see(240, who)
			see(241, set("8MB"))
			see(300, list(dbNamed(1, "a"), dbNamed(3, "d")))
			for _, v := range order(first, second) {
				mustAppend(t, w, 1, v)
			}
			got := strings.Split(pgtest.Value[string](t, dsn, `
select string_agg(format('%s %s %s %s>%s', to_char(at at time zone 'UTC', 'MI'), kind, subject, case when kind <> 'restart' then old end,
       case when kind <> 'restart' then new end), E'\n' order by date_trunc('minute', at), kind collate "C", subject)
  from history.event`), "\n")
			want := []string{
				"01 database_created c >", "01 setting work_mem 4MB>8MB", "02 database_created b >", "02 database_dropped b >", "02 database_renamed d c>d",
				"02 setting work_mem 8MB>4MB", "03 promotion  standby>primary", "03 restart  >", "04 setting work_mem 4MB>8MB", "05 database_dropped b >",
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			if value := pgtest.Value[string](t, dsn, "select value from history.setting"); value != "8MB" {
				t.Errorf("work_mem is %s", value)
			}
			there := pgtest.Value[string](t, dsn, "select string_agg(name, ',' order by name) from history.database where dropped_at is null")
			if there != "a,d" {
				t.Errorf("databases: %s", there)
			}
		})
	}
}
