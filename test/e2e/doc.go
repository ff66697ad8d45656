// Package e2e has the tests of Telltale as users run it: in a cluster, with a
// real node, from its image and the manifests of config. `make e2e` runs them,
// and prints a table: what was done, what must hold, how many pods were created
// meanwhile and how many of them are without their Injection.
package e2e
