// Package server is the HTTPS server that the API server calls. It is that of
// net/http, with three things that controller-runtime's lacks.
//
// A handler can ask whether its caller is still there, right before it answers
// (Gone). And the end loses no review (TestEndLosesNothing):
//
//	serve → drain → close the port → answer → close idle connections
//
// An API server keeps its connections, and goes on using them when this process
// is asked to end. If one is closed at the moment when a review is sent over
// it, the review is lost, because a POST is not sent twice. So each connection
// first carries one more answer, which says that it is the last.
//
// And anyone may connect, so connections and headers have bounds that keep
// strangers from what the API server needs (TestStrangersPushOutEachOther).
package server
