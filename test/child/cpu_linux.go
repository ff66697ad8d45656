package child

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// CPU is the CPU time of a process since its start, of all its threads
// together, including threads that have ended.
//
// It is read from the process's CPU clock (clock_getcpuclockid(3)), which
// counts in nanoseconds. utime and stime of /proc/<pid>/stat count in ticks of
// 10 ms. /proc/<pid>/schedstat is exact, too, but shows one thread only.
func CPU(pid int) (time.Duration, error) {
	const clockSched = 2 // CPUCLOCK_SCHED, linux include/linux/posix-timers_types.h
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|clockSched), &t); err != nil {
		return 0, fmt.Errorf("cannot read the CPU clock of process %d: %w", pid, err)
	}

	return time.Duration(t.Nano()), nil
}
