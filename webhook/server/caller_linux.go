package server

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// The states of a TCP connection that the other end has closed or reset, and we
// have not.
//
// Source: enum in include/net/tcp_states.h of Linux, and its copy for eBPF. The
// kernel's build checks that both are the same.
const (
	closed    = unix.BPF_TCP_CLOSE
	closeWait = unix.BPF_TCP_CLOSE_WAIT
)

// gone reads the first byte of struct tcp_info, which is the state. The kernel
// copies as much as fits (tcp(7)).
func gone(raw syscall.RawConn) (yes bool) {
	err := raw.Control(func(fd uintptr) {
		state, err := unix.GetsockoptByte(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		yes = err == nil && (state == closed || state == closeWait)
	})

	return yes || err != nil // err: we have closed it ourselves
}
