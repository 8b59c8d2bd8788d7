# What the targets do: make help

# Shells of CI may come without HOME, which Go needs for its caches.
ifndef HOME
export HOME := $(shell getent passwd "$$(id -u)" | cut -d: -f6)
endif
# Where tools/deps-node.sh puts a Node when the host's is too old.
export PATH := $(or $(LEFT4MED_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/left4med)/node:$(PATH)
# Where Go is when it is not on the path.
export PATH := $(PATH):/usr/local/go/bin
export GO ?= $(or $(shell command -v go),/usr/local/go/bin/go)

VERSION ?= $(shell deploy/debian/version.sh)
DEB_ARCH = $(shell dpkg --print-architecture)
DEB = dist/left4med_$(VERSION)_$(DEB_ARCH).deb
# Every file of the package has the time of the commit: the same source gives
# the same package.
export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)

LDFLAGS = -s -w -X main.version=$(VERSION)
# SQLite is C. Linked statically, one binary starts on every Debian: one linked
# against the libc of 13 does not start on 12.
CGO_TAGS = sqlite_omit_load_extension,osusergo,netgo
CGO_LDFLAGS = $(LDFLAGS) -linkmode external -extldflags "-static"

# Tests of the machines and of the whole product run one package at a time.
E2E = ./test/machine/... ./test/vm/... ./test/e2e/... ./test/browser
NOT_UNIT = -e /test/machine -e /test/vm -e /test/e2e -e /test/browser -e /bench

.PHONY: help
help: ## Show this
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

.PHONY: build
build: need-go deps-build web ## The programs, in bin/
	CGO_ENABLED=1 $(GO) build -trimpath -tags $(CGO_TAGS) -ldflags '$(CGO_LDFLAGS)' -o bin/ ./cmd/left4med ./cmd/left4med-web
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/l4d2ctl ./cmd/left4me-upper ./cmd/left4me-adopt ./cmd/left4me-install ./cmd/left4med-probe
	@for program in left4med left4med-web l4d2ctl left4me-upper left4me-adopt left4me-install left4med-probe; do \
		if readelf --program-headers bin/$$program | grep -q INTERP; then \
			echo "bin/$$program is not static: it would start on this release of Debian alone" >&2; exit 1; fi; done

.PHONY: deb
deb: build ## The Debian package, in dist/
	rm -rf dist/stage
	umask 022 && mkdir -p dist/stage/bin dist/stage/completion dist/stage/man/man1 dist/stage/man/man5 dist/stage/man/man8
	cp bin/left4med bin/left4med-web bin/l4d2ctl bin/left4me-upper bin/left4me-adopt bin/left4me-install bin/left4med-probe dist/stage/bin/
	for program in l4d2ctl left4med-web; do for shell in bash zsh fish; do \
		bin/$$program completion $$shell >dist/stage/completion/$$program.$$shell || exit; done; done
	bin/l4d2ctl man dist/stage/man/man1
	cp deploy/man/*.5 dist/stage/man/man5/
	cp deploy/man/*.8 dist/stage/man/man8/
	gzip -9n dist/stage/man/man*/*
	{ deploy/debian/licences.sh ./cmd/... && cat web/dist/licences.txt; } | gzip -9n >dist/stage/licences.gz
	find dist/stage -exec touch --no-dereference --date=@$(SOURCE_DATE_EPOCH) {} +
	VERSION='$(VERSION)' DEB_ARCH=$(DEB_ARCH) \
		$(GO) tool -modfile=tools/go.mod nfpm package --config deploy/debian/nfpm.yaml --packager deb --target $(DEB)
	rm -rf dist/stage
	@echo $(DEB)

# The browser's side is built again when a file of it is newer than what was built.
WEB_SOURCES = $(shell find web -type f -not -path 'web/node_modules/*' -not -path 'web/dist/*')

.PHONY: web
web: web/dist/index.html ## The browser's side, in web/dist/

web/dist/index.html: $(WEB_SOURCES) | deps-web
	cd web && node_modules/.bin/vite build

.PHONY: web-generate
web-generate: deps-web ## The types of the daemon's API for the browser's side
	cd web && node_modules/.bin/openapi-typescript ../internal/api/testdata/openapi.json --output src/lib/openapi.d.ts

.PHONY: web-check
web-check: deps-web ## The browser's side: types, format, and that the API's types are as of now
	cd web && node_modules/.bin/svelte-check --fail-on-warnings
	cd web && node_modules/.bin/prettier --log-level warn --check .
	@cd web && node_modules/.bin/openapi-typescript ../internal/api/testdata/openapi.json 2>/dev/null | cmp -s - src/lib/openapi.d.ts || \
		{ echo "web/src/lib/openapi.d.ts is not of internal/api/testdata/openapi.json: make web-generate" >&2; exit 1; }

.PHONY: web-test
web-test: deps-web
	cd web && node_modules/.bin/vitest run

.PHONY: install
install: deb ## Build the package and install it on this host, as root
	@test "$$(id -u)" = 0 || { echo "Installing needs root: sudo make install" >&2; exit 1; }
	@echo "Installing $(DEB) on this host. Running games are not touched."
	apt-get install --yes --reinstall --allow-downgrades ./$(DEB)

