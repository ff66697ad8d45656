package server

import (
	"log"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/time/rate"
)

// errorLog is for http.Server.ErrorLog. Anyone who connects can cause lines
// there, a readiness probe among them. So at most one line a minute says that a
// handshake failed, and at most one a second says anything else, such as a panic.
type errorLog struct {
	log                logr.Logger
	handshakes, others *rate.Limiter
}

func newErrorLog(l logr.Logger) *log.Logger {
	return log.New(&errorLog{
		log:        l,
		handshakes: rate.NewLimiter(rate.Every(time.Minute), 1),
		others:     rate.NewLimiter(rate.Every(time.Second), 1),
	}, "", 0)
}

func (e *errorLog) Write(line []byte) (int, error) {
	text, limit := strings.TrimSpace(string(line)), e.others
	if strings.HasPrefix(text, "http: TLS handshake error ") {
		limit = e.handshakes
	}

	if limit.Allow() {
		e.log.Info("a connection failed", "error", text)
	}

	return len(line), nil
}
