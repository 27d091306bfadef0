.DEFAULT_GOAL := help
SHELL := /bin/bash
GO ?= go
GOBIN_OK := $(shell command -v $(GO) >/dev/null 2>&1 && echo yes)
ifneq ($(GOBIN_OK),yes)
$(error Go 1.26 or newer is needed and '$(GO)' was not found: install it from https://go.dev/dl/ and put it on PATH)
endif
FUZZTIME ?= 60s
TEST ?= ./...
DURATION ?= 10m
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
DOCKER ?= docker

.PHONY: help run cluster build test test-charts deps verify check fuzz bench docs image k8s e2e-k8s clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

run: build ## build, and serve on SQLite at port 3000
	./bin/fastport serve

cluster: deps build ## run three nodes, Redis, Postgres and nginx on this machine, until Ctrl-C
	@$(GO) build -o bin/cluster ./internal/rig/cluster
	@./bin/cluster

build: ## build bin/fastport
	$(GO) build -trimpath -o bin/fastport ./cmd/fastport

deps: ## install what the tests need beyond Go
	@scripts/test-deps.sh

test: deps ## run every test with the race detector, on real Postgres and sockets
	$(GO) test -race -timeout 15m $(TEST)
	$(if $(filter ./...,$(TEST)),@echo 'What one SDK seals another opens (clients/conformance):' && cat clients/conformance/matrix.txt)
	$(if $(filter ./...,$(TEST)),@$(MAKE) --no-print-directory test-charts)
	$(if $(filter ./...,$(TEST)),cd bench && $(GO) test ./...) # a module of its own

test-charts: deps ## lint and render the Helm chart, and check what it makes
	cd charts && $(GO) vet ./... && $(GO) test -count=1 ./... # k8s is outside of the module: the cache does not see it change

verify: build deps ## break a cluster of this machine for DURATION, and hold it to its promises
	./bin/fastport verify --local 3 --sentinel --duration $(DURATION)

check: ## gofmt, vet, staticcheck, govulncheck, go mod verify
	@scripts/check.sh

fuzz: ## fuzz every decoder for FUZZTIME
	@scripts/fuzz.sh $(FUZZTIME)

image: ## build the image fastport:VERSION with DOCKER, the same bits each time
	$(DOCKER) build --build-arg VERSION=$(VERSION) --build-arg COMMIT=$$(git rev-parse HEAD) \
		--build-arg SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) --tag fastport:$(VERSION) .

k8s: ## render the chart's plain manifests again
	cd charts && $(GO) run ./plain fastport ../k8s

e2e-k8s: ## run the chart on a real Kubernetes, which the rig at K8S_RIG brings up
	@scripts/e2e-k8s.sh

bench: ## measure fastport and its peers: SCENARIOS="fanout-100 curves" SERVERS= REPS=5 DURATION=5s BYTES=, FULL=1: all of it, and curves
	@FULL='$(FULL)' REPS='$(REPS)' DURATION='$(if $(filter file,$(origin DURATION)),,$(DURATION))' scripts/bench.sh '$(SCENARIOS)' '$(SERVERS)' '$(BYTES)'

docs: ## make the generated documents again
	$(GO) generate ./...

clean: ## remove what was built
	rm -rf bin
