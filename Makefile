# Everything is built from Go modules: you need only Go, make and git.

SHELL       := bash
.SHELLFLAGS := -eu -o pipefail -c

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
IMAGE   ?= telltale:$(VERSION)
DIST    ?= dist

# The kind of cluster: names a script of hack/cluster.
CLUSTER ?= cluster
export CLUSTER

# make stress compares PAIRS pods with and without Telltale, and has the pods of OWNERS
# ReplicaSets refused. It draws both from SEED, as make audit does; 0 draws a seed and prints it.
PAIRS  ?= 10000
OWNERS ?= 1000
SEED   ?= 0

# Without the tag, gRPC keeps a page of traces, and the binary is half as large again.
TAGS = -tags grpcnotrace

# The race detector needs a C compiler; without one, Go turns cgo off.
RACE := $(if $(filter 1,$(shell go env CGO_ENABLED)),-race)

# Names the binaries of a real control plane, and builds them if necessary.
ASSETS = KUBEBUILDER_ASSETS="$$(hack/controlplane/build)" && export KUBEBUILDER_ASSETS
# Names the backends of make observe, and builds them if necessary.
BACKENDS = TELLTALE_BACKENDS="$$(hack/backends/build)" && export TELLTALE_BACKENDS && \
	TELLTALE_PROMETHEUS="$$(hack/prometheus/build)" && export TELLTALE_PROMETHEUS && \
	TELLTALE_ALERTMANAGER="$$(hack/alertmanager/build)" && export TELLTALE_ALERTMANAGER
EXPORTERS = TELLTALE_EXPORTERS="$$(hack/exporters/build)" && export TELLTALE_EXPORTERS
TOOL   = go tool -modfile=hack/tools/go.mod

# The packages with tests that use a real API server, and the others.
APISERVER = $$(grep -rl --include='*_test.go' '^//go:build apiserver' . | xargs -n 1 dirname | sort -u)
OTHERS    = $$(go list -f '.{{slice .Dir (len .Module.Dir)}}' ./... | grep -vxF "$(APISERVER)")

# The contents of every file that git does not ignore.
SUMS = git ls-files --cached --others --exclude-standard | git hash-object --stdin-paths

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build bin/telltale
	CGO_ENABLED=0 go build $(TAGS) -ldflags "-s -w -X main.version=$(VERSION)" -o bin/telltale ./cmd/telltale

.PHONY: plugin
plugin: ## Build bin/kubectl-telltale, the plugin: put it on the PATH, and kubectl telltale is there
	CGO_ENABLED=0 go build -ldflags "-s -w -X main.version=$(VERSION)" -o bin/kubectl-telltale ./cmd/kubectl-telltale
	ln -sf kubectl-telltale bin/kubectl_complete-telltale

.PHONY: dist
dist: ## Write archives of the plugin for each platform to dist/, their checksums, and a manifest for krew
	go run ./hack/dist -version "$(VERSION)" -out "$(DIST)"

.PHONY: man
man: ## Write the plugin's manual as man pages to dist/man
	@mkdir -p "$(DIST)/man"
	CGO_ENABLED=0 go run -ldflags "-X main.version=$(VERSION)" ./cmd/kubectl-telltale docs --man "$(DIST)/man"

.PHONY: sbom
sbom: plugin bin/image/telltale ## Write the SBOMs of the image, which has one file, and of the plugin to dist/ (CycloneDX)
	hack/sbom/write "$(VERSION)" "$(DIST)" bin/image/telltale bin/kubectl-telltale

.PHONY: test
test: ## Run all tests; the second half uses a real API server, which is built the first time
	$(if $(RACE),,@echo "no C compiler: the tests run without the race detector")
	go test $(RACE) $(OTHERS)
	$(ASSETS) && go test $(RACE) -tags apiserver -count=1 -timeout 180m $(APISERVER) # Go's cache does not see the processes

