//go:build !apiserver

package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets the sessions call this program by its name.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"kubectl-telltale": main})
}
