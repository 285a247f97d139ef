#!/bin/sh
# Exits 0 if a program can be built with the race detector here: that takes cgo and a C compiler.
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
cat >"$dir/main.go" <<'END'
package main

import "C"

func main() {}
END
CGO_ENABLED=1 ${GO:-go} run -race "$dir/main.go" >"$dir/log" 2>&1