# vet is lint's. All goes one after the other even with --jobs, since the machines
# want the processors: an emulated one that has to share them does not get done.
.PHONY: test
test: test-unit test-e2e ## All tests: test-unit, and test-e2e

# SQLite unoptimized: with the race detector it compiles in a third of the time,
# and these tests ask little of it.
.PHONY: test-unit
test-unit: deps-build deps-bus deps-node deps-prometheus base web-test ## Tests of the packages, with the race detector, as root
	packages=$$($(GO) list ./... | grep -v $(NOT_UNIT)) && CGO_ENABLED=1 CGO_CFLAGS='-O0 -g' $(GO) test -vet=off -race -timeout 10m $$packages

.PHONY: test-e2e
test-e2e: test-machines test-virtual test-measured ## Tests on real Debian machines, as root

# Of what is to run at all, the tests of the packages come first, then the machines,
# then the emulated ones, and what measures time comes last.
AFTER_UNIT = $(if $(filter test,$(MAKECMDGOALS)),test-unit)
AFTER_MACHINES = $(if $(filter test test-e2e,$(MAKECMDGOALS)),test-machines)
MEASURED = ^TestAbuse$$

.PHONY: test-virtual
test-virtual: deb base deps-vm | $(AFTER_UNIT) $(AFTER_MACHINES)
	LEFT4MED_DEB='$(CURDIR)/$(DEB)' $(GO) test -vet=off -timeout 25m -run '^TestVirtual$$' ./test/e2e

.PHONY: test-machines
test-machines: deb base deps-vm deps-prometheus deps-browser | $(AFTER_UNIT)
	LEFT4MED_DEB='$(CURDIR)/$(DEB)' $(GO) test -vet=off -p 1 -parallel 5 -timeout 25m -skip '^TestVirtual$$|$(MEASURED)' $(E2E)

.PHONY: test-measured
test-measured: deb base deps-machine | $(AFTER_UNIT) test-virtual test-machines
	LEFT4MED_DEB='$(CURDIR)/$(DEB)' $(GO) test -vet=off -timeout 10m -run '$(MEASURED)' ./test/e2e
	LEFT4MED_DEB='$(CURDIR)/$(DEB)' $(GO) test -vet=off -timeout 10m ./bench

.PHONY: test-long
test-long: deb base ## The test that draws its deeds, for five minutes, as root (LEFT4MED_CRASH_SEED=N repeats a run)
	LEFT4MED_MODEL_TIME=5m LEFT4MED_DEB='$(CURDIR)/$(DEB)' $(GO) test -count=1 -v -timeout 15m -run '^TestModel$$' ./test/e2e

# As the daemon is built, and after it if that is to be built at all, so that SQLite
# is compiled once for both: a minute.
.PHONY: lint
lint: export GOFLAGS += -trimpath -tags=$(CGO_TAGS)
lint: need-go deps-build web-check | $(if $(filter test,$(MAKECMDGOALS)),build) ## gofmt, go vet, staticcheck, and the browser's side
	@unformatted=$$("$$($(GO) env GOROOT)/bin/gofmt" -l $$(git ls-files '*.go')); \
		test -z "$$unformatted" || { echo "gofmt -w these:" >&2; echo "$$unformatted" >&2; exit 1; }
	$(GO) vet ./...
	$(GO) tool -modfile=tools/go.mod staticcheck ./...

.PHONY: demo
demo: RELEASE ?= trixie
demo: deb deps-machine ## The main job, to watch, on a throw-away Debian, as root (RELEASE=bookworm: Debian 12)
	@LEFT4MED_DEB='$(CURDIR)/$(DEB)' $(GO) run ./test/demo -release '$(RELEASE)'

.PHONY: bench
bench: deb base deps-browser ## Measurements against what left4med replaces, as root
	LEFT4MED_DEB='$(CURDIR)/$(DEB)' $(GO) test -timeout 60m -run '^$$' -bench . -p 1 ./bench ./test/browser

.PHONY: base
base: need-go deps-machine ## The trees that test machines stand on, cached outside the repository
	$(GO) run ./test/machine/cmd/base

.PHONY: clean
clean: ## Remove what was built here (the caches stay)
	rm -rf bin dist
	find web/dist -mindepth 1 -not -name README -delete

.PHONY: deps
deps: deps-build deps-bus deps-node deps-web deps-browser deps-machine deps-vm deps-prometheus ## What all of this needs of Debian's packages

.PHONY: need-go
need-go:
	@tools/need-go.sh

.PHONY: deps-build
deps-build:
	@tools/deps.sh gcc libc6-dev binutils

.PHONY: deps-bus
deps-bus:
	@tools/deps.sh dbus-daemon

.PHONY: deps-node
deps-node:
	@tools/deps-node.sh test/interop

.PHONY: deps-web
deps-web:
	@tools/deps-node.sh web

.PHONY: deps-machine
deps-machine:
	@tools/deps.sh mmdebstrap systemd-container util-linux mount

.PHONY: deps-vm
deps-vm:
	@tools/deps.sh qemu-system-x86 e2fsprogs util-linux

.PHONY: deps-prometheus
deps-prometheus:
	@tools/prometheus.sh promtool >/dev/null

.PHONY: deps-browser
deps-browser: deps-node
	@tools/deps.sh chromium fonts-dejavu-core
	@tools/deps-node.sh test/browser
