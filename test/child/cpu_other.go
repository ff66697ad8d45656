//go:build unix && !linux

package child

import (
	"errors"
	"time"
)

var errNotLinux = errors.New("cannot measure processes here: this is written for Linux")

// CPU is the CPU time of a process since its start. Only Linux tells it.
func CPU(int) (time.Duration, error) { return 0, errNotLinux }

// MemoryOf reads the memory of a process. Only Linux tells it.
func MemoryOf(int) (Memory, error) { return Memory{}, errNotLinux }
