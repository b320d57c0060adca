package probe

import (
	"context"
	"sync"
	"time"

	"github.com/pgam/pgam/internal/sample"
)

// localTimeout bounds a look at this machine's file systems.
const localTimeout = 5 * time.Second

// local looks at the file systems of this machine. A look at a dead file server
// cannot be ended: so there is one a path at most, which all who ask later wait
// for, each for a while.
type local struct {
	stat func(path string) look

	mu    sync.Mutex
	under map[string]*inquiry
}

// inquiry is a look under way.
type inquiry struct {
	done chan struct{}
	look look // valid once done
}

func newLocal() *local { return &local{stat: stat, under: make(map[string]*inquiry)} }

func (l *local) read(ctx context.Context, paths []string, looks map[string]look) {
	ctx, cancel := context.WithTimeout(ctx, localTimeout)
	defer cancel()
	inquiries := make([]*inquiry, len(paths))
	for i, path := range paths {
		inquiries[i] = l.ask(path)
	}
	for i, path := range paths {
		select {
		case <-inquiries[i].done:
			looks[path] = inquiries[i].look
			continue
		default:
		}
		select {
		case <-inquiries[i].done:
			looks[path] = inquiries[i].look
		case <-ctx.Done():
			looks[path] = look{reason: sample.Timeout}
		}
	}
}

// ask starts a look at a path, unless one is under way.
func (l *local) ask(path string) *inquiry {
	l.mu.Lock()
	defer l.mu.Unlock()
	if q := l.under[path]; q != nil {
		return q
	}
	q := &inquiry{done: make(chan struct{})}
	l.under[path] = q
	go func() {
		q.look = l.stat(path)
		l.mu.Lock()
		delete(l.under, path)
		l.mu.Unlock()
		close(q.done)
	}()
	return q
}
