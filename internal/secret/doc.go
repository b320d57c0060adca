// Package secret owns values that must never be seen: a string that prints as
// "[redacted]" wherever it goes, and the sealing of such strings at rest.
//
// A sealed secret is bound to the row, the purpose and the address it belongs
// to. Moving it to another row, or changing the host, port, user, TLS mode,
// database or pinned host key beside it, makes it unreadable: a stored password can only ever be sent
// where it was meant to go.
//
// Invariants: Reveal is the only way to the text; Open returns either exactly
// what Seal was given under the same binding, or ErrSealBroken; key material is
// never logged, printed or returned, save by GenerateKeyring.
package secret
