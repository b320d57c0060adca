// Package pgtest owns real PostgreSQL servers and databases for tests.
//
// A test binary has one cluster for its databases, made when the first test
// asks for one and gone at the end:
//
//	func TestMain(m *testing.M) { pgtest.Main(m) }
//
// StatsDB and EmptyDB give a test a database of its own on it. Target gives a
// test a server of its own, to be sampled, stopped, killed or paused, of any
// version that Binaries finds. Nothing here waits for the disk, and every
// server ends with the test binary, however that ends.
//
// The variables it reads: CI=true makes missing programs a failure instead of
// a skip; PGTEST_VERSIONS, such as "10 15 18 19", names the versions that Versions
// returns; PGTEST_KEEP=1 keeps the data folder of a binary with failed tests.
package pgtest
