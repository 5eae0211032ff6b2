# `make run` and `make test` are all that a newcomer needs; `make help` lists the rest.
#
# Each target installs the Debian packages that it needs, if they are missing, and says so. Without root, or on a
# system without apt-get, it names them and stops.

CARGO ?= cargo
PREFIX ?= /usr/local
DESTDIR ?=
CALLS ?= 500
SECONDS ?= 30
CPS ?= 100
CODECS ?= ulaw:ulaw
PHONES ?= 0
RELOADS ?= 0
BESIDE ?=
ROUNDS ?= 5
FUZZ_SECONDS ?= 60

BUILD_PACKAGES = gcc libc6-dev
TEST_PACKAGES = $(BUILD_PACKAGES) sip-tester baresip-core kamailio prometheus curl openssl espeak-ng ffmpeg libsrtp2-1 libspandsp2 \
  asterisk-core-sounds-en-wav asterisk-core-sounds-en-gsm asterisk-core-sounds-en-g722
BENCH_PACKAGES = $(BUILD_PACKAGES) libsrtp2-1 libspandsp-dev libavcodec-dev libswresample-dev
COMPARE_PACKAGES = $(TEST_PACKAGES) rtpengine-daemon iproute2 util-linux

# $(call need,packages): present ones cost one dpkg-query.
define need
@missing=""; \
if command -v dpkg-query >/dev/null; then \
  for package in $(1); do \
    dpkg-query -W -f='$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$package"; \
  done; \
  if [ -n "$$missing" ]; then \
    if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
      echo "installing Debian packages:$$missing"; \
      apt-get update -qq && DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
        apt-get install -y -qq --no-install-recommends $$missing >/dev/null || exit 1; \
    else \
      echo "these Debian packages are missing:$$missing" >&2; \
      echo "install them (as root: apt-get install$$missing) and run make again" >&2; exit 1; \
    fi; \
  fi; \
else \
  echo "not a Debian system: make sure that these are installed: $(1)" >&2; \
fi; \
command -v $(CARGO) >/dev/null || { echo "a Rust toolchain (cargo) is missing" >&2; exit 1; }
endef

.PHONY: help build run test lint bench compare loadtest loadtest-calls fuzz install

help:
	@echo "make run        serve with the default configuration (config/ringway.toml)"
	@echo "make test       format, lints, unit tests, simulator, black-box tests with SIPp, baresip, Kamailio and Prometheus"
	@echo "make build      the release binary, target/release/ringway"
	@echo "make lint       format and lints only"
	@echo "make loadtest   CALLS=$(CALLS) SECONDS=$(SECONDS) CPS=$(CPS) CODECS=$(CODECS): calls with media, one table"
	@echo "make loadtest   CALLS=100 CODECS=ulaw:g722 BESIDE=rtpengine ROUNDS=$(ROUNDS): what transcoding costs, and beside"
	@echo "                rtpengine in turn over network namespaces (root)"
	@echo "make loadtest-calls  CPS=200 SECONDS=60 PHONES=10000 RELOADS=5 BESIDE=kamailio: new calls at a steady rate,"
	@echo "                no media, beside registered telephones and reloads; then the same calls through Kamailio"
	@echo "make bench      benchmarks of each layer, the codecs beside libspandsp's and FFmpeg's"
	@echo "make compare    ROUNDS=$(ROUNDS): Ringway and rtpengine in turn over network namespaces (root)"
	@echo "make fuzz       FUZZ_SECONDS=$(FUZZ_SECONDS): every fuzz target for so long"
	@echo "make install    PREFIX=$(PREFIX): binary, systemd unit, /etc/ringway"

build:
	$(call need,$(BUILD_PACKAGES))
	$(CARGO) build --release --workspace

run:
	$(call need,$(BUILD_PACKAGES))
	$(CARGO) build --release
	@exec target/release/ringway run

test: lint
	$(call need,$(TEST_PACKAGES))
	$(CARGO) test --workspace --no-fail-fast

lint:
	$(call need,$(BUILD_PACKAGES))
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings

bench:
	$(call need,$(BENCH_PACKAGES))
	$(CARGO) bench

compare: build
	$(call need,$(COMPARE_PACKAGES))
	target/release/ringway-loadtest compare --rounds $(ROUNDS)

loadtest: build
	$(call need,$(if $(BESIDE),$(COMPARE_PACKAGES),$(TEST_PACKAGES)))
	target/release/ringway-loadtest $(if $(BESIDE),beside-$(BESIDE) --calls $(CALLS) --rounds $(ROUNDS),\
	  run --calls $(CALLS) --seconds $(SECONDS) --cps $(CPS)) --codecs $(CODECS)

loadtest-calls: build
	$(call need,$(TEST_PACKAGES))
	target/release/ringway-loadtest calls --cps $(CPS) --seconds $(SECONDS) --phones $(PHONES) --reloads $(RELOADS) \
	  $(if $(BESIDE),--beside-$(BESIDE))

fuzz:
	$(call need,$(BUILD_PACKAGES) g++)
	@$(CARGO) fuzz --version >/dev/null 2>&1 || { echo "installing cargo-fuzz"; $(CARGO) install --locked cargo-fuzz; }
	@for target in $$($(CARGO) fuzz list); do \
	  echo "== $$target"; $(CARGO) fuzz run -s none $$target -- -max_total_time=$(FUZZ_SECONDS) -timeout=10 || exit 1; \
	done

install: build
	install -D -m 0755 target/release/ringway $(DESTDIR)$(PREFIX)/bin/ringway
	install -D -m 0755 target/release/ringway-loadtest $(DESTDIR)$(PREFIX)/bin/ringway-loadtest
	install -D -m 0644 config/ringway.service $(DESTDIR)/etc/systemd/system/ringway.service
	sed -i 's|@PREFIX@|$(PREFIX)|' $(DESTDIR)/etc/systemd/system/ringway.service
	[ -f $(DESTDIR)/etc/ringway/ringway.toml ] || install -D -m 0640 config/ringway.toml $(DESTDIR)/etc/ringway/ringway.toml
	@echo "installed; next: edit /etc/ringway/ringway.toml, ringway check /etc/ringway/ringway.toml, systemctl enable --now ringway"
