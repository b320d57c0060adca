// Package postgres owns a private PostgreSQL: finding or installing its programs,
// making the data folder, starting, stopping; and how a program runs as a child.
//
// A Cluster is a data folder and the server on it. What must hold:
//
//   - a data folder is complete or absent: it is made under another name and
//     renamed, so a kill in the middle leaves nothing half made;
//   - the server listens on a Unix socket and on 127.0.0.1, and on nothing else;
//   - a child is in a process group of its own, so a Ctrl-C in the terminal reaches
//     only its parent, which decides when to stop it; it ends with its parent,
//     however that ends (Linux);
//   - a server that is left over all the same is stopped by the next Start, so
//     there are never two on a folder;
//   - PostgreSQL refuses to run as root, so root runs it as another user.
//
// A folder belongs to one process at a time, which its owner sees to. The package
// needs a Unix system and uses no PostgreSQL client.
package postgres
