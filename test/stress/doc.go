// Package stress holds the second promise to account: every failure is counted
// and shown, under storms, outages, restarts and many replicas.
//
// Each test is a scenario. It has a real kube-apiserver on a real etcd, and Telltale
// as processes, each with the rights of config/ and no others. AdmissionReviews are
// sent straight to their ports, so that we choose the rate. The owners are real
// objects. A proxy between Telltale and the API server counts Telltale's calls and
// can spoil them. The answers are the truth: a failure is one answer with the
// record of an Injection that failed.
//
//	make test     each scenario in its short form, of seconds
//	make stress   with the figures of the promise, and a table of the results
//
// The short form asserts the same, with fewer failures; its limits of time are
// longer, since other tests run beside it.
package stress
