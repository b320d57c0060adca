package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

// Append writes a batch in one transaction. Doing it twice stores it once: the
// rows' own keys say what is there already, and a window's share of its
// minute, and a sample's of its rollups, is added only with it. An error is for
// later, unless stats_db refused the data. A missing partition is made. With
// NewLease it writes only while the lease is in force, as the transaction itself
// finds: who lost it adds nothing to what its successor has. It writes nothing to a
// stats_db that is not the one of before: ErrReplaced.
func (s *Store) Append(ctx context.Context, b sample.Batch) error { return s.write(ctx, b, false) }

// HandIn is Append for who stands by, with or without a lease: of what was seen
// before, that is written which nobody has. Whoever has the lease sees it.
func (s *Store) HandIn(ctx context.Context, b sample.Batch) error { return s.write(ctx, b, true) }

func (s *Store) write(ctx context.Context, b sample.Batch, handIn bool) error {
	err := s.append(ctx, b, handIn)
	if said, ok := errors.AsType[*pgconn.PgError](err); ok && said.Code == statsdb.CheckViolation && said.ConstraintName == "" {
		made := s.partitionsFor(ctx, b) // of all tables: one that this batch does not need may fail
		if err = s.append(ctx, b, handIn); err != nil {
			err = errors.Join(made, err) // why there is no partition, before that there is none
		}
	}
	if errors.Is(err, ErrNotHeld) {
		return fmt.Errorf("append history: %w: %w", statsdb.ErrUnavailable, err)
	}
	if err != nil {
		return fmt.Errorf("append history: %w", statsdb.Classify(err))
	}
	return nil
}

func (s *Store) append(ctx context.Context, b sample.Batch, handIn bool) (err error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil && !statsdb.Refused(err) {
			_ = conn.Conn().Close(ctx) // what is prepared on it, or allowed to it, may be what is wrong
		}
		conn.Release()
	}()
	if err := s.mark.learn(ctx, conn); err != nil {
		return err
	}
	w, err := newWriter(ctx, conn.Conn())
	if err != nil {
		return err
	}
	if !handIn {
		if err := s.leaseInForce(w); err != nil {
			return errors.Join(err, w.end())
		}
	}
	committed, err := s.mark.advance(w)
	if err != nil {
		return errors.Join(err, w.end())
	}
	switch {
	case handIn:
		w.alone = time.Now().AddDate(1000, 0, 0)
	case s.lease.Load() == nil:
		w.alone = time.Time{}
	}
	if b, err = w.unlessStored(b); err != nil {
		return errors.Join(err, w.end())
	}
	for _, v := range b.Visits {
		w.entries(v.Server, &v.Entries)
		if v.Identity != nil {
			w.identity(v.Server, v.Identity)
		}
		if v.Inventory != nil {
			w.inventory(v.Server, v.Inventory)
		}
		w.databases(v.Server, v.Databases)
		w.sizes(v.Server, v.Sizes)
		if v.Disks != nil {
			w.disks(v.Server, v.Disks)
		}
		w.news(v)
	}
	for i := range b.Windows {
		w.window(&b.Windows[i])
	}
	w.revisions(b.Visits)
	if err := w.end(); err != nil {
		return err
	}
	committed()
	return nil
}

// writer sends statements as they come, in one implicit transaction: the
// server works on the first while the next are still being built.
type writer struct {
	pipe       *pgconn.Pipeline
	types      *pgtype.Map
	statements map[string]*pgconn.StatementDescription
	p          params
	unflushed  int
	alone      time.Time // before it, others may have written too
	err        error
}

// flushBytes is how much is built before it is sent.
const flushBytes = 256 << 10

var binaryFormat = []int16{1} //nolint:gochecknoglobals // constant

// newWriter begins on a connection, which it has to itself until end.
func newWriter(ctx context.Context, conn *pgx.Conn) (*writer, error) {
	w := &writer{types: conn.TypeMap(), statements: make(map[string]*pgconn.StatementDescription)}
	for name, sql := range map[string]string{
		"pgam_session": insertSession, "pgam_wait": insertWait, "pgam_query": insertQuery, "pgam_window": insertWindow(""), "pgam_window_late": insertLateWindow(),
		"pgam_identity": insertIdentity, "pgam_database": upsertDatabase, "pgam_database_drop": dropDatabases,
		"pgam_database_stat": insertDatabaseStats(), "pgam_size": insertSizes,
		"pgam_revision_advance": advanceRevision, "pgam_file_system": upsertFileSystem, "pgam_disk_usage": insertDiskUsage,
		"pgam_lock": insertLock, "pgam_event": insertEvent, "pgam_setting": upsertSettings, "pgam_setting_gone": deleteSettings,
		"pgam_horizon": insertHorizon, "pgam_mark": advanceMark, "pgam_lease_held": leaseHeld,
		"pgam_alone": aloneAfter, "pgam_stored": selectStored, "pgam_counted": selectCounted, "pgam_counted_within": selectCountedWithin(),
	} {
		stmt, err := conn.Prepare(ctx, name, sql) // known from the second time on
		if err != nil {
			return nil, err
		}
		w.statements[name] = stmt
	}
	w.pipe = conn.PgConn().StartPipeline(ctx)
	return w, nil
}

