#!/bin/bash
# Measures daffi over a slow link, as Markdown: two network namespaces, joined by a pair of devices that tc-tbf(8) makes slow in both directions. Needs
# Linux, root, ip and tc. A controller listens on loopback addresses only, so the devices have some of 127.77.0.0/24, which the kernel is told to route; what
# crosses the link is what two hosts would say to each other, with the sockets of daffi at both ends. daffi takes such a link for a local one, so
# that -zstd auto does not compress here.
set -euo pipefail
cd "$(dirname "$0")/.."

refuse() { printf '%s\n' "******** slowlink: $*" >&2; exit 1; }
[ "$(uname)" = Linux ] || refuse "needs Linux"
[ "$(id -u)" = 0 ] || refuse "needs root, for network namespaces"
command -v ip >/dev/null && command -v tc >/dev/null || refuse "needs ip and tc: install iproute2"

seconds=${SECONDS_EACH:-5}
dir=$(mktemp -d)
near=daffi-near-$$ far=daffi-far-$$
server=
cleanup() {
	[ -z "$server" ] || kill "$server" 2>/dev/null || true
	wait
	ip netns del "$near" 2>/dev/null || true
	ip netns del "$far" 2>/dev/null || true
	rm -rf "$dir"
}
trap cleanup EXIT

go build -o "$dir/slowlink" ./internal/e2e/slowlink

ip netns add "$near" && ip netns add "$far" || refuse "the kernel has no network namespaces"
ip -n "$near" link add wire type veth peer name wire netns "$far" || refuse "the kernel has no veth devices"
address() { # of a namespace, its number
	ip netns exec "$1" sysctl -qw net.ipv4.conf.all.route_localnet=1 net.ipv4.conf.wire.route_localnet=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.wire.rp_filter=0
	ip -n "$1" link set lo up
	ip -n "$1" addr add "127.77.0.$2/24" dev wire
	ip -n "$1" link set wire up
	ip -n "$1" route del local 127.0.0.0/8 dev lo table local # but for 127.0.0.1, which has a route of its own
}
address "$near" 1
address "$far" 2

shape() { # as the arguments of tbf say
	for ns in "$near" "$far"; do
		ip netns exec "$ns" tc qdisc replace dev wire root tbf "$@" || refuse "the kernel has no tbf"
	done
}

export XDG_RUNTIME_DIR=$dir # where they find the token
addr=tcp://127.77.0.1:7777
serve() { # with that -zstd
	[ -z "$server" ] || { kill "$server"; wait "$server" || true; }
	ip netns exec "$near" "$dir/slowlink" -role serve -addr $addr -zstd "$1" &
	server=$!
	for _ in $(seq 100); do
		[ -z "$(ip netns exec "$near" ss -Hltn 'sport = :7777')" ] || return 0
		sleep 0.1
	done
	refuse "the service does not listen"
}
call() { ip netns exec "$far" "$dir/slowlink" -addr $addr "$@"; }

processor=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
echo "$(date +%F), $(go version | cut -d ' ' -f 3-), Linux $(uname -r | cut -d - -f 1), $processor, $(nproc) processors"
echo
echo "JSON over 8 Mbit/s, one call after the other (tbf rate 8mbit burst 16kb latency 50ms):"
echo
echo "| calls | zstd | MB/s | p50 ms |"
echo "|---|---|---|---|"
shape rate 8mbit burst 16kb latency 50ms
for mode in off auto on; do
	serve $mode
	call -role records -zstd $mode -for "${seconds}s"
done
for latency in 5ms 50ms; do
	echo
	echo "Calls of 64 bytes beside others, over 80 Mbit/s (tbf rate 80mbit burst 32kb latency $latency: the link itself may hold so much):"
	echo
	echo "| beside | calls | p50 ms | p99 ms | max ms | others, Mbit/s |"
	echo "|---|---|---|---|---|---|"
	shape rate 80mbit burst 32kb latency $latency
	serve off
	call -role beside -zstd off -for "$((2 * seconds))s"
done
