// Package testfile breaks a rule.
package testfile
