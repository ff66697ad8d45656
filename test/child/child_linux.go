package child

import "syscall"

// tiedToUs puts a child into a process group of its own, and has the kernel
// kill it when we end, however we do.
func tiedToUs() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
