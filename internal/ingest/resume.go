package ingest

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

// Resume reads what the history remembers of a server: who it was, when it was
// last asked what need not be asked again, and what events are told against.
func (w *Writer) Resume(ctx context.Context, server target.ID) (sample.Resume, error) {
	var r sample.Resume
	var seen sample.Visit
	args := named{"server_id": server}
	b := &pgx.Batch{}
	b.Queue(sql("resume"), args).QueryRow(func(row pgx.Row) (err error) {
		r.Identity, r.Listed, r.Sized, err = scanResume(row)
		return err
	})
	b.Queue(sql("resume_memory"), args).Query(func(rows pgx.Rows) error {
		return scanMemory(rows, &r.Memory)
	})
	b.Queue(sql("resume_databases"), args).Query(func(rows pgx.Rows) (err error) {
		seen.Databases, err = pgx.CollectRows(rows, scanStat)
		return err
	})
	if err := w.pool.SendBatch(ctx, b).Close(); err != nil {
		return sample.Resume{}, fmt.Errorf("resume server %d: %w", server, statsdb.Classify(err))
	}
	if r.Identity == nil {
		return sample.Resume{Sized: r.Sized}, nil
	}
	identity := *r.Identity
	seen.Identity = &identity
	r.Memory.Learn(&seen)
	return r, nil
}

func scanResume(row pgx.Row) (i *sample.Identity, listed, sized time.Time, err error) {
	var (
		since, postmaster, checkpointer, listedAt, sizedAt *time.Time
		versionNum, timeline                               *int32
		version                                            *string
		system                                             *int64
		recovery                                           *bool
	)
	if err := row.Scan(&since, &versionNum, &version, &system, &timeline, &postmaster, &recovery, &checkpointer, &listedAt, &sizedAt); err != nil {
		return nil, listed, sized, err
	}
	utc := func(t *time.Time) time.Time {
		if t == nil {
			return time.Time{}
		}
		return t.UTC()
	}
	if since != nil {
		i = &sample.Identity{
			At: utc(since), VersionNum: *versionNum, Version: *version, SystemIdentifier: *system, TimelineID: *timeline,
			PostmasterStart: utc(postmaster), InRecovery: *recovery, CheckpointerStart: utc(checkpointer),
		}
	}
	return i, utc(listedAt), utc(sizedAt), nil
}

// scanMemory reads names of databases, by oid, and settings, without one.
func scanMemory(rows pgx.Rows, m *sample.Memory) error {
	var (
		oid         *uint32
		name, value *string
	)
	_, err := pgx.ForEachRow(rows, []any{&oid, &name, &value}, func() error {
		if oid != nil {
			if m.Names == nil {
				m.Names = make(map[uint32]string)
			}
			m.Names[*oid] = *name
			return nil
		}
		if m.Settings == nil {
			m.Settings = make(map[string]string)
		}
		m.Settings[*name] = *value
		return nil
	})
	return err
}
