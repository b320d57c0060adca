// Package guard owns what happens when a function panics that runs in a
// goroutine of its own, beside whoever waits for it: there nobody recovers, and
// the process would end. Here it is an error like any other.
package guard

import (
	"fmt"
	"runtime/debug"
)

// PanicError is a panic as an error.
type PanicError struct {
	Cause any
	Stack []byte
}

// Error implements error; the text holds the stack, for the log.
func (p *PanicError) Error() string { return fmt.Sprintf("panic: %v\n%s", p.Cause, p.Stack) }

// Call calls f and gives what it gives, or a *PanicError.
func Call[T any](f func() (T, error)) (value T, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = &PanicError{cause, debug.Stack()}
		}
	}()
	return f()
}

// Run is Call for what gives nothing but an error.
func Run(f func() error) error {
	_, err := Call(func() (struct{}, error) { return struct{}{}, f() })
	return err
}
