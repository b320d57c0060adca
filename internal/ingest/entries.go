package ingest

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// queueEntries writes what keys stand for. Writing it twice, or in another order,
// stores the same: of each key what is missing, and the last day it was seen.
func queueEntries(b *pgx.Batch, server target.ID, e *sample.Entries) {
	for i := range e.Sessions {
		n := &e.Sessions[i]
		b.Queue(sql("insert_session"), named{
			"server_id": server, "day": date(n.Day), "key": n.Key, "pid": n.PID, "backend_start": instant(n.BackendStart),
			"database_oid": orNull(n.DatabaseOID), "database_name": orNull(n.Database), "user_oid": orNull(n.UserOID), "user_name": orNull(n.User),
			"application_name": n.Application, "client_addr": orNull(n.ClientAddr), "backend_type": n.BackendType, "leader_pid": orNull(n.LeaderPID),
		})
	}
	for i := range e.Waits {
		n := &e.Waits[i]
		b.Queue(sql("insert_wait"), named{
			"server_id": server, "key": n.Key, "class": int16(n.Class), "state": n.State, "wait_event_type": n.Type, "wait_event": n.Event, "day": date(n.Day),
		})
	}
	for i := range e.Queries {
		n := &e.Queries[i]
		b.Queue(sql("insert_query"), named{
			"server_id": server, "key": n.Key, "query_id": n.QueryID, "own": n.Own, "text": orNull(n.Text), "text_full": n.Full, "day": date(n.Day),
		})
	}
	for i := range e.Locks {
		n := &e.Locks[i]
		b.Queue(sql("insert_lock"), named{
			"server_id": server, "key": n.Key, "lock_type": n.Type, "mode": n.Mode, "database_oid": orNull(n.DatabaseOID),
			"relation_oid": orNull(n.RelationOID), "relation_name": orNull(n.Relation), "day": date(n.Day),
		})
	}
}

// date gives a day, counted from the Unix epoch, as PostgreSQL's date.
func date(day int32) time.Time { return time.Unix(int64(day)*86400, 0).UTC() }

func instant(micros int64) *time.Time {
	if micros == 0 {
		return nil
	}
	t := time.UnixMicro(micros).UTC()
	return &t
}

// orNull gives nothing in the place of a zero.
func orNull[T comparable](v T) *T {
	if v == *new(T) {
		return nil
	}
	return &v
}

// labels are what the sessions of a bucket are counted by beside waits and
// statements: texts, by their keys.
type labels struct {
	hash   sample.Hash
	server target.ID
	day    time.Time
	by     map[sample.Key]sample.Labels
	texts  map[sample.Key]label
}

type label struct {
	dimension sample.Dimension
	text      string
}

func newLabels(hash sample.Hash, server target.ID, bucket time.Time) *labels {
	return &labels{hash, server, bucket.Truncate(24 * time.Hour), make(map[sample.Key]sample.Labels), make(map[sample.Key]label)}
}

// of gives the labels of a session that was learnt.
func (l *labels) of(session sample.Key) sample.Labels { return l.by[session] }

// learn reads what some sessions are counted by.
func (l *labels) learn(ctx context.Context, tx pgx.Tx, sessions []sample.Key) error {
	var wanted []sample.Key
	for _, k := range sessions {
		if _, known := l.by[k]; !known {
			wanted = append(wanted, k)
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	rows, err := tx.Query(ctx, sql("read_sessions"), named{"server_id": l.server, "day": l.day, "keys": wanted})
	if err != nil {
		return err
	}
	var (
		session sample.Key
		texts   [sample.NumLabels]string
	)
	_, err = pgx.ForEachRow(rows, []any{&session, &texts[0], &texts[1], &texts[2], &texts[3], &texts[4]}, func() error {
		var of sample.Labels
		for i, text := range texts {
			d := sample.ByDatabase + sample.Dimension(i)
			if of[i] = l.hash.Label(d, text); text != "" {
				l.texts[of[i]] = label{d, text}
			}
		}
		l.by[session] = of
		return nil
	})
	return err
}

// queue writes the texts of the labels that rollups list.
func (l *labels) queue(b *pgx.Batch, all *rollups) {
	var (
		keys       []sample.Key
		dimensions []int16
		texts      []string
	)
	for d := sample.ByDatabase; d <= sample.ByBackendType; d++ {
		for _, k := range all[d].Keys {
			if one, known := l.texts[k]; known {
				keys, dimensions, texts = append(keys, k), append(dimensions, int16(one.dimension)), append(texts, one.text)
			}
		}
	}
	if len(keys) > 0 {
		b.Queue(sql("insert_label"), named{"server_id": l.server, "day": l.day, "keys": keys, "dimensions": dimensions, "texts": texts})
	}
}
