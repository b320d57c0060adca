package ingest

import (
	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// queueVisit writes what a visit yielded besides its tick. Events come before the
// states that they tell of: whether they are news is judged by those.
func queueVisit(b *pgx.Batch, server target.ID, v *sample.Visit) {
	queueEntries(b, server, &v.Entries)
	queueEvents(b, server, v)
	queueIdentity(b, server, v.Identity)
	queueInventory(b, server, v.Inventory)
	queueDatabases(b, server, v)
	queueDisks(b, server, v.Disks)
	queueSettings(b, server, v.Settings)
	queueHorizon(b, server, v.Horizon)
}
