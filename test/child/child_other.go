//go:build unix && !linux

package child

import "syscall"

// tiedToUs puts a child into a process group of its own. Only Linux has a way
// to end it with us; elsewhere, it outlives a parent that is killed.
func tiedToUs() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
