// Package local owns running everything together: a private PostgreSQL with
// stats_db, the collector and the API, in one folder, without set-up; and a load
// on it, so that there is something to see.
//
// A folder goes in; a running API with a first user and a first server to look
// at comes out. What must hold:
//
//   - the programs are the real ones, started as children with the settings
//     that any other installation gives them; nothing is wired in process;
//   - one folder is run by one process at a time, which a lock sees to;
//   - every step can be repeated: a start on a folder that was used before, or
//     was left in the middle of anything by a kill, goes on from there;
//   - secrets are made here, lie in files of mode 600, and are never replaced
//     while something depends on them; stats_db sees only hashes of passwords;
//   - children end with this process, however that ends (Linux), and stop in
//     the order API, collector, PostgreSQL.
package local
