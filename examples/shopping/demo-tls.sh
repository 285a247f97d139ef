#!/bin/sh
# The shopping example over mutual TLS: makes an authority and certificates in a directory of this run's own, starts the service, whose controller has one
# of them, and runs the shopper with another, then with one of somebody else's. Run by make demo-tls, from the module's root.
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

fail() {
	echo "demo: $1" >&2
	[ ! -f "$dir/log" ] || cat "$dir/log" >&2
	exit 1
}

# as CERTIFICATE COMMAND... runs a command with that certificate, CERTIFICATE.pem.
as() {
	DAFFI_TLS_CERT=$dir/$1.pem DAFFI_TLS_KEY=$dir/$1-key.pem DAFFI_TLS_CA=$dir/certs/ca.pem
	export DAFFI_TLS_CERT DAFFI_TLS_KEY DAFFI_TLS_CA
	shift
	exec "$@"
}

mkdir "$dir/bin" "$dir/run"
go build -o "$dir/bin" ./cmd/daffi ./examples/shopping/service ./examples/shopping/shopper
"$dir/bin/daffi" cert init --dir "$dir/certs" --cluster demo >/dev/null
"$dir/bin/daffi" cert issue --dir "$dir/certs" --controller controller >/dev/null
"$dir/bin/daffi" cert issue --dir "$dir/certs" shopper >/dev/null
"$dir/bin/daffi" cert init --dir "$dir/other" --cluster demo >/dev/null
"$dir/bin/daffi" cert issue --dir "$dir/other" shopper >/dev/null

export XDG_RUNTIME_DIR="$dir/run"
mkfifo "$dir/out"
(as certs/controller "$dir/bin/service" -addr tcp://localhost:0 -v) >"$dir/out" 2>"$dir/log" &
service=$!
addr=
exec 3<"$dir/out"
while read -r line <&3; do
	echo "$line"
	case $line in
	"controller at "*) addr=${line#controller at } ;;
	"ready: "*) break ;;
	esac
done
[ -n "$addr" ] || fail "the service has not started:"

(as certs/shopper "$dir/bin/shopper" -addr "$addr" -timeout 20s) >"$dir/got" || fail "the shopper has failed:"
cat "$dir/got"
printf '%s\n' '[]' '[orange]' '[orange bread cheese]' '[]' >"$dir/want"
cmp -s "$dir/got" "$dir/want" || fail "the shopper should have printed $(cat "$dir/want")"

# What the controller has noted of who was there.
grep -q 'msg="controller listens" .*authenticates=certificate' "$dir/log" || fail "the controller should have asked for certificates:"
shopper=$(sed -n 's/.*msg="node joined" node=shopper .*identity="certificate \([^"]*\)".*/\1/p' "$dir/log")
[ "$shopper" = daffi://demo/shopper ] || fail "the shopper should have been known by its certificate:"
controller=$("$dir/bin/daffi" cert show "$dir/certs/controller.pem" | sed -n 's/^who *"\(.*\)"$/\1/p')
echo "over TLS: the controller was $controller, the shopper $shopper"

# The same name, by another authority.
if (as other/shopper "$dir/bin/shopper" -addr "$addr" -timeout 20s) >/dev/null 2>"$dir/refused"; then
	fail "a shopper of another authority should have been turned away"
fi
echo "another authority's shopper: $(cat "$dir/refused")"

kill "$service" # the way that it should end
wait "$service" || { service=; fail "the service should have ended well"; }
service=
