package main

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/telltale-dev/telltale/test/child"
)

// columns show how Telltale changed a pod, and which failures the pod's record
// has.
const columns = `--output=custom-columns=` +
	`POD:.metadata.name,` +
	`INIT CONTAINERS:.spec.initContainers[*].name,` +
	`ENV:.spec.containers[*].env[*].name,` +
	`INJECTED:.metadata.annotations.telltale\.dev/injected,` +
	`FAILED:.metadata.annotations.telltale\.dev/failed`

// scene is a command, and the output that it must have.
type scene struct {
	// before, if it is not nil, comes before the command.
	before  func(*stack, context.Context) error
	about   string
	command []string
	// want matches the lines that must be there, and times says how often each.
	want  []*regexp.Regexp
	times int
}

// scenes are the steps of the demo. There are two pods each of the Deployments
// checkout, which gets its Injection, and payments, which does not.
func scenes() []scene {
	return []scene{{
		about:   "The pods of checkout got their Injection. Those of payments started without theirs:",
		command: []string{"get", "pods", "--namespace=shop", columns},
		want: []*regexp.Regexp{
			regexp.MustCompile(`(?m)^checkout-\S+ +wait-for-mesh +HTTP_PROXY,CORP_REGION,CURL_OPTIONS +mesh@[0-9a-f]{8} +<none>$`),
			regexp.MustCompile(`(?m)^payments-\S+ +<none> +HTTP_PROXY +<none> +proxy@[0-9a-f]{8}=InjectionConflict$`),
		},
		times: 2,
	}, {
		about:   "The Deployment payments says so:",
		command: []string{"describe", "deployment", "payments", "--namespace=shop"},
		want: []*regexp.Regexp{
			regexp.MustCompile(`(?m)^ +Warning +InjectionConflict +\S+ \(x2 over \S+\) +telltale +` +
				`Injection "proxy" not applied: .*container "app".* HTTP_PROXY.*$`),
		},
		times: 1,
	}, {
		before:  (*stack).away,
		about:   "Telltale was away while checkout got two more pods. It says so once it is back:",
		command: []string{"describe", "deployment", "checkout", "--namespace=shop"},
		want: []*regexp.Regexp{
			regexp.MustCompile(`(?m)^ +Warning +InjectionMissed +\S+ \(x2 over \S+\) +telltale +` +
				`Injection "mesh" not applied: .*kubectl rollout restart deployment/checkout -n shop\..*$`),
		},
		times: 1,
	}}
}

// older is by how much a pod must be younger than its Injection to be known to have
// missed it: clocks may differ (docs/audit.md).
const older = 7 * time.Second

// inForce is an error unless the Injection of checkout has been in force for some time.
func (s *stack) inForce(ctx context.Context) error {
	since, err := s.plane.Kubectl(ctx, "get", "injection", "mesh", "--namespace=shop", "--output=jsonpath={.status.since}")
	if err != nil {
		return err
	}
	at, err := time.Parse(time.RFC3339, since)
	if err == nil && time.Since(at) < older {
		err = fmt.Errorf("it is in force since %s", since)
	}

	return err
}

// away has two more pods of checkout created while Telltale does not run.
func (s *stack) away(ctx context.Context) error {
	if err := s.telltale.WaitUntil(ctx, child.Patience, s.inForce); err != nil {
		return err
	}

	s.say("stopping Telltale")
	s.telltale.Stop(stopTimeout)

	if _, err := s.plane.Kubectl(ctx, "scale", "deployment/checkout", "--namespace=shop", "--replicas=4"); err != nil {
		return err
	}
	if _, err := s.plane.Kubectl(ctx, "wait", "deployment/checkout", "--namespace=shop", "--for=jsonpath={.status.replicas}=4"); err != nil {
		return err
	}

	s.say("starting Telltale")
	if err := s.telltale.Start(); err != nil {
		return err
	}

	return s.telltale.WaitUntil(ctx, child.Patience, s.telltale.Ready)
}

// demo applies the samples and shows the results. If they are not as promised,
// it fails, and shows the output that there is instead.
func (s *stack) demo(ctx context.Context) error {
	s.say("applying config/samples")
	for _, args := range [][]string{
		{"apply", "--kustomize=config/samples/injections"},
		{"wait", "--for=condition=Ready", "--namespace=shop", "injections", "--all"},
		{"apply", "--kustomize=config/samples/deployments"},
	} {
		if _, err := s.plane.Kubectl(ctx, args...); err != nil {
			return s.explain(ctx, err)
		}
	}

	for _, scene := range scenes() {
		if scene.before != nil {
			if err := scene.before(s, ctx); err != nil {
				return s.explain(ctx, err)
			}
		}
		s.say("waiting for: kubectl %s", strings.Join(scene.command[:3], " "))
		output, err := s.play(ctx, scene)
		if err != nil {
			return s.explain(ctx, err)
		}
		fmt.Printf("\n# %s\n$ kubectl %s\n%s\n\n", scene.about, quoted(scene.command), strings.TrimRight(output, "\n"))
	}

	return nil
}

// play runs the scene's command until its output is as wanted.
func (s *stack) play(ctx context.Context, scene scene) (output string, err error) {
	err = s.telltale.WaitUntil(ctx, child.Patience, func(ctx context.Context) error {
		output, err = s.plane.Kubectl(ctx, scene.command...)
		if err != nil {
			return err
		}

		return scene.check(output)
	})

	return output, err
}

// check returns an error that holds the output, unless it is as wanted.
func (sc scene) check(output string) error {
	for _, want := range sc.want {
		if got := len(want.FindAllString(output, -1)); got != sc.times {
			return fmt.Errorf("got %d lines, want %d, that match\n  %s\nin the output of kubectl %s\n%s",
				got, sc.times, want, quoted(sc.command), output)
		}
	}

	return nil
}

// explain adds the cluster's events to an error.
func (s *stack) explain(ctx context.Context, err error) error {
	events, kubectlErr := s.plane.Kubectl(ctx, "get", "events", "--all-namespaces")
	if kubectlErr != nil {
		events = kubectlErr.Error()
	}

	return fmt.Errorf("%w\nAll events:\n%s", err, events)
}

// quoted is a command line that a shell would read as these arguments.
func quoted(args []string) string {
	line := make([]string, len(args))
	for i, arg := range args {
		line[i] = arg
		if strings.ContainsAny(arg, ` *\`) {
			line[i] = "'" + arg + "'"
		}
	}

	return strings.Join(line, " ")
}
