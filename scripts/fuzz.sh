#!/bin/sh
# Runs every fuzz target of the module, each for the time given as the argument.
set -eu
time=${1:-10s}
${GO:-go} list ./... | while read -r package; do
	${GO:-go} test -list '^Fuzz' "$package" | grep '^Fuzz' | while read -r target; do
		echo "fuzz $package $target $time"
		${GO:-go} test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$package" || exit 1
	done
done
