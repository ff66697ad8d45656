// Package server is the HTTPS server that the API server calls: that of
// net/http, with two things that controller-runtime's lacks.
//
// A handler can ask whether its caller is still there, right before it answers
// (Gone). And the end loses no review (TestEndLosesNothing):
//
//	serve → drain → close the port → answer → close what is idle
//
// An API server keeps its connections, and goes on to use them when this
// process is asked to end. One that is closed at the moment at which a review
// is sent over it takes the review with it, for a POST is not sent twice. So
// each connection first has one more answer, which says that it is the last.
package server
