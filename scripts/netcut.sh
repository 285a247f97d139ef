#!/bin/sh
# Cuts the network between a controller and a node, in network namespaces, as often as the argument says (100). It must be run by root, with
# ip and ss of iproute2. What it cannot do it says, loudly, and fails: a night without it is not one.
set -eu
fail() {
	echo "************************************************************" >&2
	echo "* NOT DONE: cuts across network namespaces: $1" >&2
	echo "************************************************************" >&2
	exit 1
}
[ "$(uname -s)" = Linux ] || fail "this is not Linux"
[ "$(id -u)" = 0 ] || fail "this needs root"
command -v ip >/dev/null && command -v ss >/dev/null || fail "ip or ss is missing: install iproute2"
ip netns add daffi-try 2>/dev/null || fail "the kernel, or this container, has no network namespaces"
ip netns del daffi-try
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
${GO:-go} build -o "$dir/netcut" ./internal/e2e/netcut
"$dir/netcut" -cuts "${1:-100}"
