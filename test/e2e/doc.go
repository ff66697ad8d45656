// Package e2e tests Telltale as users run it: in a cluster, with a real node, from
// its image and the manifests of config. `make e2e` runs the tests and prints a
// table. A row has an action, the promise that must hold, the number of pods that
// were created in that time, and how many of them are without their Injection.
package e2e
