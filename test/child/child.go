// Package child runs programs that tests and hack/ need beside them. The
// product never imports it.
//
// On Linux a child never outlives us, however we end: by a panic, a test's
// time-out or kill -9, too (TestDiesWithItsParent). A Ctrl-C in our terminal does
// not reach it, so we decide in which order processes end.
package child

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// Patience bounds waits that take seconds on an idle machine. A machine that
// builds and tests at the same time may need minutes.
const Patience = 3 * time.Minute

const (
	// A condition is checked again after minPoll, then less and less often, since
	// a check may leave a line in the child's log; at least every maxPoll.
	minPoll, maxPoll = 50 * time.Millisecond, time.Second
	// tailSize is how much of the log Tail returns at most, in bytes.
	tailSize = 8000
)

// Process is a child. All methods do nothing on a nil one, which is a child
// that was never started. They may be called by several goroutines.
type Process struct {
	name, log string
	pid       int
	done      chan struct{}    // closed when it has ended
	state     *os.ProcessState // how it ended; set before done is closed
}

// Start starts a command that was not given an output nor SysProcAttr. Both its
// outputs are appended to the file named log.
func Start(cmd *exec.Cmd, log string) (*Process, error) {
	name := filepath.Base(cmd.Path)
	file, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot log %s: %w", name, err)
	}
	defer file.Close() //nolint:errcheck // the child has its own, and writes it

	cmd.Stdout, cmd.Stderr = file, file
	cmd.SysProcAttr = tiedToUs()
	p := &Process{name: name, log: log, done: make(chan struct{})}
	started := make(chan error)
	go p.run(cmd, started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", name, err)
	}
	p.pid = cmd.Process.Pid

	return p, nil
}

// run starts the command and waits for its end, on a thread of its own: Linux
// ties a child to the thread that started it, not to the process (prctl(2),
// PR_SET_PDEATHSIG; golang/go#27505).
func (p *Process) run(cmd *exec.Cmd, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(p.done)

	err := cmd.Start()
	started <- err
	if err == nil {
		_ = cmd.Wait() // the state has the error
		p.state = cmd.ProcessState
	}
}

// Kill ends the process, and all that it started, at once, and waits for its
// end.
func (p *Process) Kill() {
	p.end(syscall.SIGKILL, 0)
}

// Stop asks the process to end (SIGTERM), waits for that, and kills it if it
// takes longer than the grace period.
func (p *Process) Stop(grace time.Duration) {
	p.end(syscall.SIGTERM, grace)
	p.Kill()
}

// end sends a signal to the process's group and waits for the end of the
// process; with a grace period, no longer than that.
func (p *Process) end(signal syscall.Signal, grace time.Duration) {
	if p == nil || p.ended() {
		return
	}
	// The only error is that it has just ended.
	_ = syscall.Kill(-p.pid, signal)

	var late <-chan time.Time
	if grace > 0 {
		late = time.After(grace)
	}
	select {
	case <-p.done:
	case <-late:
	}
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} {
	return p.done
}

// ended says whether the process has ended.
func (p *Process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// WaitUntil waits until the condition returns nil. It gives up, with the end of
// the log in its error, when the process ends, when ctx does, or after the
// timeout.
func (p *Process) WaitUntil(ctx context.Context, timeout time.Duration, condition func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()

	for pause := minPoll; ; pause = min(pause*3/2, maxPoll) {
		err := condition(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-time.After(pause):
		case <-p.done:
			return fmt.Errorf("%s ended (%v); its log ends in:\n%s", p.name, p.state, p.Tail())
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready (%w): %w; its log ends in:\n%s", p.name, ctx.Err(), err, p.Tail())
		}
	}
}

// Tail is the end of the log, in whole lines.
func (p *Process) Tail() string {
	if p == nil {
		return ""
	}
	data, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	if len(data) <= tailSize {
		return string(data)
	}
	data = data[len(data)-tailSize:]

	return string(data[bytes.IndexByte(data, '\n')+1:])
}
