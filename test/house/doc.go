// Package house holds the rules of the house: who may import whom, that a test
// named in a comment exists, and that names of failures are the same wherever
// they stand. It has tests only.
package house
