//go:build tools

// Package tools names the programs that this module's go generate runs, for tools that read imports instead of go.mod's tool lines; go tool
// daffigen goes by those.
package tools

import _ "github.com/daffi-rpc/daffi/cmd/daffigen"
