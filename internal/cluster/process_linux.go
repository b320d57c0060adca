package cluster

import (
	"fmt"
	"os"
	"syscall"
)

// processAttributes puts the server into a process group of its own, as the
// owner. A volatile one is told to stop at once when this process is gone.
func processAttributes(o owner, volatile bool) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Credential: o.credential(), Setpgid: true}
	if volatile {
		attr.Pdeathsig = syscall.SIGQUIT
	}

	return attr
}

// runsIn tells whether a process has dir as its working folder, as the server
// of a data folder has. The second result is false where that cannot be told.
func runsIn(pid int, dir string) (yes, known bool) {
	at, err := os.Stat(fmt.Sprintf("/proc/%d/cwd", pid))
	if err != nil {
		return false, false
	}
	data, err := os.Stat(dir)
	if err != nil {
		return false, false
	}

	return os.SameFile(at, data), true
}
