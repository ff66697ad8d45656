// Package audit holds the audit of pods that exist to account at full size: each
// pod that the API server did not ask Telltale about is shown, exactly and soon;
// no other is; and it costs next to nothing.
//
// Each test is a scenario. It has a real control plane, whose controllers create
// the pods, kwok's nodes on which the pods run, and Telltale as processes with the
// rights of config/ and no others. The pods are the truth: the counts must be those
// of a plain list.
//
//	make audit          a quarter of an hour; prints a table of the results
//	make audit FULL=1   with 100,000 pods
//
// cmd/telltale has the short form of most of them (telltale.TestMissed,
// telltale.TestBypassed, telltale.TestNoFalseAlarm).
package audit
