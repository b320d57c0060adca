// Package ingest owns writing the history: what was sampled goes to recent rows
// by slot, and from there into a row a bucket, with everything that is derived
// from it. It owns what the history needs beside that, too: partitions, their
// retention, what is purged or forgotten, and who samples.
//
// What must hold at every instant, whatever is written twice, late, by two
// collectors or by half: the buckets that are compacted, and the recent rows of
// those that are not, are each planned second of a server once, the better look
// at it. It holds because whoever writes or compacts a server's samples locks its
// row of history.progress first and reads after that, because rows are merged by
// tick, and because all that is derived from a bucket is derived anew from the
// merged bucket.
package ingest
