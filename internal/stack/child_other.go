//go:build unix && !linux

package stack

import "syscall"

// childAttributes puts a child into a process group of its own, so that a
// Ctrl-C reaches only this process, which stops its children in order.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
