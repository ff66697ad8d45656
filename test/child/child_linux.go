package child

import "syscall"

// tiedToUs puts a child into a process group of its own. The kernel kills it when
// we end, however we end.
func tiedToUs() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
