// Package collector owns when to ask: which server is visited in which tick,
// how long a visit may take, how long to wait after a failure, and when what
// was seen goes to the history. It is the only importer of gocron.
//
// Ten jobs, one for each tenth of a second, start the visits of the servers whose
// id hashes to it and wait for none of them, so that starts are spread and stay put
// over restarts. What must hold: every planned tick of a watched
// server goes into the journal with exactly one outcome; a server has at most
// one visit, one attempt to connect, one round of sizes, one look at its disks
// and two connections at a time; what is in the journal stays there until the
// history has it; nothing one server does, nor what the history says of it,
// delays another; and what panics for one server costs nobody else anything.
package collector
