// Package journal owns what is not yet committed to stats_db: every visit since
// the last flush, on disk, in order, bounded.
//
// Visits go in as they end and are on disk after the next Sync, one fsync for
// all of them. They come out in the same order, as often as they are asked
// for, until Done says that stats_db has them: a kill at any point costs at
// most what was added since the last Sync. When the disk fails, visits wait in
// memory; when the bound is reached, the oldest go first and are counted. A
// damaged page of the file costs the records on it. One process holds a journal at
// a time.
package journal
