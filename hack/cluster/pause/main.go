// Command pause holds a pod's namespaces open until it is told to end. It is
// the only content of the image of pods' sandboxes, and of the image of the
// tests' pods. The tests' pods use more of it: with an argument, it ends at
// once with that exit code. In both cases it first prints the names and values
// of its environment, so logs show which variables reached a container.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
)

func main() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)

	for _, variable := range os.Environ() {
		fmt.Println(variable)
	}

	if len(os.Args) > 1 {
		code, err := strconv.Atoi(os.Args[1])
		if err != nil {
			fmt.Fprintf(os.Stderr, "pause: the exit code must be a number, not %q\n", os.Args[1])
			code = 2
		}

		os.Exit(code)
	}

	<-stop
}
