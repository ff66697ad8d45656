// Command pause holds a pod's namespaces open until it is told to end. It is all
// there is in the image of pods' sandboxes, and in that of the pods of tests,
// which have it do more: with an argument, it ends at once with that exit code.
// Before either it prints the names and values of its environment, so that logs
// show what reached a container.
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
