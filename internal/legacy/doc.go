// Package legacy owns what the Python version left behind: its folder (users,
// servers, the key of their secrets) and its tables (June 2025: pg_statistics
// and db_creation on each server; later: statistics and db_info in one
// database).
//
// It reads and never writes. An entry or a row that cannot be understood is
// left out by itself and counted, with a reason for a person; no error and no
// reason holds a secret. What is read twice gives the same twice, so importing
// it again changes nothing. Tables are read in pages, each a statement of its
// own, so nothing is held open on a server that is being watched.
package legacy
