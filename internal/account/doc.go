// Package account owns who may ask: users and their roles.
//
// It knows nothing of passwords and tokens beyond the fields that hold them;
// those belong to package auth, and the rows to package catalog. Invariants: a
// role is one of three and they are ordered; a login that ValidateLogin accepts
// is safe to print, to log and to put into a token.
package account
