package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

// maxKnownQueries bounds the statements that are remembered at start.
const maxKnownQueries = 20_000

// Resume reads what the history remembers of a server.
func (s *Store) Resume(ctx context.Context, server target.ID) (sample.Resume, error) {
	var r sample.Resume
	if err := s.mark.learn(ctx, s.pool); err != nil { // before what is read, so that it is not older
		return sample.Resume{}, fmt.Errorf("resume server %d: %w", server, statsdb.Classify(err))
	}
	for _, read := range []func(context.Context, target.ID, *sample.Resume) error{
		s.resumeNext, s.resumeWaits, s.resumeQueries, s.resumeLocks, s.resumeIdentity, s.resumeDatabases, s.resumeSized, s.resumeMemory,
	} {
		if err := read(ctx, server, &r); err != nil {
			return sample.Resume{}, fmt.Errorf("resume server %d: %w", server, statsdb.Classify(err))
		}
	}
	return r, nil
}

// resumeNext finds the ids in use; session ids are unique over days.
func (s *Store) resumeNext(ctx context.Context, server target.ID, r *sample.Resume) error {
	const sql = `/* pgam:resume */
select coalesce((select max(m.id)
                   from (select distinct day from history.session where server_id = $1) d
                  cross join lateral (select x.id from history.session x
                                       where x.server_id = $1 and x.day = d.day
                                       order by x.id desc limit 1) m), 0) + 1,
       coalesce((select max(q.id) from history.query q where q.server_id = $1), 0) + 1,
       least(coalesce((select max(abs(w.id)) from history.wait w where w.server_id = $1), 0), 32766)::smallint + 1::smallint,
       coalesce((select max(l.id) from history.lock l where l.server_id = $1), 0) + 1`
	return s.pool.QueryRow(ctx, sql, server).Scan(&r.Next.Session, &r.Next.Query, &r.Next.Wait, &r.Next.Lock)
}

func (s *Store) resumeWaits(ctx context.Context, server target.ID, r *sample.Resume) error {
	const sql = `/* pgam:resume */
select id, state, wait_event_type, wait_event
  from history.wait
 where server_id = $1`
	rows, err := s.pool.Query(ctx, sql, server)
	if err != nil {
		return err
	}
	r.Waits, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (w sample.WaitEntry, err error) {
		return w, row.Scan(&w.ID, &w.State, &w.Type, &w.Event)
	})
	return err
}

func (s *Store) resumeQueries(ctx context.Context, server target.ID, r *sample.Resume) error {
	const sql = `/* pgam:resume */
select id, last_seen_on - date '1970-01-01', query_id, own, coalesce(left(text, $3), ''), text_full
  from history.query
 where server_id = $1
 order by last_seen_on desc, id desc
 limit $2`
	rows, err := s.pool.Query(ctx, sql, server, maxKnownQueries, sample.MaxText+1) // whether it was cut, not more
	if err != nil {
		return err
	}
	r.Queries, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (q sample.QueryEntry, err error) {
		return q, row.Scan(&q.ID, &q.Day, &q.QueryID, &q.Own, &q.Text, &q.Full)
	})
	return err
}

// maxKnownLocks bounds what is remembered of what was waited for.
const maxKnownLocks = 5000

func (s *Store) resumeLocks(ctx context.Context, server target.ID, r *sample.Resume) error {
	const sql = `/* pgam:resume */
select id, last_seen_on - date '1970-01-01', lock_type, mode, coalesce(database_oid, 0), coalesce(relation_oid, 0), coalesce(relation_name, '')
  from history.lock
 where server_id = $1
 order by last_seen_on desc, id desc
 limit $2`
	rows, err := s.pool.Query(ctx, sql, server, maxKnownLocks)
	if err != nil {
		return err
	}
	r.Locks, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (l sample.LockEntry, err error) {
		return l, row.Scan(&l.ID, &l.Day, &l.Type, &l.Mode, &l.DatabaseOID, &l.RelationOID, &l.Relation)
	})
	return err
}

func (s *Store) resumeIdentity(ctx context.Context, server target.ID, r *sample.Resume) error {
	const sql = `/* pgam:resume */
select i.since, i.version_num, i.version, coalesce(i.system_identifier, 0), coalesce(i.timeline_id, 0), i.postmaster_start, i.in_recovery, i.checkpointer_start,
       (select max(d.last_seen_at) from history.database d where d.server_id = $1)
  from history.server_identity i
 where i.server_id = $1
 order by i.since desc
 limit 1`
	var (
		i      sample.Identity
		listed *time.Time
		crash  *time.Time
	)
	err := s.pool.QueryRow(ctx, sql, server).Scan(&i.At, &i.VersionNum, &i.Version, &i.SystemIdentifier, &i.TimelineID,
		&i.PostmasterStart, &i.InRecovery, &crash, &listed)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	i.At, i.PostmasterStart = i.At.UTC(), i.PostmasterStart.UTC()
	if crash != nil {
		i.CheckpointerStart = crash.UTC()
	}
	r.Identity = &i
	if listed != nil {
		r.Listed = listed.UTC()
	}
	return nil
}

