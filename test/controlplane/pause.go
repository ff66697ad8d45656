package controlplane

import "syscall"

// PauseAPIServer stops the API server without ending it (SIGSTOP): calls hang,
// and so do the connections that are open.
func (cp *ControlPlane) PauseAPIServer() {
	cp.apiServer.Signal(syscall.SIGSTOP)
}

// ResumeAPIServer lets the API server go on after PauseAPIServer.
func (cp *ControlPlane) ResumeAPIServer() {
	cp.apiServer.Signal(syscall.SIGCONT)
}
