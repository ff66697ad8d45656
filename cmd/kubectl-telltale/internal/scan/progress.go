package scan

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"k8s.io/cli-runtime/pkg/printers"
)

// often is how often the progress is shown again, at most.
const often = 100 * time.Millisecond

// progress shows on a terminal how many objects were read. Elsewhere it does
// nothing.
type progress struct {
	w     io.Writer // nil: not a terminal
	mu    sync.Mutex
	kinds []string
	read  map[string]int
	shown time.Time
}

func newProgress(w io.Writer) *progress {
	if !printers.IsTerminal(w) {
		w = nil
	}

	return &progress{w: w, read: map[string]int{}}
}

func (p *progress) add(kind string, n int) {
	if p.w == nil {
		return
	}

	p.mu.Lock()
	defer p.mu.Unlock()

	if _, known := p.read[kind]; !known {
		p.kinds = append(p.kinds, kind)
	}

	p.read[kind] += n

	if now := time.Now(); now.Sub(p.shown) >= often {
		p.shown = now
		fmt.Fprint(p.w, p.line())
	}
}

// line replaces the line on the terminal.
func (p *progress) line() string {
	read := make([]string, len(p.kinds))
	for i, kind := range p.kinds {
		read[i] = fmt.Sprintf("%d %s", p.read[kind], kind)
	}

	return "\r\x1b[Kreading: " + strings.Join(read, ", ")
}

// clear takes the line away.
func (p *progress) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()

	if p.w != nil && !p.shown.IsZero() {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.shown = time.Time{}
	}
}
