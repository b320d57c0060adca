package probe

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// SetSparse chooses the form of the next activity question.
func SetSparse(c *Conn, sparse bool) { c.sparse = sparse }

// Sparse tells the form of the next activity question.
func Sparse(c *Conn) bool { return c.sparse }

// PrepareAll prepares every question that the server's version is given.
func PrepareAll(ctx context.Context, c *Conn) error {
	var errs []error
	asked := 0
	for _, file := range Questions() {
		q := question(strings.SplitN(file, ".", 2)[0])
		stmt, err := c.prepare(ctx, q)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", file, err))
		}
		if stmt != nil {
			asked++
		}
	}
	if asked < 10 {
		errs = append(errs, fmt.Errorf("only %d questions", asked))
	}
	return errors.Join(errs...)
}

// LocationPath is how a path is taken over.
func LocationPath(told, data string) string { return locationPath(told, data) }
