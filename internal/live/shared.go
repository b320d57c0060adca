package live

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
)

// shared lets those who ask the same question at the same time share its
// answer. Who comes while one is under way waits for the next, which begins
// when it is answered: so nobody is given an answer that is older than his
// question, and a server is asked one such question at a time.
type shared[K comparable, V any] struct {
	mu    sync.Mutex
	byKey map[K]*round[V] // rounds that have not ended, and who waits behind
}

// round is one asking of a question.
type round[V any] struct {
	ask     func() (V, error)
	waiting int       // those who have not left
	next    *round[V] // nil: nobody waits for it
	done    chan struct{}
	value   V
	err     error
}

// do gives an answer that was asked for after the call. The question goes on
// without who leaves because ctx ends; he is given ctx's cause.
func (s *shared[K, V]) do(ctx context.Context, key K, ask func(context.Context) (V, error)) (V, error) {
	unhurried := context.WithoutCancel(ctx)
	mine := &round[V]{ask: func() (V, error) { return ask(unhurried) }, done: make(chan struct{})}
	s.mu.Lock()
	if s.byKey == nil {
		s.byKey = make(map[K]*round[V])
	}
	switch under := s.byKey[key]; {
	case under == nil:
		s.byKey[key] = mine
		go s.run(key, mine)
	case under.next == nil:
		under.next = mine
	default:
		mine = under.next
	}
	mine.waiting++
	s.mu.Unlock()

	select {
	case <-mine.done:
		return mine.value, mine.err
	case <-ctx.Done():
		s.mu.Lock()
		mine.waiting--
		s.mu.Unlock()
		var none V
		return none, context.Cause(ctx)
	}
}

// run asks, and asks again as long as somebody waits for it.
func (s *shared[K, V]) run(key K, r *round[V]) {
	for r != nil {
		r.answer()
		s.mu.Lock()
		next := r.next
		if next != nil && next.waiting == 0 {
			next = nil
		}
		if next != nil {
			s.byKey[key] = next
		} else {
			delete(s.byKey, key)
		}
		s.mu.Unlock()
		r = next
	}
}

// answer asks. What panics in a goroutine of its own would end the process;
// here it fails the question.
func (r *round[V]) answer() {
	defer close(r.done)
	defer func() {
		if cause := recover(); cause != nil {
			r.err = fmt.Errorf("question panicked: %v\n%s", cause, debug.Stack())
		}
	}()
	r.value, r.err = r.ask()
}