// resumeDatabases reads the newest sample of each database. Those older than
// the server's newest by more than the quiet time are of dropped databases.
func (s *Store) resumeDatabases(ctx context.Context, server target.ID, r *sample.Resume) error {
	sql := `/* pgam:resume */
select distinct on (database_oid)
       ` + databaseStatColumns() + `
  from history.database_stat
 where server_id = $1
   and sampled_at > now() - interval '35 days'
   and sampled_at >= (select max(n.sampled_at) from history.database_stat n
                       where n.server_id = $1 and n.sampled_at > now() - interval '35 days') - interval '6 minutes'
 order by database_oid, sampled_at desc`
	rows, err := s.pool.Query(ctx, sql, server)
	if err != nil {
		return err
	}
	r.Databases, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (sample.DatabaseStat, error) { return scanDatabaseStat(row) })
	return err
}

// resumeSized finds when sizes were last asked for, so that a collector that is
// started often does not ask often.
func (s *Store) resumeSized(ctx context.Context, server target.ID, r *sample.Resume) error {
	const sql = `/* pgam:resume */
select max(sampled_at)
  from history.database_size
 where server_id = $1
   and sampled_at > now() - interval '8 days'`
	var sized *time.Time
	if err := s.pool.QueryRow(ctx, sql, server).Scan(&sized); err != nil {
		return err
	}
	if sized != nil {
		r.Sized = sized.UTC()
	}
	return nil
}

// resumeMemory reads what events are told against. Statistics from before the
// server was seen as it is now were reset with it.
func (s *Store) resumeMemory(ctx context.Context, server target.ID, r *sample.Resume) error {
	if r.Identity == nil {
		return nil
	}
	known := *r.Identity
	seen := sample.Visit{Identity: &known}
	for _, d := range r.Databases {
		if !d.At.Before(known.At) {
			seen.Databases = append(seen.Databases, d)
		}
	}
	r.Memory.Learn(&seen)
	const sql = `/* pgam:resume */
select d.oid, d.name, null
  from history.database d
 where d.server_id = $1
   and d.dropped_at is null
 union all
select null, s.name, s.value
  from history.setting s
 where s.server_id = $1`
	rows, err := s.pool.Query(ctx, sql, server)
	if err != nil {
		return err
	}
	var (
		oid         *uint32
		name, value *string
	)
	_, err = pgx.ForEachRow(rows, []any{&oid, &name, &value}, func() error {
		if oid != nil {
			if r.Memory.Names == nil {
				r.Memory.Names = make(map[uint32]string)
			}
			r.Memory.Names[*oid] = *name
			return nil
		}
		if r.Memory.Settings == nil {
			r.Memory.Settings = make(map[string]string)
		}
		r.Memory.Settings[*name] = *value
		return nil
	})
	return err
}

// databaseStatColumns are those that scanDatabaseStat reads, behind the first ones
// that it is given room for.
func databaseStatColumns() string {
	return "database_oid, sampled_at, epoch, numbackends, stats_reset, checksum_last_failure, " +
		strings.Join(suffixed(append(counterColumns(), timerColumns()...), "_total"), ", ")
}

func scanDatabaseStat(row pgx.CollectableRow, first ...any) (sample.DatabaseStat, error) {
	var (
		d            sample.DatabaseStat
		backends     *int64
		reset, check *time.Time
		counters     [sample.NumCounters]*int64
		timers       [sample.NumTimers]*float64
	)
	dest := append(first, &d.OID, &d.At, &d.Epoch, &backends, &reset, &check)
	for i := range counters {
		dest = append(dest, &counters[i])
	}
	for i := range timers {
		dest = append(dest, &timers[i])
	}
	if err := row.Scan(dest...); err != nil {
		return d, err
	}
	if backends != nil {
		d.Backends = sample.Int{V: *backends, Known: true}
	}
	if reset != nil {
		d.StatsReset = reset.UnixMicro()
	}
	if check != nil {
		d.ChecksumLastFailure = check.UnixMicro()
	}
	for i, v := range counters {
		if v != nil {
			d.Counters[i] = sample.Int{V: *v, Known: true}
		}
	}
	for i, v := range timers {
		if v != nil {
			d.Timers[i] = sample.Float{V: *v, Known: true}
		}
	}
	d.At, d.Epoch = d.At.UTC(), d.Epoch.UTC()
	return d, nil
}

func suffixed(names []string, suffix string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = n + suffix
	}
	return out
}
