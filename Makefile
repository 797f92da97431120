# Copyright 2026 The Write-Behind Operator Authors
# SPDX-License-Identifier: Apache-2.0

# The image that a deployment names. The local cluster gets it built from bin/,
# without a registry; for any other cluster give one that it can pull.
IMG ?= writebehind/operator:dev
# Where `make demo` runs: "local" is the cluster of hack/cluster, "current" the
# kubectl context that you have chosen.
CLUSTER ?= local
CONTAINER_TOOL ?= docker
GO ?= go
# Arguments for `go test` and for the demo, e.g. TEST_FLAGS='-run TestClaim -v'.
TEST_FLAGS ?=
DEMO_FLAGS ?=
# Which packages `make test-arm64` tests; empty: those of the product that start no server.
ARM64_TESTS ?=
# Which servers `make test-servers` runs its tests on, one set after the other, and
# which tests.
SERVERS ?= redis8+postgres13 valkey8+postgres18
SERVER_TESTS ?= ./internal/flusher/... ./cmd/flusher ./test/integration
# How long `make chaos` goes on, what it replays, how writes are captured, and whether
# SENTINEL=true chooses the primary of capture Replication.
MINUTES ?= 30
SEED ?=
CAPTURE ?= Functions
SENTINEL ?= false
REPORT ?=
# How many resources `make scale` makes, and how long nothing changes then.
RESOURCES ?= 1000
QUIET ?= 3m
# How long an API server of a test may take to start: many start at once, on few cores.
export KUBEBUILDER_CONTROLPLANE_START_TIMEOUT ?= 2m

LOCALBIN := $(CURDIR)/bin
DIST ?= dist
VERSION ?= $(shell git describe --tags --match 'v*' --always --dirty 2>/dev/null || echo dev)
# The modules whose code is ours: ./... ends where the next one begins.
MODULES := . api hack/cluster test/policies/judge
API := github.com/writebehind/operator/api
# The product with its tests, and what applications import.
PACKAGES := ./... $(API)/...
BUILD_FLAGS := -trimpath -ldflags "-s -w -X main.version=$(VERSION)"

SHELL = /usr/bin/env bash -o pipefail
.SHELLFLAGS = -ec
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

##@ General

.PHONY: help
help: ## Show this help.
	@awk 'BEGIN {FS = ":.*##"; printf "\nUsage:\n  make \033[36m<target>\033[0m\n"} \
		/^[a-zA-Z0-9_-]+:.*?##/ { printf "  \033[36m%-17s\033[0m %s\n", $$1, $$2 } \
		/^##@/ { printf "\n\033[1m%s\033[0m\n", substr($$0, 5) }' $(MAKEFILE_LIST)

##@ Try it

.PHONY: demo
demo: ## Show everything at work, on a local cluster (CLUSTER=current IMG=...: on your kubectl context).
	@case "$(CLUSTER)" in \
		local) $(MAKE) --no-print-directory demo-requirements cluster-tool ;; \
		current) $(MAKE) --no-print-directory kustomize ;; \
		*) echo "CLUSTER=$(CLUSTER) is not known: give local or current" >&2; exit 2 ;; \
	esac
	@$(GO) build -o $(LOCALBIN)/demo ./hack/demo
	@$(LOCALBIN)/demo up --cluster $(CLUSTER) $(if $(IMG),--image $(IMG)) $(DEMO_FLAGS)

.PHONY: demo-down
demo-down: ## Remove the demo; its queue is drained first, and a local cluster is taken down.
	@if [ "$(CLUSTER)" = current ]; then $(MAKE) --no-print-directory kustomize; fi
	@$(GO) build -o $(LOCALBIN)/demo ./hack/demo
	@$(LOCALBIN)/demo down --cluster $(CLUSTER) $(DEMO_FLAGS)

.PHONY: cluster-up
cluster-up: cluster-tool ## Start the local Kubernetes cluster (Linux, root) and print its KUBECONFIG.
	@$(CLUSTER_TOOL) up $(if $(WRITEBEHIND_CLUSTER_SUBNET),--subnet $(WRITEBEHIND_CLUSTER_SUBNET))