// send adds one statement with the parameters in w.p.
func (w *writer) send(name string) {
	if w.err == nil {
		w.pipe.SendQueryStatement(w.statements[name], w.p.list(), binaryFormat, binaryFormat)
		if w.unflushed += len(w.p.buf); w.unflushed >= flushBytes {
			w.err, w.unflushed = w.pipe.Flush(), 0
		}
	}
	w.p.reset()
}

// ask sends one statement with the parameters in w.p and waits for its rows. It
// belongs to the transaction; nothing may be sent before it.
func ask[T any](w *writer, name string, row pgx.RowToFunc[T]) ([]T, error) {
	w.pipe.SendQueryStatement(w.statements[name], w.p.list(), binaryFormat, binaryFormat)
	w.p.reset()
	w.pipe.SendFlushRequest()
	if err := w.pipe.Flush(); err != nil {
		return nil, err
	}
	result, err := w.pipe.GetResults()
	if err != nil {
		return nil, err
	}
	r, ok := result.(*pgconn.ResultReader)
	if !ok {
		return nil, fmt.Errorf("read rows of %s: got %T", name, result)
	}
	return pgx.CollectRows(pgx.RowsFromResultReader(w.types, r), row)
}

// end commits, and gives the first error.
func (w *writer) end() error {
	if w.err == nil {
		w.err = w.pipe.Sync()
	}
	for w.err == nil {
		result, err := w.pipe.GetResults()
		if err != nil {
			w.err = err
			break
		}
		if r, ok := result.(*pgconn.ResultReader); ok {
			_, w.err = r.Close()
			continue
		}
		break // the sync point: it is committed
	}
	if err := w.pipe.Close(); w.err == nil {
		w.err = err
	}
	return w.err
}

// revisions says of which servers' databases there is something new.
func (w *writer) revisions(visits []*sample.Visit) {
	servers := make(map[target.ID]bool)
	for _, v := range visits {
		if v.Inventory != nil || len(v.Databases) > 0 || len(v.Sizes) > 0 {
			servers[v.Server] = true
		}
	}
	for _, id := range slices.Sorted(maps.Keys(servers)) {
		w.p.int8(int64(id))
		w.send("pgam_revision_advance")
	}
}

// sessionInto are the columns of the parameters of a session.
const sessionInto = `(server_id, day, id, pid, backend_start, database_oid, database_name, user_oid, user_name,
       application_name, client_addr, backend_type, leader_pid)`

func (p *params) session(server target.ID, n *sample.SessionEntry) {
	p.int8(int64(server))
	p.day(n.Day)
	p.int4(n.ID)
	p.int4(n.PID)
	orNull(p, n.BackendStart, 0, p.micros)
	orNull(p, n.DatabaseOID, 0, p.oid)
	orNull(p, n.Database, "", p.text)
	orNull(p, n.UserOID, 0, p.oid)
	orNull(p, n.User, "", p.text)
	p.text(n.Application)
	orNull(p, n.ClientAddr, "", p.text)
	p.text(n.BackendType)
	orNull(p, n.LeaderPID, 0, p.int4)
}

const insertSession = `/* pgam:append */
insert into history.session as s ` + sessionInto + `
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
on conflict (server_id, day, id) do update
   set database_name = excluded.database_name, user_name = excluded.user_name
 where (s.database_name is null and excluded.database_name is not null)
    or (s.user_name is null and excluded.user_name is not null)`

const insertWait = `/* pgam:append */
insert into history.wait (server_id, id, state, wait_event_type, wait_event)
values ($1, $2, $3, $4, $5)
on conflict (server_id, id) do nothing`

func (w *writer) entries(server target.ID, e *sample.Entries) {
	p := &w.p
	for i := range e.Sessions {
		p.session(server, &e.Sessions[i])
		w.send("pgam_session")
	}
	for i := range e.Waits {
		n := &e.Waits[i]
		p.int8(int64(server))
		p.int2(n.ID)
		p.text(n.State)
		p.text(n.Type)
		p.text(n.Event)
		w.send("pgam_wait")
	}
	for i := range e.Queries {
		n := &e.Queries[i]
		p.int8(int64(server))
		p.int4(n.ID)
		p.int8(n.QueryID)
		p.bool(n.Own)
		orNull(p, n.Text, "", p.text)
		p.day(n.Day)
		p.bool(n.Full)
		w.send("pgam_query")
	}
	w.locks(server, e.Locks)
}

