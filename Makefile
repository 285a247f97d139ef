# What there is to run. Everything needs Go and make; race needs a C compiler as well.

GO          ?= go
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
SYSTEMS     := linux darwin windows
TIMEOUT     := 10m
FUZZTIME    ?= 10s
BENCHTIME   ?= 1s

.DEFAULT_GOAL := help
.PHONY: help demo demo-tls demo-workers test test386 generate fresh lint vet staticcheck unit plain real race fuzz feel bench bench-quick bench-check slowlink microbench cover defects night

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

demo: ## run the shopping example: a service and a shopper, two processes
	$(GO) generate ./examples/...
	@sh examples/shopping/demo.sh

demo-tls: ## the same over mutual TLS, with an authority and certificates made for it
	$(GO) generate ./examples/...
	@sh examples/shopping/demo-tls.sh

demo-workers: ## run the example of child processes: three workers, one of which is killed
	@$(GO) run ./examples/workers

test: lint fresh unit test386 plain real ## everything that must hold on every commit

generate: ## write generated code
	$(GO) generate ./...
	cd testdata/real && $(GO) generate ./...
	cd bench && $(GO) generate ./...

fresh: ## fail if generated code or the examples' lock file is stale
	$(GO) tool daffigen -check ./...
	$(GO) tool daffigen lock -check -o examples/daffi.lock ./examples/...

lint: vet staticcheck ## go vet for every system, and staticcheck

vet:
	@for os in $(SYSTEMS); do echo "GOOS=$$os $(GO) vet ./..."; GOOS=$$os $(GO) vet ./... || exit 1; done

staticcheck:
	$(GO) run $(STATICCHECK) ./...
	$(GO) run $(STATICCHECK) -checks all $$(sh scripts/generated.sh)

# The race detector needs cgo and a C compiler that works.
unit:
	@if sh scripts/can-race.sh; then \
		echo "$(GO) test -race ./..."; $(GO) test -race -timeout $(TIMEOUT) ./...; \
	else \
		echo "************************************************************"; \
		echo "* NO C COMPILER: these tests run WITHOUT the race detector *"; \
		echo "************************************************************"; \
		$(GO) test -timeout $(TIMEOUT) ./...; \
	fi

# Length arithmetic is another where an int has 32 bits: all is compiled and vetted with its tests, and the parsers' tests run where the machine can run such a program; at night those of nodes and controllers at the
# largest of their limits, too. TestCodec is about ints of 64 bits.
PARSERS := ./runtime/codec ./runtime/internal/control ./runtime/internal/limits ./internal/signature ./internal/policy ./internal/cgroup
FRAMES  := ACC4|LIM|Limit|Length|Parse|Header|Handshake|Frame|Decompress|Golden|Bound|Buffer|Keys|Queue|Kept|Payloads|Zstd

test386: ## the parsers where an int has 32 bits
	GOARCH=386 CGO_ENABLED=0 $(GO) build ./...
	GOARCH=386 CGO_ENABLED=0 $(GO) vet ./...
	@if sh scripts/can-386.sh; then \
		echo "GOARCH=386 $(GO) test $(PARSERS) ./runtime/transport"; export GOARCH=386 CGO_ENABLED=0; \
		$(GO) test -short -skip '^TestCodec$$' -timeout $(TIMEOUT) $(PARSERS) && $(GO) test -short -run '$(FRAMES)' -timeout $(TIMEOUT) ./runtime/transport || exit 1; \
		if [ -n "$$DAFFI_NIGHT" ]; then $(GO) test -short -run 'Limits|LIM24' -timeout $(TIMEOUT) ./runtime ./runtime/controller; fi; \
	else \
		echo "**************************************************************************"; \
		echo "* NO 386 PROGRAMS ON THIS MACHINE: the parsers ran with 64-bit ints only *"; \
		echo "**************************************************************************"; \
	fi

# What the race detector falsifies: allocations and memory are counted without it, a million malformed frames among them, and benchmarks run once, so that they never rot.
plain:
	$(GO) test -run 'Alloc|ACC40|ACC45Memory' -bench . -benchtime 1x -timeout $(TIMEOUT) ./runtime/... ./testdata/golden/types
	$(GO) test -run 'LittleMemory|ACC50Overload' -timeout $(TIMEOUT) ./internal/e2e

# Their dependencies are not daffi's. Every test is many, on random arguments; one that fails prints its seed.
real: ## interfaces as people write them, in the module testdata/real: vet, staticcheck, freshness, tests
	cd testdata/real && $(GO) vet ./... && $(GO) run $(STATICCHECK) -checks all ./... && $(GO) tool daffigen -check ./...
	cd testdata/real && $(GO) test $$(sh ../../scripts/can-race.sh && echo -race) -timeout $(TIMEOUT) ./...

race: ## all tests with the race detector, several times
	CGO_ENABLED=1 $(GO) test -race -count=3 -timeout $(TIMEOUT) ./...

fuzz: ## every fuzz target for FUZZTIME
	@sh scripts/fuzz.sh $(FUZZTIME)

feel: ## how long daffigen takes, with a warm and an empty build cache
	@bash scripts/feel.sh

# All figures go to files that git does not keep. What it keeps of a run, a table and a drawing in README.md and the report, is worth committing if the machine was quiet.
bench: ## daffi beside its peers, in processes of their own: figures of README.md, bench/results, bench/bench.json; a quarter of an hour, with nothing else running
	cd bench && $(GO) run . -json bench.json -publish ..

bench-quick: ## the same, shorter, and README.md stays: Markdown, and bench/bench-quick.json; three minutes
	cd bench && $(GO) run . -quick -json bench-quick.json

bench-check: ## that every system of bench works: vet, staticcheck, freshness, one echo each
	cd bench && $(GO) vet ./... && $(GO) vet -tags kitex . && $(GO) run $(STATICCHECK) . ./echo && $(GO) tool daffigen -check ./... && $(GO) test -timeout 5m ./...

slowlink: ## calls over links of 8 and 80 Mbit/s, with and without zstd: Markdown; Linux, root and iproute2
	@bash scripts/slowlink.sh

microbench: ## Go benchmarks, with allocations
	$(GO) test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) ./... ./testdata/golden/types ./testdata/golden/shapes ./testdata/golden/recursive

cover: ## what the tests reach
	$(GO) test -short -coverprofile cover.out -coverpkg ./... ./...
	$(GO) tool cover -func cover.out | tail -n 1

# Weeks may pass without it: a patch that does not apply any more fails make test.
defects: ## plant each defect of testdata/defects in a copy, and want its tests to notice
	$(GO) run ./internal/defects

# Figures are taken without the race detector, one package after the other, so that they are worth something.
night: lint fresh race ## what takes long: everything many times, full figures, networks that are cut and slow, and fuzzing for a minute each
	DAFFI_NIGHT=1 $(MAKE) test386
	DAFFI_NIGHT=1 $(MAKE) bench-check
	DAFFI_NIGHT=1 $(GO) test -v -p 1 -count=1 -timeout 1h ./runtime/... ./internal/... ./cmd/... ./testdata/golden/...
	@sh scripts/netcut.sh 100
	$(MAKE) slowlink
	@sh scripts/fuzz.sh 1m
	$(MAKE) microbench
