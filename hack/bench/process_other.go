//go:build !linux

package main

import (
	"errors"
	"time"
)

var errNotLinux = errors.New("cannot measure processes here: this is written for Linux")

func cpu(int) (time.Duration, error) { return 0, errNotLinux }

func resident(int) (memory, error) { return memory{}, errNotLinux }
