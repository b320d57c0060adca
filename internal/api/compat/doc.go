// Package compat owns the contract of the Python version: its routes, field
// names, types and statuses, once at / and once under /api.
//
// Existing clients must not notice the change, so a name never goes and a type
// never changes here; where the Python version counted nonsense the same name
// has its right meaning, and the CHANGELOG says which. New things go to v1.
package compat
