package postgres

import "syscall"

// processAttributes puts a child into a process group of its own, as the owner,
// and has it told when this process is gone.
func processAttributes(as owner, onDeath syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: as.credential(), Setpgid: true, Pdeathsig: onDeath}
}
