//go:build !linux

package peer

import "syscall"

// control has nothing to add where there is no such option.
func control(string, string, syscall.RawConn) error { return nil }
