// Package cluster owns a private local PostgreSQL cluster: finding or
// installing the binaries, making the data folder, starting, stopping.
//
// A Cluster is a data folder and the server on it. What must hold:
//
//   - a data folder is complete or absent: it is made under another name and
//     renamed, so a kill in the middle leaves nothing half made;
//   - the server listens on a Unix socket and, if asked, on 127.0.0.1, and on
//     nothing else;
//   - the server is a child in a process group of its own, so a Ctrl-C in the
//     terminal reaches only its parent, which decides when to stop it;
//   - a server that a killed parent left behind is taken over by the next
//     Start, never doubled;
//   - PostgreSQL refuses to run as root, so root runs it as another user.
//
// The package needs a Unix system and uses no PostgreSQL client.
package cluster
