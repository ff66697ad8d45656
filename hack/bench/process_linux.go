package main

import (
	"bytes"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// cpu is the CPU time of a process since its start, of all its threads
// together, including threads that have ended.
//
// It is read from the process's CPU clock (clock_getcpuclockid(3)), which
// counts in nanoseconds. utime and stime of /proc/<pid>/stat count in ticks of
// 10 ms. /proc/<pid>/schedstat is exact, too, but shows one thread only.
func cpu(pid int) (time.Duration, error) {
	const clockSched = 2 // CPUCLOCK_SCHED, linux include/linux/posix-timers_types.h
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|clockSched), &t); err != nil {
		return 0, fmt.Errorf("cannot read the CPU clock of process %d: %w", pid, err)
	}

	return time.Duration(t.Nano()), nil
}

// resident reads a process's memory (proc_pid_status(5)).
func resident(pid int) (m memory, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return m, fmt.Errorf("cannot read the memory of process %d: %w", pid, err)
	}
	for line := range bytes.Lines(status) {
		for field, to := range map[string]*int64{"VmRSS": &m.now, "VmHWM": &m.peak, "RssFile": &m.file} {
			var kib int64
			if n, _ := fmt.Sscanf(string(line), field+": %d kB", &kib); n == 1 {
				*to = kib << 10
			}
		}
	}
	if m.now == 0 || m.peak == 0 {
		return m, fmt.Errorf("cannot find the memory of process %d", pid)
	}

	return m, nil
}
