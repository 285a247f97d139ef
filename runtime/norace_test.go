//go:build !race

package daffi_test

const raceEnabled = false