.PHONY: stress
stress: ## Test the promises of the report pipe and the injections at full size (three quarters of an hour); prints a table
	$(ASSETS) && go test -tags apiserver -timeout 120m ./test/stress -v -args -full
	$(ASSETS) && go test -tags apiserver -timeout 60m ./test/property -v -args -pairs=$(PAIRS) -owners=$(OWNERS) -seed=$(SEED)

.PHONY: canary
canary: ## Make each cause for which the API server may not ask Telltale, kill leaders, and heal meanwhile (a quarter of an hour)
	$(ASSETS) && go test $(RACE) -tags apiserver -count=1 -timeout 60m ./cmd/telltale -run 'TestCanary' -v -args -canary

.PHONY: soak
soak: ## Test for half an hour that nothing stays of owners and namespaces that came and went
	$(ASSETS) && go test -tags apiserver -timeout 60m ./test/stress -run 'TestSoak$$' -v -args -soak=30m

.PHONY: audit
audit: ## Test the audit of pods that exist at full size, with kwok (a quarter of an hour; FULL=1: with 100,000 pods, an hour); prints a table
	$(ASSETS) && go test -tags audit -count=1 -timeout 300m ./test/audit -v -args -kwok="$$(hack/kwok/build)" -seed=$(SEED) $(if $(FULL),-pods=100000)

.PHONY: observe
observe: rules ## Test what others see of failures with a real Collector, VictoriaLogs, Prometheus and Alertmanager, built the first time (6 minutes); prints tables
	$(BACKENDS) && $(EXPORTERS) && $(ASSETS) && \
		go test -tags apiserver,observe -count=1 -timeout 60m -parallel 4 ./webhook/report ./cmd/telltale -run '^TestObserve' -v && \
		go test -tags apiserver,observe -count=1 -timeout 60m ./test/stress -run '^(TestSums|TestExporters)$$' -v -args -full

.PHONY: records
records: ## Measure the memory that log records cost in the largest storm (5 minutes)
	$(BACKENDS) && $(ASSETS) && \
		go test -tags apiserver,observe -count=1 -timeout 60m ./test/stress -run '^TestRecords$$' -v -args -full

.PHONY: rules
rules: ## Test the alerts and recording rules of config/prometheus with a real promtool, built the first time
	prometheus="$$(hack/prometheus/build)" && export TELLTALE_PROMETHEUS="$$prometheus" && \
		go test -tags observe -count=1 -timeout 60m ./config -run '^TestRules' -v

.PHONY: chart
chart: bin/helm ## Test the Helm chart with a real Helm, built the first time: it is what kustomize builds, installed and upgraded
	export TELLTALE_HELM="$(CURDIR)/bin/helm" && $(ASSETS) && \
		go test $(RACE) -tags apiserver,chart -count=1 -timeout 180m ./config -run '^TestChart' -v

.PHONY: versions
versions: ## Test the promises that depend on the API server with four versions of Kubernetes; prints a table
	hack/versions/run

.PHONY: e2e
e2e: ## Run Telltale in a cluster, on a real node, as root (17 minutes); prints a table
	hack/e2e/run

.PHONY: bench
bench: build ## Measure the cost of Telltale, beside servers that do less or the same (6 minutes); prints tables
	CGO_ENABLED=0 go build -o bin/bench ./hack/bench
	$(ASSETS) && bin/bench $(BENCH) # make bench BENCH=-help

.PHONY: demo
demo: bin/dev ## Show it: pods with their injection, pods without, and what kubectl describe says
	$(ASSETS) && bin/dev demo

.PHONY: dev
dev: bin/dev ## Run a control plane and Telltale until Ctrl-C, and print its KUBECONFIG (OBSERVE=1: Prometheus, Alertmanager, a Collector and VictoriaLogs, too)
	$(if $(OBSERVE),$(BACKENDS) &&) $(ASSETS) && bin/dev $(if $(OBSERVE),observe,up)

