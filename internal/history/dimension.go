package history

import (
	"fmt"
	"slices"
	"strings"
)

// Dimension is what sessions are grouped or filtered by.
type Dimension string

// The dimensions.
const (
	ByWaitClass   Dimension = "wait_class"
	ByWaitEvent   Dimension = "wait_event" // type and event
	ByState       Dimension = "state"
	ByQuery       Dimension = "query"
	ByDatabase    Dimension = "database"
	ByUser        Dimension = "user"
	ByApplication Dimension = "application"
	ByClient      Dimension = "client" // address
	ByBackendType Dimension = "backend_type"
)

// Dimensions lists them all.
func Dimensions() []Dimension {
	return []Dimension{ByWaitClass, ByWaitEvent, ByState, ByQuery, ByDatabase, ByUser, ByApplication, ByClient, ByBackendType}
}

// ParseDimension reads a dimension's name. The error wraps ErrInvalid.
func ParseDimension(name string) (Dimension, error) {
	if d := Dimension(name); slices.Contains(Dimensions(), d) {
		return d, nil
	}
	names := make([]string, 0, len(Dimensions()))
	for _, d := range Dimensions() {
		names = append(names, string(d))
	}
	return "", fmt.Errorf("%w: %q is no dimension: choose one of %s", ErrInvalid, name, strings.Join(names, ", "))
}

// Key is one value of a dimension.
type Key struct {
	// Label is what it is called: CPU, IO:DataFileRead, a name, an address, or
	// for ByQuery the query_id in decimal. Empty: none (no query, no database, a
	// Unix socket).
	Label string
	// Class is the wait class of a key of ByWaitEvent.
	Class string
	// Of ByQuery only; Text is nil where it is not kept.
	QueryID        *int64
	OwnFingerprint bool
	Text           *string
}

// name is what makes a key one.
func (k Key) name() string {
	if k.OwnFingerprint {
		return "own " + k.Label
	}
	return k.Label
}