.PHONY: cluster-down
cluster-down: cluster-tool ## Remove every trace of the local cluster.
	@$(CLUSTER_TOOL) down

##@ Development

.PHONY: manifests
manifests: controller-gen kustomize ## Generate the CRD and the operator's role from the markers in the code, and the Helm chart from config/.
	$(CONTROLLER_GEN) rbac:roleName=manager-role crd paths="./api/..." paths="./internal/controller/..." \
		output:crd:artifacts:config=config/crd/bases
	$(KUSTOMIZE) build config/chart | $(GO) run ./hack/chart charts/writebehind

.PHONY: generate
generate: controller-gen ## Generate the API types' DeepCopy methods.
	$(CONTROLLER_GEN) object:headerFile="hack/boilerplate.go.txt" paths="./api/..."

.PHONY: fmt
fmt: golangci-lint ## Format the code: gofumpt, imports in three groups.
	@$(call in-modules,$(GOLANGCI_LINT) fmt --config $(CURDIR)/.golangci.yml ./...)

.PHONY: vet
vet: ## Run go vet.
	@$(call in-modules,$(GO) vet -tags e2e ./...)

.PHONY: lint
lint: golangci-lint lint-workflows ## Run the linters.
	@$(call in-modules,$(GOLANGCI_LINT) run --config $(CURDIR)/.golangci.yml --build-tags e2e ./...)

