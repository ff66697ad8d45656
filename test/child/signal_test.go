package child

import (
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// TestSignal: a stopped process goes on when it is told to, and its end can be
// seen.
func TestSignal(t *testing.T) {
	p, err := Start(exec.Command("sh", "-c", "kill -STOP $$; exit 3"), filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Kill()

	for running := true; running; {
		p.Signal(syscall.SIGCONT)
		select {
		case <-p.Done():
			running = false
		default:
		}
	}
	if got := p.State().ExitCode(); got != 3 {
		t.Errorf("ended with %d, want 3", got)
	}

	var none *Process
	none.Signal(syscall.SIGKILL)
	if none.State() != nil {
		t.Error("a process that was never started has ended")
	}
}
