//go:build apiserver

package stress

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/telltale-dev/telltale/test/child"
	"github.com/telltale-dev/telltale/test/harness"
)

// other names, in the environment, the part of TestHostile that this program
// plays: "discard PORT", or "flood PORT CONNECTIONS RATE". They are processes of
// their own, so that they wait for nobody's locks, and each may open as many files
// as a process may.
const other = "TELLTALE_TEST_PLAYS"

func play(part string) error {
	var (
		name, port string
		f          flood
	)
	if _, err := fmt.Sscan(part, &name, &port); err != nil {
		return err
	}
	if name == "discard" {
		return discard(port)
	}
	if _, err := fmt.Sscan(part, &name, &port, &f.most, &f.rate); err != nil {
		return err
	}

	return f.rush(port)
}

// player is a process that plays a part. It ends with the test.
type player struct {
	*child.Process

	log string
}

func (s *scenario) player(part string, args ...any) player {
	s.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), other+"="+fmt.Sprintln(append([]any{part}, args...)...))
	log := filepath.Join(s.TempDir(), part+".log")
	p, err := child.Start(cmd, log)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(p.Kill)
	harness.Eventually(s.T, part, func(context.Context) error { return says(log, begun) })

	return player{p, log}
}

// begun and full are lines of the players' logs: it does its part; all connections
// were opened.
const begun, allOpen = "begun", "all open"

func says(log, line string) error {
	text, err := os.ReadFile(log)
	if err == nil && !bytes.Contains(text, []byte(line+"\n")) {
		err = fmt.Errorf("%s does not say %q", log, line)
	}

	return err
}

// discard discards all that comes to a port.
func discard(port string) error {
	l, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		return err
	}
	fmt.Println(begun)
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			_, _ = io.Copy(io.Discard, c)
			c.Close()
		}()
	}
}

// flood is hostile connections from 200 addresses.
type flood struct {
	most, rate int // in all, and new ones a second
}

// rush opens the connections to a port, and keeps them for some minutes at most.
func (f *flood) rush(port string) error {
	const addresses, lives = 200, 5 * time.Minute
	fmt.Println(begun)
	ctx, cancel := context.WithTimeout(context.Background(), lives)
	defer cancel()
	next := time.NewTicker(time.Second / time.Duration(f.rate))
	defer next.Stop()
	for i := range f.most {
		<-next.C
		from := net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i%addresses))}
		c, err := (&net.Dialer{LocalAddr: &from, Timeout: time.Second}).DialContext(ctx, "tcp", "127.0.0.1:"+port)
		if err != nil {
			fmt.Println(err) // the queue of new connections is full
			continue
		}
		kind := hostility()[i%len(hostility())]
		go func() {
			kind(c)
			<-ctx.Done()
			c.Close()
		}()
	}
	fmt.Println(allOpen)
	<-ctx.Done()

	return ctx.Err()
}

// hostility is the kinds of hostile connections: what each does when it is open.
func hostility() []func(net.Conn) {
	const post = "POST /mutate--v1-pod?timeout=30s HTTP/1.1\r\nHost: localhost\r\n"
	const announced = post + "Content-Length: 7340032\r\n\r\n"

	return []func(net.Conn){
		func(net.Conn) {}, // idle
		func(c net.Conn) { // a handshake that announces the longest record
			_, _ = c.Write(append([]byte{22, 3, 1, 64, 0, 1, 0, 255, 255}, make([]byte, 1000)...))
		},
		func(c net.Conn) { // no handshake
			_, _ = c.Write(bytes.Repeat([]byte("garbage"), 100))
		},
		drip(post, "X: y\r\n"),                                           // slow headers
		drip(announced, "{"),                                             // slow bodies
		drip(announced+strings.Repeat(" ", 1<<18), ""),                   // huge bodies
		drip(strings.Repeat(post+"Content-Length: 2\r\n\r\n{}", 50), ""), // pipelined
		func(c net.Conn) { // half-closed
			_, _ = io.WriteString(secure(c), announced+"{")
			_ = c.(*net.TCPConn).CloseWrite()
		},
	}
}

// drip sends a text, and then a piece each second.
func drip(text, piece string) func(net.Conn) {
	return func(c net.Conn) {
		secured := secure(c)
		next := time.NewTicker(time.Second)
		defer next.Stop()
		for _, err := io.WriteString(secured, text); err == nil && piece != ""; _, err = io.WriteString(secured, piece) {
			<-next.C
		}
	}
}

func secure(c net.Conn) *tls.Conn {
	return tls.Client(c, &tls.Config{InsecureSkipVerify: true}) // a stranger does not care
}