# What else actionlint would run is installed on some machines alone.
.PHONY: lint-workflows
lint-workflows: actionlint ## Run the linter of GitHub's workflows.
	$(ACTIONLINT) -shellcheck= -pyflakes= .github/workflows/*.yml

.PHONY: lint-fix
lint-fix: golangci-lint ## Run the linters and mend what can be mended mechanically.
	@$(call in-modules,$(GOLANGCI_LINT) run --config $(CURDIR)/.golangci.yml --build-tags e2e --fix ./...)

# $(1): a command, which runs in each of our modules until it fails in one.
in-modules = for module in $(MODULES); do echo "== $$module"; (cd $$module && $(1)); done

.PHONY: verify
verify: controller-gen kustomize ## Fail if generated files, go.mod or licence headers are out of date.
	@hack/verify.sh

##@ Test

.PHONY: test
test: test-requirements gotestsum cluster-tool kustomize helm ## Run every test but the end-to-end ones, with the race detector in the product. Nothing is skipped unseen.
	@$(GO) build -o $(LOCALBIN)/progress ./hack/progress
	@assets="$$($(CLUSTER_TOOL) assets)"; failed=0; \
	KUBEBUILDER_ASSETS="$$assets" $(SUM_UP) hack/tally.sh --raw-command -- $(LOCALBIN)/progress \
		hack/go-test.sh $(PACKAGES) -- -json $(TEST_BUILD) -timeout 20m $(TEST_FLAGS) || failed=1; \
	cd hack/cluster && $(SUM_UP) ../tally.sh --raw-command -- $(LOCALBIN)/progress \
		$(GO) test -json $(TEST_BUILD) -timeout 10m $(TEST_FLAGS) ./... || failed=1; \
	exit $$failed
# make lint runs vet. What a debugger wants of a test's program is most of what is linked.
TEST_BUILD = -vet=off "-ldflags=-s -w"
# A line when a package has ended, what failed at the end, and one that can be counted.
# What is no event is a line of hack/progress, and is shown.
SUM_UP = $(GOTESTSUM) --format pkgname --format-icons text --format-hide-empty-pkg --ignore-non-json-output-lines --post-run-command

.PHONY: test-unit
test-unit: race-requirements ## Run the tests that start no server, as make test does: about a minute.
	@packages="$$(hack/unit-tests.sh $(PACKAGES))"; hack/go-test.sh $$packages -- $(TEST_BUILD) -timeout 3m $(TEST_FLAGS)

# Servers would be this machine's programs, and what a test builds would not start: what needs
# either is left out, and so are the tests of the house (hack, test).
.PHONY: test-arm64
test-arm64: ## Run those tests of cmd, internal and api that start no server as programs for arm64, emulated by qemu (ARM64_TESTS: the packages).
	@[ -x "$$(command -v qemu-aarch64-static)" ] || hack/require.sh qemu-user-static
	@packages="$(ARM64_TESTS)"; [ -n "$$packages" ] || packages="$$(hack/unit-tests.sh ./cmd/... ./internal/... $(API)/...)"; \
	CGO_ENABLED=0 GOARCH=arm64 $(GO) test -exec qemu-aarch64-static $(TEST_BUILD) -timeout 60m $(TEST_FLAGS) $$packages

.PHONY: test-servers
test-servers: test-requirements gotestsum ## Run the tests of both servers on other releases of them: SERVERS="redis8 valkey8 postgres13 ... postgres18", joined by + for one run.
	@[ -x "$$(command -v npm)" ] || hack/require.sh npm
	@failed=0; for servers in $(SERVERS); do \
		echo "== on $$servers"; \
		environment="$$(hack/servers.sh $${servers//+/ })"; \
		env $$environment $(GOTESTSUM) --format standard-quiet --post-run-command hack/tally.sh -- \
			-timeout 20m $(TEST_FLAGS) $(SERVER_TESTS) || failed=1; \
	done; exit $$failed

.PHONY: test-e2e
test-e2e: demo-requirements cluster-tool kustomize ## Run the end-to-end tests on the local cluster, which is started if it is not up.
	$(GO) test -tags e2e -count=1 -timeout 30m $(TEST_FLAGS) ./test/e2e -v -ginkgo.v

# The test of each capture, and the writes a second that it aims at.
CHAOS_Functions = TestEveryAcknowledgedWriteIsAccountedFor
CHAOS_Replication = TestWhatAnApplicationWritesIsCarried
RATE_Functions = 4000
RATE_Replication = 1200

.PHONY: chaos
chaos: test-requirements ## Break everything at random for MINUTES (default 30); SEED replays a sequence, REPORT names a JSON file, CAPTURE is Functions or Replication.
	$(GO) test -count=1 -timeout $$(( $(firstword $(subst ., ,$(MINUTES))) + 31 ))m -run $(or $(CHAOS_$(CAPTURE)),$(error CAPTURE is "$(CAPTURE)", Functions or Replication is allowed)) $(TEST_FLAGS) -v ./test/chaos \
		-args -chaos.minutes=$(MINUTES) -chaos.rate=$(RATE_$(CAPTURE)) -chaos.sentinel=$(SENTINEL) $(if $(SEED),-chaos.seed=$(SEED)) $(if $(REPORT),-chaos.report=$(abspath $(REPORT)))

.PHONY: scale
scale: test-requirements cluster-tool ## Measure the operator with RESOURCES resources (default 1000), at rest for QUIET (3m); REPORT names a JSON file.
	KUBEBUILDER_ASSETS="$$($(CLUSTER_TOOL) assets)" $(GO) test -count=1 -timeout 120m -run TestTheOperatorKeepsManyResources $(TEST_FLAGS) -v ./test/scale \
		-args -scale.resources=$(RESOURCES) -scale.real=20 -scale.silent=10 -scale.large=250 -scale.quiet=$(QUIET) \
		$(if $(SEED),-scale.seed=$(SEED)) $(if $(REPORT),-scale.report=$(abspath $(REPORT)))

.PHONY: bench
bench: test-requirements ## Run the benchmarks.
	$(GO) test -run '^$$' -bench . -benchmem -timeout 60m $(TEST_FLAGS) ./...

.PHONY: envtest-assets
envtest-assets: cluster-tool ## Build etcd and kube-apiserver if missing, and print their folder (KUBEBUILDER_ASSETS).
	@$(CLUSTER_TOOL) assets

.PHONY: race-requirements
race-requirements:
	@[ -x "$$(command -v gcc)" ] || hack/require.sh gcc libc6-dev

.PHONY: test-requirements
test-requirements: race-requirements
	@[ -x "$$(command -v redis-server)" ] || hack/require.sh redis-server
	@[ -x "$$(command -v initdb)" ] || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || hack/require.sh postgresql
	@[ -x "$$(command -v pgbouncer)" ] || [ -x /usr/sbin/pgbouncer ] || hack/require.sh pgbouncer
	@[ -x "$$(command -v promtool)" ] || hack/require.sh prometheus

.PHONY: demo-requirements
demo-requirements: test-requirements build kustomize

##@ Build

.PHONY: build
build: ## Build both programs and the plugin of kubectl, static, into bin/.
	CGO_ENABLED=0 $(GO) build $(BUILD_FLAGS) -o $(LOCALBIN)/manager ./cmd/manager
	CGO_ENABLED=0 $(GO) build $(BUILD_FLAGS) -o $(LOCALBIN)/flusher ./cmd/flusher
	CGO_ENABLED=0 $(GO) build $(BUILD_FLAGS) -o $(LOCALBIN)/kubectl-writebehind ./cmd/kubectl-writebehind

.PHONY: run
run: ## Run the operator here against your kubectl context, flushers with IMG (make install comes first).
	$(GO) run ./cmd/manager --leader-elect=false --flusher-image $(IMG)

.PHONY: docker-build
docker-build: container-tool ## Build the image IMG with docker (CONTAINER_TOOL=podman: with podman).
	$(CONTAINER_TOOL) build --build-arg VERSION=$(VERSION) -t $(IMG) .

.PHONY: docker-push
docker-push: container-tool ## Push the image IMG.
	$(CONTAINER_TOOL) push $(IMG)

.PHONY: container-tool
container-tool:
	@$(CONTAINER_TOOL) info >/dev/null 2>&1 || { \
		echo "$(CONTAINER_TOOL) is not at work here: install it or name another in CONTAINER_TOOL." >&2; \
		echo "The local cluster needs no image build: make demo." >&2; exit 1; }

.PHONY: build-installer
build-installer: kustomize ## Write everything that a cluster needs into dist/install.yaml (DIST: another folder).
	@mkdir -p $(DIST)
	@$(KUSTOMIZE_WITH_IMAGE) default >$(DIST)/install.yaml
	@echo "$(DIST)/install.yaml: kubectl apply --server-side -f $(DIST)/install.yaml"

.PHONY: package-chart
package-chart: helm ## Pack the Helm chart into dist/ (DIST: another folder).
	@mkdir -p $(DIST)
	@$(HELM) package charts/writebehind --destination $(DIST)

.PHONY: sbom
sbom: build cyclonedx-gomod ## Write each program's bill of materials into dist/ (DIST: another folder).
	@mkdir -p $(DIST)
	@for program in manager flusher kubectl-writebehind; do \
		$(CYCLONEDX_GOMOD) bin -json -licenses -std -version $(VERSION) $(LOCALBIN)/$$program | \
			sed -e 's|\./api@(devel)|$(API)@$(VERSION)|; s|"\./api"|"$(API)"|; s|"(devel)"|"$(VERSION)"|' >$(DIST)/$$program.cdx.json; \
	done
# A module that go.mod replaces by a folder stands in a program under the folder's name.

# Without a database nothing is checked, which is an error: GOVULNDB names a copy of it.
.PHONY: govulncheck
govulncheck: govulncheck-tool ## Look for known vulnerabilities in what our code calls (GOVULNDB: the database, by default https://vuln.go.dev).
	@hack/govulncheck.sh $(GOVULNCHECK) $(MODULES)

.PHONY: clean
clean: ## Remove what the build made.
	rm -rf $(LOCALBIN) dist

##@ Deployment (on your kubectl context)

.PHONY: install
install: kustomize ## Install the CRD.
	$(KUSTOMIZE) build config/crd | kubectl apply --server-side -f -

.PHONY: uninstall
uninstall: kustomize ## Remove the CRD, and with it every WriteBehindCache; each one drains first.
	$(KUSTOMIZE) build config/crd | kubectl delete --ignore-not-found -f -

.PHONY: deploy
deploy: kustomize ## Deploy the operator with the image IMG.
	$(KUSTOMIZE_WITH_IMAGE) default | kubectl apply --server-side -f -

# The resources go first: their deletion drains, and only the operator can do that.
.PHONY: undeploy
undeploy: kustomize ## Remove every WriteBehindCache (each one drains), then the operator and the CRD.
	kubectl delete writebehindcaches --all --all-namespaces --ignore-not-found
	$(KUSTOMIZE) build config/default | kubectl delete --ignore-not-found -f -

##@ Tools (Go modules, pinned in hack/tools)

# A tool is built once into bin/ under a name that holds its version, so that a
# new version in go.mod is built and an old one is never taken for it.
# $(1): the tool's module. $(2): the folder of hack/tools that names it.
tool-version = $(shell awk '$$1 == "$(1)" && $$2 ~ /^v/ { print $$2 }' hack/tools/$(2)/go.mod)

CONTROLLER_GEN := $(LOCALBIN)/controller-gen-$(call tool-version,sigs.k8s.io/controller-tools)
KUSTOMIZE := $(LOCALBIN)/kustomize-$(call tool-version,sigs.k8s.io/kustomize/kustomize/v5)
GOLANGCI_LINT := $(LOCALBIN)/golangci-lint-$(call tool-version,github.com/golangci/golangci-lint/v2)
GOTESTSUM := $(LOCALBIN)/gotestsum-$(call tool-version,gotest.tools/gotestsum)
HELM := $(LOCALBIN)/helm-$(call tool-version,helm.sh/helm/v4,helm)
ACTIONLINT := $(LOCALBIN)/actionlint-$(call tool-version,github.com/rhysd/actionlint,github)
CYCLONEDX_GOMOD := $(LOCALBIN)/cyclonedx-gomod-$(call tool-version,github.com/CycloneDX/cyclonedx-gomod,github)
GOVULNCHECK := $(LOCALBIN)/govulncheck-$(call tool-version,golang.org/x/vuln,github)
CLUSTER_TOOL := $(LOCALBIN)/cluster
export KUSTOMIZE CONTROLLER_GEN CLUSTER_TOOL HELM IMG
KUSTOMIZE_WITH_IMAGE := hack/kustomize-image.sh

.PHONY: controller-gen
controller-gen: $(CONTROLLER_GEN) ## Build controller-gen.
$(CONTROLLER_GEN):
	$(call build-tool,sigs.k8s.io/controller-tools/cmd/controller-gen)

.PHONY: kustomize
kustomize: $(KUSTOMIZE) ## Build kustomize.
$(KUSTOMIZE):
	$(call build-tool,sigs.k8s.io/kustomize/kustomize/v5)

.PHONY: golangci-lint
golangci-lint: $(GOLANGCI_LINT) ## Build golangci-lint.
$(GOLANGCI_LINT):
	$(call build-tool,github.com/golangci/golangci-lint/v2/cmd/golangci-lint)

.PHONY: gotestsum
gotestsum: $(GOTESTSUM) ## Build gotestsum.
$(GOTESTSUM):
	$(call build-tool,gotest.tools/gotestsum)

.PHONY: helm
helm: $(HELM) ## Build helm.
$(HELM):
	$(call build-tool,helm.sh/helm/v4/cmd/helm,helm)

.PHONY: actionlint
actionlint: $(ACTIONLINT) ## Build actionlint.
$(ACTIONLINT):
	$(call build-tool,github.com/rhysd/actionlint/cmd/actionlint,github)

.PHONY: cyclonedx-gomod
cyclonedx-gomod: $(CYCLONEDX_GOMOD) ## Build cyclonedx-gomod.
$(CYCLONEDX_GOMOD):
	$(call build-tool,github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod,github)

.PHONY: govulncheck-tool
govulncheck-tool: $(GOVULNCHECK) ## Build govulncheck.
$(GOVULNCHECK):
	$(call build-tool,golang.org/x/vuln/cmd/govulncheck,github)

# The tool finds its sources where it was built, hence no -trimpath.
.PHONY: cluster-tool
cluster-tool: ## Build the local cluster's command line tool.
	@cd hack/cluster && $(GO) build -o $(CLUSTER_TOOL) .

# $(1): the tool's package. $(2): the folder of hack/tools that names it.
build-tool = @GO=$(GO) hack/build-tool.sh '$@' $(1) '$(2)'
