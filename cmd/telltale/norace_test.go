//go:build apiserver && !race

package main

func raceFlag() []string { return nil }
