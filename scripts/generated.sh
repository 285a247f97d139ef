#!/bin/sh
# Lists the packages of the module that have generated code, those under testdata too, which no pattern matches.
find . -path ./testdata/real -prune -o -path ./bench -prune -o -name daffi_gen.go -exec dirname {} \; | grep -v '^./testdata/errors/' | sort
