// Package target owns what is watched: a server's identity, how it is
// reached, how often it is asked, and whether that makes sense.
//
// Values go in from the API, the command line and the store, and out to
// everything that visits a server. A Target that passed Validate can be
// dialled; nothing here dials. A Target's ID never changes and is never
// reused: history belongs to it, not to the name.
package target
