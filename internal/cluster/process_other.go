//go:build unix && !linux

package cluster

import "syscall"

// processAttributes puts the server into a process group of its own, as the
// owner.
func processAttributes(o owner, _ bool) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: o.credential(), Setpgid: true}
}

// runsIn cannot tell where another process works.
func runsIn(int, string) (yes, known bool) { return false, false }
