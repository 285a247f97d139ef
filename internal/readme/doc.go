// Package readme has the tests that hold README.md to the truth: its quickstart is run word for word, its figures are those that were measured. So are the commands of
// docs/security.md.
package readme
