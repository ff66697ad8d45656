package child

import (
	"os"
	"syscall"
)

// Signal sends a signal to the process and all that it started, and does not
// wait. It does nothing once the process has ended.
func (p *Process) Signal(signal syscall.Signal) {
	if p == nil || p.ended() {
		return
	}
	// The only error is that it has just ended.
	_ = syscall.Kill(-p.pid, signal)
}

// PID is the process's id, for as long as it runs.
func (p *Process) PID() int { return p.pid }

// State says how the process ended. It is nil while the process runs.
func (p *Process) State() *os.ProcessState {
	if p == nil || !p.ended() {
		return nil
	}

	return p.state
}
