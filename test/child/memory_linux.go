package child

import (
	"bytes"
	"fmt"
	"os"
)

// MemoryOf reads the memory of a process (proc_pid_status(5)). The peak that wait4(2)
// tells is no use: it counts the memory of the process's parent, too.
func MemoryOf(pid int) (m Memory, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return m, fmt.Errorf("cannot read the memory of process %d: %w", pid, err)
	}
	for line := range bytes.Lines(status) {
		for field, to := range map[string]*int64{"VmRSS": &m.Now, "VmHWM": &m.Peak, "RssFile": &m.File} {
			var kib int64
			if n, _ := fmt.Sscanf(string(line), field+": %d kB", &kib); n == 1 {
				*to = kib << 10
			}
		}
	}
	if m.Now == 0 || m.Peak == 0 {
		return m, fmt.Errorf("cannot find the memory of process %d", pid)
	}

	return m, nil
}