const insertIdentity = `/* pgam:append */
insert into history.server_identity (server_id, since, version_num, version, system_identifier, timeline_id, postmaster_start, in_recovery,
       checkpointer_start)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
on conflict (server_id, since) do nothing`

func (w *writer) identity(server target.ID, i *sample.Identity) {
	p := &w.p
	p.int8(int64(server))
	p.time(i.At)
	p.int4(i.VersionNum)
	p.text(i.Version)
	orNull(p, i.SystemIdentifier, 0, p.int8)
	orNull(p, i.TimelineID, 0, p.int4)
	p.time(i.PostmasterStart)
	p.bool(i.InRecovery)
	orNull(p, i.CheckpointerStart, time.Time{}, p.time)
	w.send("pgam_identity")
}

// The inventory is complete: a name that is not in it any more was dropped or
// renamed. Replaying an older inventory after a newer one changes nothing.
const (
	upsertDatabase = `/* pgam:append */
insert into history.database as d (server_id, oid, name, is_template, allow_connect, encoding, created_at, first_seen_at, last_seen_at)
values ($1, $2, $3, $4, $5, $6,
        case when not exists (select from history.database o where o.server_id = $1 and o.oid = $2) then $8::timestamptz end, $7, $7)
on conflict (server_id, oid, name) do update
   set is_template = excluded.is_template, allow_connect = excluded.allow_connect, encoding = excluded.encoding,
       last_seen_at = excluded.last_seen_at, dropped_at = null
 where d.last_seen_at < excluded.last_seen_at`
	dropDatabases = `/* pgam:append */
update history.database d
   set dropped_at = $2
 where d.server_id = $1 and d.dropped_at is null and d.last_seen_at < $2`
)

func (w *writer) inventory(server target.ID, inv *sample.Inventory) {
	p := &w.p
	for i := range inv.Databases {
		d := &inv.Databases[i]
		p.int8(int64(server))
		p.oid(d.OID)
		p.text(d.Name)
		p.bool(d.IsTemplate)
		p.bool(d.AllowConnect)
		p.text(d.Encoding)
		p.time(inv.At)
		if inv.Since.IsZero() {
			p.null() // it may be older than our first look
		} else {
			p.time(inv.At)
		}
		w.send("pgam_database")
	}
	p.int8(int64(server))
	p.time(inv.At)
	w.send("pgam_database_drop")
}

const upsertFileSystem = `/* pgam:append */
insert into history.file_system as f (server_id, mount_point, device, uses, source, first_seen_at, last_seen_at)
values ($1, $2, $3, $4, $5, $6, $6)
on conflict (server_id, mount_point) do update
   set device = excluded.device, uses = excluded.uses, source = excluded.source, last_seen_at = excluded.last_seen_at
 where f.last_seen_at < excluded.last_seen_at
   and ((f.device, f.uses, f.source) is distinct from (excluded.device, excluded.uses, excluded.source)
        or f.last_seen_at <= excluded.last_seen_at - interval '5 minutes')`

const insertDiskUsage = `/* pgam:append */
with u as (
    insert into history.disk_usage (server_id, sampled_at, mount_point, total_bytes, free_bytes, inodes_total, inodes_free)
    values ($1, $2, $3, $4, $5, $6, $7)
    on conflict (server_id, sampled_at, mount_point) do nothing
    returning sampled_at, total_bytes, free_bytes, inodes_free
)
insert into history.disk_rollup as r (server_id, bucket, mount_point, samples, last_sample_at, total_bytes, free_bytes, free_bytes_min, inodes_free)
select $1, date_bin('1 hour', u.sampled_at, timestamptz 'epoch'), $3, 1, u.sampled_at, u.total_bytes, u.free_bytes, u.free_bytes, u.inodes_free
  from u` + growDiskRollup

func (w *writer) disks(server target.ID, d *sample.Disks) {
	p := &w.p
	for i := range d.FileSystems {
		f := &d.FileSystems[i]
		p.int8(int64(server))
		p.text(f.MountPoint)
		p.text(f.Device)
		p.texts(f.Uses)
		p.text(string(d.Source))
		p.time(d.At)
		w.send("pgam_file_system")
		p.int8(int64(server))
		p.time(d.At)
		p.text(f.MountPoint)
		p.knownInt(f.Total)
		p.knownInt(f.Free)
		p.knownInt(f.Inodes)
		p.knownInt(f.InodesFree)
		w.send("pgam_disk_usage")
	}
}
