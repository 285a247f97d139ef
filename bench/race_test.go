//go:build race

package main

// The race detector adds allocations, and memory.
const raceEnabled = true
