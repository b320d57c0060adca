package store

import (
	"context"
	"fmt"
	"time"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

// sizeLookback is how old a size may be to stand for the start of a range.
const sizeLookback = 24 * time.Hour

// inventory asks for the databases of a server; for one name only, for those
// that have or had it, under all their names.
func inventory(id target.ID, only *string, to *[]history.Database) question {
	return question{
		name: "pgam_inventory",
		sql: `/* pgam:inventory */
select oid, name, is_template, allow_connect, encoding, created_at, first_seen_at, last_seen_at, dropped_at
  from history.database
 where server_id = $1
   and ($2::text is null or oid in (select o.oid from history.database o where o.server_id = $1 and o.name = $2))
 order by name collate "C", first_seen_at`,
		args: func(p *params) {
			p.int8(int64(id))
			p.textOrNull(only)
		},
		row: func(v values) {
			d := history.Database{
				OID: v.oid(0), Name: v.text(1), IsTemplate: v.bool(2), AllowConnect: v.bool(3),
				CreatedAt: v.timeOrNil(5), FirstSeenAt: v.time(6), LastSeenAt: v.time(7), DroppedAt: v.timeOrNil(8),
			}
			if !v.null(4) {
				encoding := v.text(4)
				d.Encoding = &encoding
			}
			*to = append(*to, d)
		},
	}
}

// Inventory lists the databases that a server has and had, by name.
func (s *Store) Inventory(ctx context.Context, id target.ID) ([]history.Database, error) {
	list := []history.Database{}
	if err := s.ask(ctx, inventory(id, nil, &list)); err != nil {
		return nil, fmt.Errorf("read inventory: %w", statsdb.Classify(err))
	}
	return list, nil
}

// DatabaseNow gives the newest that is known of a database, by its name; of
// several in the course of time, of the one seen last. The error is
// history.ErrNoDatabase if none is known.
func (s *Store) DatabaseNow(ctx context.Context, id target.ID, name string) (history.DatabaseNow, error) {
	var (
		now  history.DatabaseNow
		list []history.Database
	)
	if err := s.ask(ctx, inventory(id, &name, &list)); err != nil {
		return now, fmt.Errorf("read database: %w", statsdb.Classify(err))
	}
	for _, d := range list {
		if d.Name == name && (now.Database.Name == "" || d.LastSeenAt.After(now.Database.LastSeenAt)) {
			now.Database = d
		}
	}
	if now.Database.Name == "" {
		return now, history.ErrNoDatabase
	}
	if err := s.ask(ctx, newestStat(id, &now), newestSize(id, &now)); err != nil {
		return now, fmt.Errorf("read database: %w", statsdb.Classify(err))
	}
	return now, nil
}

// A database that is gone has no sample after its last inventory but one: the
// bounds of these two keep the search from going through all of history.

func newestStat(id target.ID, now *history.DatabaseNow) question {
	return question{
		name: "pgam_database_now",
		sql: `/* pgam:database_now */
select sampled_at, numbackends, xact_commit_total
  from history.database_stat
 where server_id = $1
   and database_oid = $2
   and sampled_at > $3
   and sampled_at < $4
 order by sampled_at desc
 limit 1`,
		args: func(p *params) {
			p.int8(int64(id))
			p.oid(now.Database.OID)
			p.time(now.Database.LastSeenAt.Add(-time.Hour))
			p.time(now.Database.LastSeenAt.Add(sizeLookback))
		},
		row: func(v values) {
			now.SampledAt = v.timeOrNil(0)
			if !v.null(1) {
				n := v.int4(1)
				now.Connections = &n
			}
			now.CommitsTotal = v.int8OrNil(2)
		},
	}
}

func newestSize(id target.ID, now *history.DatabaseNow) question {
	return question{
		name: "pgam_database_size_now",
		sql: `/* pgam:database_size_now */
select sampled_at, size_bytes
  from history.database_size
 where server_id = $1
   and database_oid = $2
   and sampled_at > $3
   and sampled_at < $4
   and size_bytes is not null
 order by sampled_at desc
 limit 1`,
		args: func(p *params) {
			p.int8(int64(id))
			p.oid(now.Database.OID)
			p.time(now.Database.LastSeenAt.Add(-time.Hour - sizeLookback))
			p.time(now.Database.LastSeenAt.Add(sizeLookback))
		},
		row: func(v values) { now.SizeAt, now.SizeBytes = v.timeOrNil(0), v.int8OrNil(1) },
	}
}
