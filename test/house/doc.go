// Package house holds the rules of the house: which package may import which,
// that a test named in a comment exists, that names of failures are the same
// wherever they stand, and that comments are plain English. It has tests only.
package house
