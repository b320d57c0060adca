package ingest

import (
	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// queueIdentity writes who answered, if it is not who did before.
func queueIdentity(b *pgx.Batch, server target.ID, i *sample.Identity) {
	if i == nil {
		return
	}
	b.Queue(sql("insert_identity"), named{
		"server_id": server, "since": i.At, "version_num": i.VersionNum, "version": i.Version,
		"system_identifier": orNull(i.SystemIdentifier), "timeline_id": orNull(i.TimelineID),
		"postmaster_start": i.PostmasterStart, "in_recovery": i.InRecovery, "checkpointer_start": orNull(i.CheckpointerStart),
	})
}
