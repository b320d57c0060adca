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
// PostgreSQL 9.1 and the only way from 19 on, as long as that makes no difference
// to where they end; where it does, all that follows is a literal. So is a name in
// double quotes where people write values, and what follows the words that
// other systems have for passwords. Too much is hidden rather than too little.
package statement
