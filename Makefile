# Everything a developer needs; make help lists it.

SHELL   := /bin/sh
BIN     := $(CURDIR)/bin
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
DATA    ?= ./data
GOLANGCI_VERSION := v2.15.0
# The one with a question mark is left out where it cannot be had.
VERSIONS ?= 10 11 12 13 14 15 16 17 18 19?

# nomsgpack leaves out an encoder of Gin's that nothing here uses.
GO_BUILD := CGO_ENABLED=0 go build -trimpath -tags nomsgpack \
	-ldflags "-s -w -X github.com/pgam/pgam/internal/daemon.version=$(VERSION)"
# Real servers in a busy container need more than the ten minutes of go test.
GO_TEST  := go test -tags nomsgpack -timeout 20m

.DEFAULT_GOAL := help

.PHONY: help
help: ## show this
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/pgam, bin/pgam-collector and bin/pgam-api
	@mkdir -p $(BIN)
	$(GO_BUILD) -o $(BIN)/pgam ./cmd/pgam
	$(GO_BUILD) -o $(BIN)/pgam-collector ./cmd/collector
	$(GO_BUILD) -o $(BIN)/pgam-api ./cmd/api

# The address of a server holds a password, so it goes by standard input and not
# by a command line that everybody can read. exec: a signal to make reaches pgam.
.PHONY: run
run: build ## run everything on a private PostgreSQL in ./data; TARGET=postgres://… also watches a server of yours
	@set --; if [ -n "$$TARGET" ]; then \
		file=$$(mktemp) && printf '%s\n' "$$TARGET" >"$$file" && exec <"$$file" && rm "$$file" && set -- --target -; \
	fi; exec $(BIN)/pgam up --data $(DATA) $(UP) "$$@"

.PHONY: demo
demo: UP += --demo
demo: run ## make run, with load on the private PostgreSQL and a week of made-up history

.PHONY: test
test: deps ## run all tests with the race detector, on real PostgreSQL servers
	$(GO_TEST) -race ./...

.PHONY: soak
soak: deps ## run the tests that need the machine to themselves for minutes: two collectors, hostile servers, slow readers
	PGAM_SOAK=1 $(GO_TEST) -v -run 'TestTwoCollectors|TestHostileTargets|TestSlowReaders' ./internal/e2e

.PHONY: test-matrix
test-matrix: deps ## run the conformance tests on PostgreSQL 10 to 19 (VERSIONS="10 18" for some)
	found=$$(./.ci/fetch-postgres.sh $(VERSIONS)) && echo "$$found" && \
	CI=true PGTEST_VERSIONS="$$(echo "$$found" | cut -d ' ' -f 1)" $(GO_TEST) -race -run Conformance ./internal/...

.PHONY: deps
deps: # what the tests need beside Go; says nothing when it is there
	@./.ci/install-test-deps.sh

.PHONY: lint
lint: $(BIN)/golangci-lint-$(GOLANGCI_VERSION) ## check style and who may import what
	$(BIN)/golangci-lint-$(GOLANGCI_VERSION) run ./...
	go vet -tags nomsgpack ./...
	@if command -v npm >/dev/null 2>&1; then cd web/console && npm ci --silent --no-audit --no-fund && npm run --silent check; \
	elif [ -n "$$CI" ]; then echo "lint: npm is not installed: .ci/install-test-deps.sh installs it with WITH_NPM=1" >&2; exit 1; \
	else echo "lint: the console's types are not checked: npm is not installed" >&2; fi

.PHONY: fmt
fmt: $(BIN)/golangci-lint-$(GOLANGCI_VERSION) ## format the code
	$(BIN)/golangci-lint-$(GOLANGCI_VERSION) fmt ./...

$(BIN)/golangci-lint-$(GOLANGCI_VERSION):
	@mkdir -p $(BIN)
	GOBIN=$(BIN) GOFLAGS= go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	@mv $(BIN)/golangci-lint $@

.PHONY: check-alerts
check-alerts: ## check and test deploy/prometheus/alerts.yml; says so where promtool is missing
	@command -v promtool >/dev/null 2>&1 || { echo "check-alerts: skipped: promtool is not installed (Debian: prometheus)" >&2; exit 0; }; \
	promtool check config deploy/prometheus/prometheus.yml && promtool test rules deploy/prometheus/alerts_test.yml

.PHONY: check-compose
check-compose: ## bring docker-compose.yml up with stand-ins for the base images; needs root, says so where it cannot
	@./scripts/check-compose.sh

.PHONY: bench
bench: deps ## measure what watching and asking costs (about half an hour)
	go test -tags nomsgpack -run '^$$' -bench . -benchtime 1x -timeout 40m ./internal/bench
	go test -tags nomsgpack -run '^$$' -bench . ./internal/journal ./internal/report
	go test -tags nomsgpack -run '^$$' -bench Panels -benchtime 3x -timeout 20m ./deploy/grafana
	go test -tags nomsgpack -run '^$$' -bench . ./internal/statement

.PHONY: bench-console
bench-console: deps ## measure how fast the console is, in a real browser (some minutes); PGAM_BENCH_DAYS, PGAM_BENCH_TICKS
	CI=true go test -tags nomsgpack -run '^$$' -bench Console -benchtime 1x -timeout 30m ./internal/bench

.PHONY: packages
packages: build ## build the .deb and the .rpm for this machine into dist/
	VERSION=$(VERSION) scripts/build-packages.sh

.PHONY: check-packages
check-packages: ## install, set up, upgrade, remove and purge the .deb in a Debian of its own (root)
	scripts/check-packages.sh

.PHONY: golden
golden: ## write the golden files anew
	$(GO_TEST) ./internal/api ./internal/config -update

.PHONY: console
console: ## make anew what is served at /ui/, and its types of the API, from web/console
	go run ./web/console

# The checksums that the test compares say whether it is the right thing that came.
.PHONY: docs-assets
docs-assets: ## fetch anew what /docs and /redoc are made of; needs npm
	cd web/apidocs && npm ci
	$(GO_TEST) ./internal/api/docs -run TestAssets -update -from $(CURDIR)/web/apidocs/node_modules
	rm -rf web/apidocs/node_modules

.PHONY: schema-dump
schema-dump: deps ## write migrations/schema.sql anew
	$(GO_TEST) ./internal/schema -run Dump -update

.PHONY: verify
verify: golden schema-dump console ## check that what is generated is what is committed
	git diff --exit-code

.PHONY: clean
clean: ## remove what was built; ./data stays
	rm -rf $(BIN) dist dist-docs
