// Package statement owns the shape of a statement: its text without literals,
// and the 64-bit fingerprint of that text.
//
// Text goes in as pg_stat_activity shows it: not parsed, perhaps not valid, and
// cut anywhere by track_activity_query_size. Nothing is refused and nothing
// panics. What must hold:
//
//   - no literal survives: strings of every kind, numbers, bit strings, dollar
//     quotes and comments, terminated or cut, and the unquoted values of the
//     utility statements that carry secrets;
//   - Normalize is idempotent, and Fingerprint(x) equals
//     Fingerprint(Normalize(x));
//   - a fingerprint is stored for years, so a change of the normal form is a
//     change of the data.
//
// Strings are read with standard_conforming_strings on, the default since
// PostgreSQL 9.1 and the only way from 19 on.
package statement
