#!/bin/sh
# Exits 0 if this machine runs programs for 386.
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
cat >"$dir/main.go" <<'END'
package main

func main() {}
END
GOARCH=386 CGO_ENABLED=0 ${GO:-go} run "$dir/main.go" >"$dir/log" 2>&1
