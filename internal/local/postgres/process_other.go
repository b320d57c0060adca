//go:build unix && !linux

package postgres

import "syscall"

// processAttributes puts a child into a process group of its own, as the owner.
func processAttributes(as owner, _ syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: as.credential(), Setpgid: true}
}
