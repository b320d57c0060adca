package store

import (
	"time"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

const insertLock = `/* pgam:append */
insert into history.lock as l (server_id, id, lock_type, mode, database_oid, relation_oid, relation_name, first_seen_on, last_seen_on)
values ($1, $2, $3, $4, $5, $6, $7, $8, $8)
on conflict (server_id, id) do update
   set relation_name = coalesce(l.relation_name, excluded.relation_name), last_seen_on = greatest(l.last_seen_on, excluded.last_seen_on)
 where (l.relation_name is null and excluded.relation_name is not null) or l.last_seen_on < excluded.last_seen_on`

func (w *writer) locks(server target.ID, all []sample.LockEntry) {
	p := &w.p
	for i := range all {
		l := &all[i]
		p.int8(int64(server))
		p.int4(l.ID)
		p.text(l.Type)
		p.text(l.Mode)
		orNull(p, l.DatabaseOID, 0, p.oid)
		orNull(p, l.RelationOID, 0, p.oid)
		orNull(p, l.Relation, "", p.text)
		p.day(l.Day)
		w.send("pgam_lock")
	}
}

const (
	insertEvent = `/* pgam:append */
insert into history.event (server_id, at, kind, subject, old, new, detail)
values ($1, $2, $3, $4, $5, $6, $7)
on conflict (server_id, at, kind, subject) do nothing`
	// What is known from a later look stays.
	upsertSettings = `/* pgam:append */
insert into history.setting as s (server_id, name, value, since)
select $1, n.name, n.value, $2
  from unnest($3::text[], $4::text[]) as n (name, value)
on conflict (server_id, name) do update
   set value = excluded.value, since = excluded.since
 where s.since < excluded.since`
	deleteSettings = `/* pgam:append */
delete from history.setting
 where server_id = $1 and since < $2 and name = any ($3::text[])`
	insertHorizon = `/* pgam:append */
insert into history.horizon (server_id, sampled_at, holder, name, xmin_age)
values ($1, $2, $3, $4, $5)
on conflict (server_id, sampled_at, holder, name) do nothing`
)

// news writes what may explain a step in a chart.
func (w *writer) news(v *sample.Visit) {
	p, server := &w.p, int64(v.Server)
	for _, n := range v.Events {
		p.int8(server)
		p.time(n.At)
		p.text(string(n.Kind))
		p.text(n.Subject)
		orNull(p, n.Old, "", p.text)
		orNull(p, n.New, "", p.text)
		orNull(p, n.Detail, "", p.text)
		w.send("pgam_event")
	}
	if s := v.Settings; s != nil {
		w.settings(server, s.At, s.Set, s.Gone)
	}
	for _, h := range v.Horizon {
		p.int8(server)
		p.time(h.At)
		p.text(string(h.Holder))
		p.text(h.Name)
		p.int8(h.Age)
		w.send("pgam_horizon")
	}
}

func (w *writer) settings(server int64, at time.Time, set []sample.Setting, gone []string) {
	p := &w.p
	if len(set) > 0 {
		p.int8(server)
		p.time(at)
		names, values := make([]string, len(set)), make([]string, len(set))
		for i, s := range set {
			names[i], values[i] = s.Name, s.Value
		}
		p.texts(names)
		p.texts(values)
		w.send("pgam_setting")
	}
	if len(gone) > 0 {
		p.int8(server)
		p.time(at)
		p.texts(gone)
		w.send("pgam_setting_gone")
	}
}
