// Package bench measures what watching costs, the server, the collector and
// stats_db, and how fast the API answers. It holds benchmarks only; make bench
// runs them.
//
// Figures that depend on the machine are reported as ratios to a floor that is
// measured in the same run, in turns. The data of the write path are
// synthetic: fifty active sessions a tick, of which eight run one statement
// for minutes, twelve for seconds and thirty a new one every tick, with 300
// statements by a Zipf law and 43 waits.
package bench
