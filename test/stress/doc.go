// Package stress holds the second promise to account: every failure is counted
// and shown, under storms, outages, restarts and many replicas.
//
// Each test is a scenario. A real kube-apiserver on a real etcd, Telltale as
// processes, each with the rights of config/ and no others, and AdmissionReviews
// sent straight to their ports, so that the rate is ours to choose. The owners
// are real objects. Between Telltale and the API server is a proxy, which counts
// Telltale's calls and can spoil them. What is true is what was answered: a
// failure is one answer with the record of an Injection that failed.
//
//	make test     each scenario in its short form, of seconds
//	make stress   with the figures of the promise, and a table of what became of them
//
// The short form asserts the same, with fewer failures; its limits of time are
// longer, since other tests run beside it.
package stress
