#!/bin/sh
# Starts the shopping service with its embedded controller and runs the shopper against it, over the default unix socket. The
# socket is in a directory of this run's own, so that it never meets that of another one. Run by make demo, from the module's root.
set -eu

dir=$(mktemp -d)
service=
stop() {
	status=$?
	trap '' EXIT HUP INT TERM
	if [ -n "$service" ]; then
		kill -KILL "$service" 2>/dev/null || : # another signal is lost if the process has not become the service yet
		wait "$service" 2>/dev/null || :
	fi
	rm -rf "$dir"
	exit "$status"
}
trap stop EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

go build -o "$dir" ./examples/shopping/service ./examples/shopping/shopper

export XDG_RUNTIME_DIR="$dir"
"$dir/service" &
service=$!
"$dir/shopper" -timeout 20s >"$dir/got" || { cat "$dir/got"; exit 1; }

cat "$dir/got"
printf '%s\n' '[]' '[orange]' '[orange bread cheese]' '[]' >"$dir/want"
if ! cmp -s "$dir/got" "$dir/want"; then
	echo "demo: the shopper should have printed:" >&2
	cat "$dir/want" >&2
	exit 1
fi

kill "$service" # the way that it should end
if ! wait "$service"; then
	service=
	echo "demo: the service should have ended well" >&2
	exit 1
fi
service=
