// Package auth owns the proofs of who asks: passwords and tokens.
//
// A password is kept as a bcrypt hash. Hashing is slow on purpose, so a Hasher
// does only so many at a time and turns the rest away; it does the same work for
// a user that does not exist. A token is a JWT signed with HS256 by a shared
// key; it names a user's id and an epoch, and what that user may do is looked up at
// each request, never read from it.
//
// Invariants: a token is accepted only if every byte of it is as it was issued,
// under a key in force, for this issuer and audience, and in its time; no error
// and no print holds a password, a hash, a key or a token.
package auth
