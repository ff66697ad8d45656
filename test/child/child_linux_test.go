package child

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// parentVariable makes this test binary, run again, the parent to kill.
const parentVariable = "TELLTALE_TEST_PARENT"

func TestMain(m *testing.M) {
	if os.Getenv(parentVariable) != "" {
		beParent()
	}
	os.Exit(m.Run())
}

// beParent starts a child, prints its id, and waits to be killed.
func beParent() {
	p, err := Start(exec.Command("sleep", "600"), os.DevNull)
	if err != nil {
		panic(err)
	}
	fmt.Println(p.pid)
	<-p.Done()
	panic("the child ended first")
}

func TestDiesWithItsParent(t *testing.T) {
	t.Parallel()
	parent := exec.CommandContext(t.Context(), os.Args[0])
	parent.Env = append(os.Environ(), parentVariable+"=1")
	stdout, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	pid, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	// A process that has ended, zombie or not, has no command line. Nor has one
	// that is about to start: Start returns when execve(2) closes our pipe, before
	// it sets the new arguments.
	cmdline := "/proc/" + strings.TrimSpace(pid) + "/cmdline"
	begin := time.Now()
	for line := ""; !strings.Contains(line, "sleep"); {
		content, err := os.ReadFile(cmdline)
		if err != nil || time.Since(begin) > Patience {
			t.Fatalf("the child does not run: %q, error %v", content, err)
		}
		line = string(content)
	}

	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // "signal: killed"

	deadline := time.Now().Add(Patience)
	for line := []byte("?"); len(line) > 0; line, _ = os.ReadFile(cmdline) {
		if time.Now().After(deadline) {
			t.Fatalf("the child outlives its parent: %q", line)
		}
		time.Sleep(minPoll)
	}
}
