package injections

import (
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	toolscache "k8s.io/client-go/tools/cache"

	"github.com/telltale-dev/telltale/internal/oneline"
)

const (
	// StopName is the ConfigMap that stops all injection while it exists, in
	// Telltale's own namespace. No manifest of ours has it: a tool that applies them
	// neither makes nor deletes it.
	StopName = "telltale-stop"
	// stopReason is its key for a text that Ready quotes.
	stopReason = "reason"
	// maxStopReason is the longest text that is quoted, in bytes.
	maxStopReason = 256
)

func trimStop(c *corev1.ConfigMap) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: named(c), Data: map[string]string{stopReason: c.Data[stopReason]}}
}

// onStop hears of the ConfigMap in Telltale's own namespace. No other ConfigMap
// stops anything.
func (in *Injections) onStop(own string) toolscache.ResourceEventHandlerFuncs {
	isStop := func(namespace, name string) bool { return namespace == own && name == StopName }

	return handlers(
		func(c *corev1.ConfigMap) {
			if isStop(c.Namespace, c.Name) {
				in.setStop(stopText(c))
			}
		},
		func(namespace, name string) {
			if isStop(namespace, name) {
				in.setStop("")
			}
		},
	)
}

// stopText says why pods are not injected, and how to end that.
func stopText(c *corev1.ConfigMap) string {
	why := ""
	if reason := strings.TrimSpace(oneline.Cut(c.Data[stopReason], maxStopReason)); reason != "" {
		why = fmt.Sprintf(" (%q)", reason)
	}

	return fmt.Sprintf("ConfigMap %s in namespace %s stops all injection%s. To end that: kubectl delete configmap %s --namespace %s",
		StopName, c.Namespace, why, StopName, c.Namespace)
}

// setStop stops all injection for the reason in the text, or ends that if the text
// is empty. Then the status of each Injection is looked at again.
func (in *Injections) setStop(text string) {
	if text == in.stopped() {
		return
	}

	if now := time.Now(); text == "" {
		in.stopEnded.Store(&now)
	}

	in.stop.Store(&text)

	if text == "" {
		in.log.Info("injection goes on: ConfigMap " + StopName + " is gone")
	} else {
		in.log.Info("injection is stopped: " + text)
	}

	for _, namespace := range in.known.Load().Namespaces() {
		in.changed(namespace)
	}
}

// stopped returns the text that says why all injection is stopped; "" if it is not.
func (in *Injections) stopped() string {
	if text := in.stop.Load(); text != nil {
		return *text
	}

	return ""
}

// Stopped tells whether all injection is stopped, and when the last stop ended: the
// zero time if this process has seen none end.
func (in *Injections) Stopped() (stopped bool, ended time.Time) {
	if at := in.stopEnded.Load(); at != nil {
		ended = *at
	}

	return in.stopped() != "", ended
}

// Metric returns the metric telltale_stopped.
func (in *Injections) Metric() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "telltale_stopped",
		Help: "1 while ConfigMap telltale-stop stops all injection, else 0.",
	}, func() float64 {
		if in.stopped() != "" {
			return 1
		}

		return 0
	})
}
