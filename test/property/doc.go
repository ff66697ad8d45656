// Package property holds the first promise to account: a pod that the API
// server accepts without Telltale is accepted with it, and carries each
// Injection that selects it whole, or says which failed.
//
// A seed makes namespaces with random Injections and pods of every shape, most of
// them good. All go to a real kube-apiserver, which refuses bad ones. A pod is
// created (mostly as a dry run) in a namespace that has opted out and in one that
// has not, and TestProperty compares the two.
//
//	go test -tags apiserver ./test/property -args -pairs=30000 -seed=7
//
// The namespaces have random ResourceQuotas, LimitRanges and Pod Security levels,
// which are the same in both. The flag -draw names the parts that are drawn, so
// that a fault can be told from others.
//
// TestPolicies does the same with pods that policies and ServiceAccounts refuse, once
// Telltale has answered. There real controllers create the pods, since only their
// second try can do without an Injection:
//
//	go test -tags apiserver ./test/property -run TestPolicies -args -owners=1000 -seed=7
//
// A counterexample of TestProperty is made as small as possible before it is printed, in the form
// of the cases in testdata, which every run compares too.
package property
