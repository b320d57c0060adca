// Package v1 owns the first version of pgam's own API: nouns in the plural,
// cursor pages, RFC 3339 instants in half-open ranges, units in the names of
// fields, null for what is unknown, problem+json for errors, and the coverage
// of every answer about the past.
package v1
