package main

import (
	"bytes"
	"fmt"
	"os"
)

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
