#!/bin/sh
# Runs every fuzz target of the module, each for the time given as the argument.
# What looks interesting is made smaller by 20 tries only: targets with goroutines never do the same twice, and would spend all their time on that.
set -eu
time=${1:-10s}
golden=$(grep -rl '^func Fuzz' testdata --include='*_test.go' | xargs -n 1 dirname | sort -u | sed 's|^|./|') # no pattern matches these
${GO:-go} list ./... $golden | while read -r package; do
	${GO:-go} test -list '^Fuzz' "$package" | grep '^Fuzz' | while read -r target; do
		echo "fuzz $package $target $time"
		${GO:-go} test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 20x "$package" || exit 1
	done
done
