#!/usr/bin/env bash
# How long daffigen lets one wait: the wall time of the program itself, median of RUNS, with a build cache that is warm and with an empty
# one. It reads declarations from source, so nothing is compiled either way.
set -euo pipefail
runs=${RUNS:-5}
root=$(cd "$(dirname "$0")/.." && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$root"
${GO:-go} build -o "$dir/daffigen" ./cmd/daffigen

# A module beside ours whose service is about net/http.
mkdir "$dir/web"
cat >"$dir/web/go.mod" <<END
module example.com/web

go 1.26.0

require github.com/daffi-rpc/daffi v0.0.0

replace github.com/daffi-rpc/daffi => $root
END
cat >"$dir/web/web.go" <<'END'
// Package web has a service about net/http.
package web

import (
	"context"
	"net/http"
)

//daffi:callback
//daffi:fetcher
type Fetcher interface {
	Fetch(ctx context.Context, url string, header http.Header) (status int, cookies []*http.Cookie, err error)
}

var _ http.Handler = http.NewServeMux()
END

# median runs daffigen in a directory, with the build cache $2 or an empty one each time.
median() {
	TIMEFORMAT=%R
	for ((i = 0; i < runs; i++)); do
		cache=$2
		[ "$cache" ] || cache=$(mktemp -d "$dir/cache.XXXX")
		(cd "$1" && time GOCACHE=$cache GOFLAGS=-mod=mod "$dir/daffigen" -check >"$dir/out" 2>&1 || { cat "$dir/out" >&2; exit 1; })
		[ "$2" ] || rm -rf "$cache"
	done 2>&1 | sort -n | sed -n "$((runs / 2 + 1))p"
}

cache=$(${GO:-go} env GOCACHE)
printf '%-28s %8s %8s   seconds, median of %d\n' package warm empty "$runs"
for package in "$root/examples/shopping" "$dir/web"; do
	(cd "$package" && GOFLAGS=-mod=mod "$dir/daffigen") # writes what -check compares with, and warms the cache
	printf '%-28s %8s %8s\n' "${package#"$root"/}" "$(median "$package" "$cache")" "$(median "$package" "")"
done | sed "s|$dir/web|(imports net/http)|"
