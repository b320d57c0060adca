package ingest

import (
	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// queueInventory writes which databases there are.
func queueInventory(b *pgx.Batch, server target.ID, inv *sample.Inventory) {
	if inv == nil {
		return
	}
	n := len(inv.Databases)
	oids, names, encodings := make([]uint32, n), make([]string, n), make([]string, n)
	templates, allowed := make([]bool, n), make([]bool, n)
	for i, d := range inv.Databases {
		oids[i], names[i], templates[i], allowed[i], encodings[i] = d.OID, d.Name, d.IsTemplate, d.AllowConnect, d.Encoding
	}
	b.Queue(sql("insert_databases"), named{
		"server_id": server, "at": inv.At, "listed_before": !inv.Since.IsZero(),
		"oids": oids, "names": names, "templates": templates, "allowed": allowed, "encodings": encodings,
	})
	b.Queue(sql("drop_databases"), named{"server_id": server, "at": inv.At})
}
