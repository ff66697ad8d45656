package server

import (
	"context"
	"net"
	"syscall"
)

// callerKey is the key of a connection in the context of its requests.
type callerKey struct{}

// ConnContext is for http.Server: it lets Gone find the connection.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	if wrapped, ok := c.(interface{ NetConn() net.Conn }); ok { // a *tls.Conn
		c = wrapped.NetConn()
	}

	socket, ok := c.(syscall.Conn)
	if !ok {
		return ctx
	}

	raw, err := socket.SyscallConn()
	if err != nil {
		return ctx
	}

	return context.WithValue(ctx, callerKey{}, raw)
}

// Gone tells whether the caller of a request has hung up, so that an answer no
// longer reaches it (TestGone). It asks the kernel, which knows at once.
// net/http also ends the context of such a request, but a goroutine does it,
// and that has to run first: after a stall, most requests are answered before
// their goroutine runs.
//
// On systems other than Linux, or without ConnContext, every caller counts as
// there.
func Gone(ctx context.Context) bool {
	raw, ok := ctx.Value(callerKey{}).(syscall.RawConn)

	return ok && gone(raw)
}
