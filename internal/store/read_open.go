package store

import (
	"slices"
	"time"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/target"
)

// openBuckets asks for the buckets of a range that are due. It must be asked
// before the sums are read: one that is not due then is as good as what it was
// made of.
func openBuckets(id target.ID, r history.Range, to *[]history.Open) question {
	return question{
		name: "pgam_open_buckets",
		sql: `/* pgam:open_buckets */
select step_seconds, bucket
  from history.rollup_due
 where server_id = $1
   and bucket > $2
   and bucket < $3`,
		args: func(p *params) {
			p.int8(int64(id))
			p.time(r.From.Add(-24 * time.Hour))
			p.time(r.To)
		},
		row: func(v values) {
			*to = append(*to, history.Open{Step: time.Duration(v.int4(0)) * time.Second, Start: v.time(1)})
		},
	}
}

func sortOpen(open []history.Open) {
	slices.SortFunc(open, func(a, b history.Open) int { return a.Start.Compare(b.Start) })
}
