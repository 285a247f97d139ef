// Package readme has the tests that hold README.md to the truth: its quickstart is run word for word.
package readme
