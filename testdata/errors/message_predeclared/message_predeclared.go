// Package messagepredeclared breaks a rule.
package messagepredeclared

type int32 string

//daffi:message
type Item struct{ X int32 } // want "daffigen needs the name int32 for what it means in Go, but it is declared at .*:4:6; .* \[DF050\]"
