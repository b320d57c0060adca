// Package remote owns reaching a target: how a connection to its PostgreSQL
// is made, bounded and classified when it fails.
//
// A target goes in, a driver configuration or a connection comes out; errors
// become a sample.Reason, so that nobody else reads driver texts. Every
// connection carries server-side limits in its start-up packet, sends no
// password in the clear without verified TLS, and reads texts as the server
// holds them, without conversion.
package remote
