package ingest

import (
	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// queueEvents writes what happened, unless it is known.
func queueEvents(b *pgx.Batch, server target.ID, v *sample.Visit) {
	for i := range v.Events {
		e := &v.Events[i]
		args := named{
			"server_id": server, "at": e.At, "kind": string(e.Kind), "subject": e.Subject, "old": orNull(e.Old), "new": orNull(e.New),
			"detail": orNull(e.Detail), "seen_at": e.At, "oid": uint32(0),
			"in_recovery": false, "version_num": int32(0), "version": "", "system_identifier": int64(0),
		}
		switch e.Kind {
		case sample.EventDatabaseCreated, sample.EventDatabaseRenamed, sample.EventDatabaseDropped:
			if v.Inventory != nil {
				args["oid"] = oidOf(v.Inventory, e.Subject)
			}
		case sample.EventSetting:
			if v.Settings != nil {
				args["seen_at"] = v.Settings.At
			}
		case sample.EventPromotion, sample.EventDemotion, sample.EventInstance, sample.EventVersion:
			if i := v.Identity; i != nil {
				args["in_recovery"], args["version_num"], args["version"], args["system_identifier"] = i.InRecovery, i.VersionNum, i.Version, i.SystemIdentifier
			}
		default:
		}
		b.Queue(sql("insert_event"), args)
	}
}

func oidOf(inv *sample.Inventory, name string) uint32 {
	for _, d := range inv.Databases {
		if d.Name == name {
			return d.OID
		}
	}
	return 0
}

func queueSettings(b *pgx.Batch, server target.ID, s *sample.Settings) {
	if s == nil {
		return
	}
	if len(s.Set) > 0 {
		names, values := make([]string, len(s.Set)), make([]string, len(s.Set))
		for i, n := range s.Set {
			names[i], values[i] = n.Name, n.Value
		}
		b.Queue(sql("insert_settings"), named{"server_id": server, "at": s.At, "names": names, "values": values})
	}
	if len(s.Gone) > 0 {
		b.Queue(sql("delete_settings"), named{"server_id": server, "at": s.At, "names": s.Gone})
	}
}

func queueHorizon(b *pgx.Batch, server target.ID, all []sample.Horizon) {
	for _, h := range all {
		b.Queue(sql("insert_horizon"), named{
			"server_id": server, "at": h.At, "holder": string(h.Holder), "name": h.Name, "xmin_age": h.Age,
		})
	}
}
