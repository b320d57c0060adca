package ingest

import (
	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// queueVisit writes what a visit yielded besides its tick.
func queueVisit(b *pgx.Batch, server target.ID, v *sample.Visit) {
	queueEntries(b, server, &v.Entries)
}
