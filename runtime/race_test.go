//go:build race

package daffi_test

// raceEnabled: sync.Pool drops at random under the race detector, so allocations are not counted then.
const raceEnabled = true
