package stack

import "syscall"

// childAttributes puts a child into a process group of its own, so that a
// Ctrl-C reaches only this process, which stops its children in order. When
// this process is gone, the child is killed: the next start finds nothing in
// its way, and the collector's journal makes up for it.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
