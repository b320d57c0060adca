// Package remote owns reaching a target: how a connection to its PostgreSQL
// is made, bounded and classified when it fails, and how its host is entered
// over SSH.
//
// A target goes in, a driver configuration or a connection comes out; errors
// become a sample.Reason, so that nobody else reads driver texts. Every
// connection carries server-side limits in its start-up packet, sends no
// password in the clear without verified TLS, and reads texts as the server
// holds them, without conversion.
//
// Over SSH (Shells) nothing about a user is said before the host has shown a
// key that was pinned to the server or stands in the known_hosts file. Only the
// stored key or password is offered. Every step ends in time whatever the host
// does: SSH's own calls know no deadlines, so they are made on the side and
// freed by closing the connection.
package remote
