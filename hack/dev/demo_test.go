package main

import (
	"strings"
	"testing"
)

const describe = `Name:                   payments
Events:
  Type     Reason             Age               From                   Message
  ----     ------             ----              ----                   -------
  Normal   ScalingReplicaSet  5s                deployment-controller  Scaled up replica set payments-5d7f9689b7 from 0 to 2
  Warning  InjectionConflict  4s (x2 over 5s)   telltale               Injection "proxy" not applied: container "app" already sets env HTTP_PROXY. Remove it there, or set onConflict on the Injection. Last pod: payments-5d7f9689b7-*
`

const pods = `POD                         INIT CONTAINERS   ENV                                   INJECTED        FAILED
checkout-7c9d8f6c5d-2x8kq   wait-for-mesh     HTTP_PROXY,CORP_REGION,CURL_OPTIONS   mesh@77d0e2c4   <none>
checkout-7c9d8f6c5d-x9v4l   wait-for-mesh     HTTP_PROXY,CORP_REGION,CURL_OPTIONS   mesh@77d0e2c4   <none>
payments-5d7f9689b7-6m2jd   <none>            HTTP_PROXY                            <none>          proxy@5f3c9a1b=InjectionConflict
payments-5d7f9689b7-qw7zt   <none>            HTTP_PROXY                            <none>          proxy@5f3c9a1b=InjectionConflict
`

func TestScenes(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		reason   string
		scene    int
		old, new string // an edit of the good output
		want     bool
	}{
		"Pods":             {reason: "All four pods are as promised.", scene: 0, want: true},
		"PodNotInjected":   {reason: "Both pods need the Injection; one is not enough.", scene: 0, old: "CORP_REGION,", new: ""},
		"PodWithoutRecord": {reason: "The pod has to say what failed.", scene: 0, old: "proxy@5f3c9a1b=InjectionConflict", new: "<none>"},
		"Event":            {reason: "The event is there, whole.", scene: 1, want: true},
		"NoEvent":          {reason: "Telltale promises a warning, and this is none.", scene: 1, old: "  Warning", new: "  Normal "},
		"CountTooLow":      {reason: "Two pods failed, so it says two.", scene: 1, old: "(x2 over 5s)", new: ""},
		"CountTooHigh":     {reason: "Two pods failed, so it says two.", scene: 1, old: "x2", new: "x3"},
		"TextWithoutName":  {reason: "The event has to say what to change.", scene: 1, old: "HTTP_PROXY", new: "a variable"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			output := strings.Replace([]string{pods, describe}[tc.scene], tc.old, tc.new, 1)
			err := scenes()[tc.scene].check(output)
			if got := err == nil; got != tc.want {
				t.Errorf("%s\ngood: got %t, want %t (error %v)", tc.reason, got, tc.want, err)
			}
		})
	}
}

func TestQuoted(t *testing.T) {
	t.Parallel()
	got := quoted([]string{"get", "pods", `--output=a\.b[*]`})
	if want := `get pods '--output=a\.b[*]'`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
