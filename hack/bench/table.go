package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// row is one of the figures that must be reached.
type row struct {
	what, must, figure string
	held               bool
}

// report is the result of a run.
type report struct {
	rows   []row
	tables []string
}

func (r *report) add(w row) { r.rows = append(r.rows, w) }

// bound adds a row of ratios. Their median must not be more than a limit.
func (r *report) bound(what string, ratios []float64, most float64) {
	r.add(row{what: what, must: fmt.Sprintf("≤ %.2f", most), figure: spread(ratios), held: median(ratios) <= most})
}

func (r *report) table(title, text string) {
	r.tables = append(r.tables, "### "+title+"\n\n"+text)
}

// print prints the report as Markdown.
func (r *report) print(w io.Writer) {
	fmt.Fprint(w, "### What must be reached\n\n| what | must reach | measured | verdict |\n| --- | --- | --- | --- |\n")
	for _, row := range r.rows {
		verdict := "held"
		if !row.held {
			verdict = "MISSED"
		}
		fmt.Fprintf(w, "| %s | %s | %s | %s |\n", row.what, row.must, row.figure, verdict)
	}
	for _, t := range r.tables {
		fmt.Fprintf(w, "\n%s", t)
	}
}

// costTable has a line for each arm and number of connections. The others are
// compared with the first arm.
func costTable(first string, arms []*arm, connections []int) string {
	var t strings.Builder
	t.WriteString("| candidate | connections | CPU | × " + first + " | requests/s | p50 | p99 |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n")
	for _, n := range connections {
		for _, a := range arms {
			fmt.Fprintf(&t, "| %s | %d | %s | %s | %.0f | %s | %s |\n", a.name, n,
				ms(over(a.samples[n], sample.perRequest)), spread(ratios(a, arms[0], n)), over(a.samples[n], sample.perSecond),
				ms(over(a.samples[n], func(s sample) time.Duration { return s.quantile(0.5) })),
				ms(over(a.samples[n], func(s sample) time.Duration { return s.quantile(0.99) })))
		}
	}

	return t.String()
}

// podTable has a line for each way to create a pod; the first is without a
// webhook or policy.
func podTable(ways []string, took map[string][]time.Duration) string {
	var t strings.Builder
	t.WriteString("| by way of | p50 | added | p90 | p99 | pods |\n| --- | ---: | ---: | ---: | ---: | ---: |\n")
	for _, way := range ways {
		d := took[way]
		fmt.Fprintf(&t, "| %s | %s | %s | %s | %s | %d |\n", way, ms(quantile(d, 0.5)),
			ms(quantile(d, 0.5)-quantile(took[ways[0]], 0.5)), ms(quantile(d, 0.9)), ms(quantile(d, 0.99)), len(d))
	}

	return t.String()
}

// ratios are the ratios of the CPU time of two arms, round by round: if the
// machine was slow for one, it was slow for the other.
func ratios(a, to *arm, connections int) []float64 {
	var r []float64
	for i, s := range a.samples[connections] {
		r = append(r, float64(s.perRequest())/float64(to.samples[connections][i].perRequest()))
	}

	return r
}

// over is the median of a value over samples.
func over[T int64 | float64 | time.Duration](samples []sample, of func(sample) T) T {
	values := make([]T, len(samples))
	for i, s := range samples {
		values[i] = of(s)
	}

	return median(values)
}

func median[T int64 | float64 | time.Duration](values []T) T {
	sorted := slices.Sorted(slices.Values(values))

	return sorted[len(sorted)/2]
}

// spread is the median, with the range of the middle half of the values.
func spread(values []float64) string {
	sorted := slices.Sorted(slices.Values(values))

	return fmt.Sprintf("%.2f (%.2f–%.2f)", median(values), sorted[len(sorted)/4], sorted[len(sorted)*3/4])
}

func ms(d time.Duration) string {
	if d >= time.Second {
		return fmt.Sprintf("%.2f s", d.Seconds())
	}

	return fmt.Sprintf("%.3g ms", d.Seconds()*1000)
}

func mib(bytes int64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }
