package trial

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"github.com/telltale-dev/telltale/cmd/kubectl-telltale/internal/cli"
)

// summary is the output of -o json and -o yaml.
type summary struct {
	APIVersion string    `json:"apiVersion"`
	Kind       string    `json:"kind"`
	Passed     int       `json:"passed"`
	Failed     int       `json:"failed"`
	Results    []*Result `json:"results"`
	// NotJudged is what can't be judged without a cluster.
	NotJudged []string `json:"notJudged"`
}

// people prints a summary for people.
func (s *summary) people(w io.Writer) {
	style, width := cli.StyleOf(w), cli.Width(w)

	for _, r := range s.Results {
		mark := style.Good("✓")

		switch {
		case len(r.Faults) > 0:
			mark = style.Bad("×")
		case !r.Expected:
			mark = "-"
		}

		fmt.Fprintln(w, cli.Wrap(fmt.Sprintf("%s %s: injected %s", mark, r.title(), orNone(r.Injected)), width, "    "))

		for _, f := range r.Faults {
			first, rest, _ := strings.Cut(f, "\n")
			fmt.Fprintln(w, "    "+cli.Wrap(first, width, "      "))

			if rest != "" {
				fmt.Fprint(w, rest)
			}
		}
	}

	fmt.Fprintf(w, "%d passed, %d failed", s.Passed, s.Failed)

	if rest := len(s.Results) - s.Passed - s.Failed; rest > 0 {
		fmt.Fprintf(w, ", %d that no test names (-)", rest)
	}

	fmt.Fprintln(w, ".")
	fmt.Fprintln(w, "Not judged here: "+strings.Join(s.NotJudged, "; ")+".")
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "nothing"
	}

	return strings.Join(names, ", ")
}

// github prints annotations of a pull request.
//
// Source: "Workflow commands for GitHub Actions" in the GitHub Docs.
func (s *summary) github(w io.Writer) {
	data := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	property := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")

	for _, r := range s.Results {
		for _, f := range r.Faults {
			fmt.Fprintf(w, "::error file=%s,title=%s::%s\n", property.Replace(r.Source), property.Replace("Telltale: "+r.title()), data.Replace(f))
		}
	}

	fmt.Fprintf(w, "::notice title=Telltale::%d passed, %d failed\n", s.Passed, s.Failed)
}

// The elements of a JUnit report.
type (
	suites struct {
		XMLName xml.Name `xml:"testsuites"`
		Suite   suite    `xml:"testsuite"`
	}
	suite struct {
		Name     string     `xml:"name,attr"`
		Tests    int        `xml:"tests,attr"`
		Failures int        `xml:"failures,attr"`
		Cases    []testCase `xml:"testcase"`
	}
	testCase struct {
		Class   string       `xml:"classname,attr"`
		Name    string       `xml:"name,attr"`
		File    string       `xml:"file,attr"`
		Failure *testFailure `xml:"failure,omitempty"`
		Skipped *struct{}    `xml:"skipped,omitempty"`
	}
	testFailure struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// junit prints a report in the format of JUnit.
func (s *summary) junit(w io.Writer) error {
	all := suites{Suite: suite{Name: "telltale", Tests: len(s.Results), Failures: s.Failed}}

	for _, r := range s.Results {
		c := testCase{Class: r.Namespace, Name: r.Workload, File: r.Source}

		switch {
		case len(r.Faults) > 0:
			first, _, _ := strings.Cut(r.Faults[0], "\n")
			c.Failure = &testFailure{Message: first, Text: strings.Join(r.Faults, "\n")}
		case !r.Expected:
			c.Skipped = &struct{}{}
		}

		all.Suite.Cases = append(all.Suite.Cases, c)
	}

	text, err := xml.MarshalIndent(all, "", "  ")
	if err != nil {
		return fmt.Errorf("cannot write the JUnit report: %w", err)
	}

	_, err = fmt.Fprintf(w, "%s%s\n", xml.Header, text)

	return err
}
