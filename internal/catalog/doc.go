// Package catalog owns what people tell pgam, as it is kept in stats_db: servers,
// accounts, SSH keys and settings. Secrets go in and come out as secret.Value and
// lie there sealed, each bound to what it opens. Every change is one transaction
// whose commit is confirmed, or said not to be.
package catalog
