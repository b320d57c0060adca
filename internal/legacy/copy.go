package legacy

import (
	"context"
	"errors"

	"github.com/pgam/pgam/internal/ingest"
)

// ReadError says that reading stopped before the end; what was read before is
// written.
type ReadError struct{ Err error }

// Error implements error.
func (e *ReadError) Error() string { return e.Err.Error() }

// Unwrap gives the cause, for remote.Classify.
func (e *ReadError) Unwrap() error { return e.Err }

// errStopped ends reading because writing has.
var errStopped = errors.New("stopped")

// Copy reads all of a server's history, makes pgam's of it and gives it to
// write, a chunk at a time; the last chunk says how the databases ended. The
// next page is read while one is written, and no more than that. The error is a
// ReadError, the context's, or write's.
func Copy(ctx context.Context, from *Source, server string, into *Series, write func(ingest.ImportedChunk) error) error {
	reading, stop := context.WithCancel(ctx)
	pages, ended := make(chan []Row), make(chan error, 1)
	go func() {
		defer close(pages)
		ended <- from.Pages(reading, server, func(page []Row) error {
			select {
			case pages <- page:
				return nil
			case <-reading.Done():
				return errStopped
			}
		})
	}()
	var fault error
	for page := range pages {
		if fault == nil {
			if fault = write(into.Add(page)); fault != nil {
				stop()
			}
		}
	}
	stop()
	readFault := <-ended
	switch {
	case fault != nil:
		return fault
	case ctx.Err() != nil:
		return ctx.Err()
	}
	if err := write(into.End()); err != nil {
		return err
	}
	if readFault != nil {
		return &ReadError{readFault}
	}
	return nil
}