.PHONY: run
run: build ## Run Telltale here, for the cluster on this machine that KUBECONFIG names
	: "$${KUBECONFIG:?names no cluster}"
	$(ASSETS) && "$$KUBEBUILDER_ASSETS"/kubectl apply --kustomize=config/overlays/local
	@echo "When done: kubectl delete mutatingwebhookconfiguration telltale"
	bin/telltale --dns-names=localhost

.PHONY: lint
lint: ## Run go vet and golangci-lint, which is built the first time (a few minutes)
	go vet -tags apiserver,audit,chart,e2e,observe ./...
	@echo "golangci-lint run (built from source the first time: a few minutes)"
	@$(TOOL) golangci-lint run --allow-parallel-runners

.PHONY: generate
generate: ## Write the CRDs and deep copies from patches/v1alpha1, the dashboard, the Helm chart, and the plugin's manual
	$(TOOL) controller-gen object crd paths=./patches/v1alpha1 output:crd:dir=config/crd/bases
	go run ./hack/crds config/crd/bases/*.yaml
	go -C hack/dashboard run . ../../config/grafana/telltale.json
	go run ./hack/chart config charts/telltale
	@mkdir -p bin
	CGO_ENABLED=0 go run ./cmd/kubectl-telltale docs > bin/kubectl-telltale.md && mv bin/kubectl-telltale.md docs/kubectl-telltale.md

.PHONY: verify
verify: verify-generated lint test chart ## Run all that CI runs; fails if generated files change

.PHONY: verify-generated
verify-generated:
	go mod tidy -diff
	@before="$$($(SUMS))"; $(MAKE) --no-print-directory generate; \
	if [[ "$$before" != "$$($(SUMS))" ]]; then \
		git status --short; echo "make generate changed files: commit them"; exit 1; \
	fi

.PHONY: image
image: bin/image/telltale ## Build a container image with docker, podman or buildah; needs no network
	hack/image/build $(IMAGE) . --target prebuilt

.PHONY: bin/image/telltale
bin/image/telltale:
	CGO_ENABLED=0 GOOS=linux go build $(TAGS) -buildvcs=false -ldflags "-s -w -X main.version=$(VERSION)" -o $@ ./cmd/telltale

.PHONY: cluster-up
cluster-up: ## Run a real Kubernetes node on this machine, as root (Linux; CLUSTER=kind: in a container)
	@hack/cluster/$(CLUSTER) up

.PHONY: cluster-down
cluster-down: ## End it, and leave nothing behind
	@hack/cluster/$(CLUSTER) down

define INSTALLER
resources: [../../config/default]
patches:
- target: {kind: Deployment, name: telltale}
  patch: |-
    - op: replace
      path: /spec/template/spec/containers/0/image
      value: $(IMAGE)
endef
export INSTALLER

.PHONY: installer
installer: ## Write dist/install.yaml, all of config/default with IMAGE, for one kubectl apply
	@mkdir -p bin/installer $(DIST)
	@printf '%s\n' "$$INSTALLER" > bin/installer/kustomization.yaml
	@kubectl="$$(command -v kubectl)" || { $(ASSETS) && kubectl="$$KUBEBUILDER_ASSETS/kubectl"; }; \
		"$$kubectl" kustomize bin/installer | sed -e '/^  annotations:$$/{' -e 'N' -e '/helm-generated/d' -e '}' > $(DIST)/install.yaml
	@# A kustomize older than v5.8 leaves this annotation there: config/canary/namespace.
	@echo "kubectl apply -f $(DIST)/install.yaml installs $(IMAGE)"

.PHONY: clean
clean: ## Remove bin/ and dist/; caches outside of the tree stay
	rm -rf bin dist

.PHONY: bin/dev
bin/dev: build
	CGO_ENABLED=0 go build -o $@ ./hack/dev

.PHONY: bin/helm
bin/helm:
	CGO_ENABLED=0 go -C hack/helm build -o ../../$@ helm.sh/helm/v4/cmd/helm
