package store

import (
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// unlessStored leaves out of a batch what others have written: the ticks of
// seconds that are stored, and what is counted already of databases. It asks when
// the batch has stats_db to itself, so what it finds is so until it is written.
func (w *writer) unlessStored(b sample.Batch) (sample.Batch, error) {
	windows, err := w.windowsUnlessStored(b.Windows)
	if err != nil {
		return b, err
	}
	visits, err := w.databasesUnlessCounted(b.Visits)
	return sample.Batch{Windows: windows, Visits: visits}, err
}

// selectStored gives the instants of the ticks of windows that begin within five
// minutes, the most that one spans, before the end of a stretch of time.
const selectStored = `/* pgam:append */
select n.n::int4, p.t0, p.t0 + k.ms * interval '1 millisecond'
  from unnest($1::int8[], $2::timestamptz[], $3::timestamptz[]) with ordinality as n (server_id, since, until, n)
 cross join lateral (select x.t0, x.tick_offset_ms
                       from history.activity_window x
                      where x.server_id = n.server_id
                        and x.t0 > n.since - interval '6 minutes'
                        and x.t0 < n.until) p
 cross join lateral unnest(p.tick_offset_ms) as k (ms)
 where p.t0 + k.ms * interval '1 millisecond' >= n.since
   and p.t0 + k.ms * interval '1 millisecond' < n.until`

// storedTick is a tick that is stored, in the window that begins at t0.
type storedTick struct {
	n      int32
	t0, at time.Time
}

func (w *writer) windowsUnlessStored(windows []sample.Window) ([]sample.Window, error) {
	var late []int
	for i := range windows {
		if w.late(&windows[i]) && len(windows[i].Ticks) > 0 {
			late = append(late, i)
		}
	}
	if len(late) == 0 {
		return windows, nil
	}
	column(&w.p, oidInt8, late, func(i *int) { w.p.eight(uint64(windows[*i].Server)) })
	column(&w.p, oidTimestamptz, late, func(i *int) { w.p.instant(windows[*i].T0.Add(-sample.Early).UnixMicro()) })
	column(&w.p, oidTimestamptz, late, func(i *int) {
		ticks := windows[*i].Ticks
		_, until := ticks[len(ticks)-1].Within()
		w.p.instant(until.UnixMicro())
	})
	found, err := ask(w, "pgam_stored", func(row pgx.CollectableRow) (s storedTick, err error) {
		return s, row.Scan(&s.n, &s.t0, &s.at)
	})
	if err != nil {
		return nil, err
	}
	stored := make(map[int][]storedTick)
	for _, s := range found {
		stored[late[s.n-1]] = append(stored[late[s.n-1]], s)
	}
	left := make([]sample.Window, 0, len(windows))
	for i := range windows {
		there := stored[i]
		if len(there) == 0 {
			left = append(left, windows[i])
			continue
		}
		slices.SortFunc(there, func(a, b storedTick) int { return a.at.Compare(b.at) })
		taken := slices.ContainsFunc(there, func(s storedTick) bool { return s.t0.Equal(windows[i].T0) })
		left = append(left, windows[i].Unless(func(t *sample.Tick) bool {
			from, to := t.Within()
			next, _ := slices.BinarySearchFunc(there, from, func(s storedTick, at time.Time) int { return s.at.Compare(at) })
			return next < len(there) && there[next].at.Before(to)
		}, taken)...)
	}
	return left, nil
}

// selectCounted gives the samples whose counts are in a later one that is stored.
// Instants are stored in microseconds and what they are apart in a float: some
// microseconds make no difference here. No more, for two collectors look at a server
// within a part of a millisecond, and something may be committed in between.
const selectCounted = `/* pgam:append */
select n.n::int4
  from unnest($1::int8[], $2::oid[], $3::timestamptz[]) with ordinality as n (server_id, database_oid, at, n)
 cross join lateral (select x.sampled_at - x.interval_seconds * interval '1 second' as since
                       from history.database_stat x
                      where x.server_id = n.server_id
                        and x.database_oid = n.database_oid
                        and x.sampled_at > n.at
                      order by x.sampled_at
                      limit 1) l
 where l.since < n.at - interval '10 microseconds'`

// selectCountedWithin gives, for each sample, the newest stored one that counted a
// part of what it counts.
func selectCountedWithin() string {
	return `/* pgam:append */
select n.n::int4, e.*
  from unnest($1::int8[], $2::oid[], $3::timestamptz[], $4::timestamptz[]) with ordinality as n (server_id, database_oid, at, since, n)
 cross join lateral (select ` + databaseStatColumns() + `
                       from history.database_stat x
                      where x.server_id = n.server_id
                        and x.database_oid = n.database_oid
                        and x.sampled_at > n.since + interval '10 microseconds'
                        and x.sampled_at < n.at
                      order by x.sampled_at desc
                      limit 1) e`
}

// lateStat is a sample of a database in a batch.
type lateStat struct {
	visit, place int
	server       target.ID
	stat         *sample.DatabaseStat
}

// databasesUnlessCounted has no commit counted twice: two collectors may have
// counted from the same sample on. What a later stored sample has counted is left
// out, and what an earlier one has is not counted again.
func (w *writer) databasesUnlessCounted(visits []*sample.Visit) ([]*sample.Visit, error) {
	var late []lateStat
	for i, v := range visits {
		for j := range v.Databases {
			if d := &v.Databases[j]; d.At.Before(w.alone) {
				late = append(late, lateStat{i, j, v.Server, d})
			}
		}
	}
	if len(late) == 0 {
		return visits, nil
	}
	params := func() {
		column(&w.p, oidInt8, late, func(c *lateStat) { w.p.eight(uint64(c.server)) })
		column(&w.p, oidOID, late, func(c *lateStat) { w.p.four(c.stat.OID) })
		column(&w.p, oidTimestamptz, late, func(c *lateStat) { w.p.instant(c.stat.At.UnixMicro()) })
	}
	params()
	counted, err := ask(w, "pgam_counted", pgx.RowTo[int32])
	if err != nil {
		return nil, err
	}
	params()
	column(&w.p, oidTimestamptz, late, func(c *lateStat) { w.p.instant(c.stat.At.Add(-c.stat.Interval).UnixMicro()) })
	type before struct {
		n    int32
		stat sample.DatabaseStat
	}
	within, err := ask(w, "pgam_counted_within", func(row pgx.CollectableRow) (b before, err error) {
		b.stat, err = scanDatabaseStat(row, &b.n)
		return b, err
	})
	if err != nil || len(counted)+len(within) == 0 {
		return visits, err
	}
	visits = slices.Clone(visits) // the journal's may be written again
	own := make(map[int]bool)
	change := func(n int32) *lateStat {
		c := &late[n-1]
		if !own[c.visit] {
			v := *visits[c.visit]
			v.Databases = slices.Clone(v.Databases)
			visits[c.visit], own[c.visit] = &v, true
		}
		return c
	}
	for _, b := range within {
		c := change(b.n)
		visits[c.visit].Databases[c.place].Follow(&b.stat)
	}
	slices.Sort(counted)
	for _, n := range slices.Backward(counted) { // places of one visit from the last one on
		c := change(n)
		v := visits[c.visit]
		v.Databases = slices.Delete(v.Databases, c.place, c.place+1)
	}
	return visits, nil
}
