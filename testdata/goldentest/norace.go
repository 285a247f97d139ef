//go:build !race

package goldentest

const race = false
