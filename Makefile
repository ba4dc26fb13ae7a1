# Every job of this project; `make` lists them. Each installs what it needs or says what is missing.

# lein without its own profile of development tools, which is on no registry this project uses.
LEIN := lein with-profile -base
JAVA ?= $(if $(JAVA_HOME),$(JAVA_HOME)/bin/java,java)
JAVA_OPTIONS := -XX:+IgnoreUnrecognizedVMOptions --enable-native-access=ALL-UNNAMED
CLASS_PATH = $$($(LEIN) classpath)
PORT ?= 8090
EXAMPLE ?= tour
EXAMPLES := tour chat ticker longpoll upload

SYSTEM := $(shell uname -s | tr A-Z a-z | sed s/darwin/macos/)
PROCESSOR := $(shell uname -m | sed -e s/amd64/x86_64/ -e s/arm64/aarch64/)
LIBRARY := libhttpkit_rs.$(if $(filter macos,$(SYSTEM)),dylib,so)
STAGE := target/native-resources/native/$(SYSTEM)-$(PROCESSOR)

.DEFAULT_GOAL := help
.PHONY: help build native classes run example repl test fuzz lint check install bench fmt clean

help: ## List the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

build: native classes ## Build the native library and the Java classes

# The library names source files in its panic messages: not by the paths of the machine that built it.
SOURCE_PATHS := '--remap-path-prefix=$(or $(CARGO_HOME),$(HOME)/.cargo)/registry/src=crates', \
  '--remap-path-prefix=$(CURDIR)=.'

native:
	@scripts/require cargo cc
	cargo build --release --package httpkit-jni --config "build.rustflags=[$(SOURCE_PATHS)]"
	@mkdir -p $(STAGE)
	@# Debug symbols, four fifths of the file, stay in target/release. The rename leaves no JVM with half a file.
	@strip -S -o $(STAGE)/.$(LIBRARY) target/release/$(LIBRARY) && mv $(STAGE)/.$(LIBRARY) $(STAGE)/$(LIBRARY)

classes:
	@scripts/require lein javac
	@# Leiningen compiles what has changed, but constants are copied into all classes that name them.
	@test -z "$$(find java -newer target/classes.stamp 2>&1)" || rm -rf target/classes
	$(LEIN) javac
	@touch target/classes.stamp

run: example build ## Serve EXAMPLE (tour; or chat, ticker, longpoll, upload) on PORT (8090)
	@PORT='$(PORT)' exec $(JAVA) $(JAVA_OPTIONS) -cp "$(CLASS_PATH)" clojure.main -m $(EXAMPLE).main

example:
	@$(if $(filter $(EXAMPLES),$(EXAMPLE)),:,$(error EXAMPLE must be one of: $(EXAMPLES); not "$(EXAMPLE)"))

repl: build ## Start a Clojure REPL with the server on the class path
	@exec $(JAVA) $(JAVA_OPTIONS) -cp "$(CLASS_PATH)" clojure.main -e "(require '[org.httpkit.server :as server])" -r

test: build ## Run every test: Rust, Clojure (of the Java classes too), Autobahn's, in a browser
	@scripts/test $(JAVA)

FUZZ ?= http1
FUZZ_SECONDS ?= 60

fuzz: ## Fuzz a protocol core, FUZZ=http1 or websocket, for FUZZ_SECONDS (60)
	@scripts/require cargo cc c++
	@command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz
	@mkdir -p target/fuzz/$(FUZZ)
	@# Sanitizers are unstable; the variable lets the stable compiler have them.
	RUSTC_BOOTSTRAP=1 cargo fuzz run $(FUZZ) --fuzz-dir rust/engine/fuzz target/fuzz/$(FUZZ) \
	  rust/engine/fuzz/seeds/$(FUZZ) -- -max_total_time=$(FUZZ_SECONDS)

lint: build ## Check formatting and every compiler's and linter's warnings
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	@rm -rf target/lint && mkdir -p target/lint
	javac --release 11 -Xlint:all,-path -Werror -encoding UTF-8 -cp "$(CLASS_PATH)" -d target/lint \
	  $$(find java -name '*.java')
	@$(JAVA) $(JAVA_OPTIONS) -cp "$(CLASS_PATH):test/ring_doubles" clojure.main scripts/lint.clj clj \
	  $(EXAMPLES:%=examples/%/src) examples/shared/src

check: lint test ## Run lint and test: what a change must pass

install: build ## Install the jar, native library included, into the local Maven repository
	@# With its profile dev, Leiningen would write that profile's Clojure into the pom, as a dependency of the tests alone.
	$(LEIN),-dev install

bench: build ## Compare with bare hyper and, if HTTPKIT_CLASSPATH is set, http-kit; BENCH= gives options
	@scripts/require wrk python3
	python3 bench/run.py $(BENCH)

fmt: ## Format the Rust code
	cargo fmt --all

clean: ## Remove everything that was built
	rm -rf target
