package ingest

import (
	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// queueDisks writes how full the file systems of a server's host are, and how many
// processors it has.
func queueDisks(b *pgx.Batch, server target.ID, d *sample.Disks) {
	if d == nil {
		return
	}
	if d.CPUs > 0 {
		b.Queue(sql("insert_cpu_count"), named{"server_id": server, "since": d.At, "cpu_count": d.CPUs})
	}
	for i := range d.FileSystems {
		f := &d.FileSystems[i]
		args := named{
			"server_id": server, "mount_point": f.MountPoint, "device": f.Device, "uses": f.Uses, "source": string(d.Source), "at": d.At,
			"total_bytes": known(f.Total), "free_bytes": known(f.Free), "inodes_total": known(f.Inodes), "inodes_free": known(f.InodesFree),
		}
		b.Queue(sql("insert_file_system"), args)
		b.Queue(sql("insert_disk_usage"), args)
	}
}

// known gives a null for a number that is not known.
func known(n sample.Int) *int64 {
	if !n.Known {
		return nil
	}
	return &n.V
}
