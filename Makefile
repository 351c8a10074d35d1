# Entry points: Meson builds; these targets first install what it needs on a fresh machine.

BUILD ?= build
BUILD_ASAN ?= build-asan
BUILD_TSAN ?= build-tsan
BUILD_FUZZ ?= build-fuzz
BUILD_AARCH64 ?= build-aarch64
FUZZ_SECONDS ?= 600
FUZZ_TARGETS ?=
PREFIX ?=
DEMO_AUDIO ?= models/demo/samples/en.flac

RELEASE = --buildtype=release $(if $(PREFIX),--prefix=$(abspath $(PREFIX)))
MESON = $$(. tools/common.sh && find_meson)
SHELL = bash

help:
	@echo 'make demo          install what is missing, build, transcribe a sample with the demo model'
	@echo 'make test          install what is missing, build, run all tests'
	@echo 'make test-asan     run the tests built with AddressSanitizer and UndefinedBehaviorSanitizer'
	@echo 'make test-tsan     run the multi-threaded tests built with ThreadSanitizer (minutes)'
	@echo 'make fuzz          fuzz every reader for FUZZ_SECONDS (600) with libFuzzer; FUZZ_TARGETS="gguf audio" for only these'
	@echo 'make test-aarch64  test the ARM kernels under emulation'
	@echo 'make test-devices  test ggml devices in a separate Debian 13 (needs root)'
	@echo 'make test-full     transcribe with full-size models with random weights (10 GB of disk and of memory, minutes)'
	@echo 'make results       benchmark full-size models with random weights against the machine, write docs/results.md'
	@echo 'make quality       measure how quantization affects the demo model, write docs/quality.md'
	@echo 'make format        format the C code with clang-format, as the tests require'
	@echo 'make build         build library, program and tests'
	@echo 'make install       build and install; PREFIX=/usr/local, DESTDIR= for packagers'
	@echo 'make deb           build Debian packages of the committed state in build-deb'
	@echo 'make test-deb      build them, install and use them in a bare Debian (needs root, debootstrap, lintian)'
	@echo 'make static        build the program in build-static, with static libraries where available'
	@echo 'make clean         remove the build directories'

demo:
	@tools/setup.sh
	@tools/configure.sh $(BUILD)
	@ninja -C $(BUILD) cli/qasr
	@echo
	@$(BUILD)/cli/qasr transcribe --model models/demo $(DEMO_AUDIO)

build:
	@tools/setup.sh
	@tools/configure.sh $(BUILD) $(RELEASE)
	@ninja -C $(BUILD)

install: build
	@$(MESON) install -C $(BUILD) --no-rebuild

test:
	@tools/setup.sh --tests
	@tools/venv.sh
	@tools/configure.sh $(BUILD) --buildtype=release -Dtests=enabled
	@tools/run_tests.sh $(BUILD)

# -g1: reports need only line numbers, and the build takes a quarter less time.
test-asan:
	@tools/setup.sh --tests
	@tools/venv.sh
	@tools/configure.sh $(BUILD_ASAN) -Doptimization=2 -Ddebug=false -Dc_args=-g1 -Dtests=enabled \
	    -Db_sanitize=address,undefined -Db_lundef=false
	@tools/run_tests.sh $(BUILD_ASAN) --timeout-multiplier 4

# The tests of code with threads: pool, device, batches, conversion.
test-tsan:
	@tools/setup.sh --tests
	@tools/venv.sh
	@tools/configure.sh $(BUILD_TSAN) --buildtype=debugoptimized -Dtests=enabled -Db_sanitize=thread -Db_lundef=false
	@tools/run_tests.sh $(BUILD_TSAN) --timeout-multiplier 20 base teacher_forcing convert calibrate transcribe batch \
	    cli-threads cli-transcribe_several cli-quantize_types cli-calibrate cli-eval_resume

fuzz:
	@tools/setup.sh --fuzz
	@CC=clang tools/configure.sh $(BUILD_FUZZ) --buildtype=debugoptimized -Dtests=enabled -Dfuzz=true -Doptimization=1 \
	    -Db_sanitize=address,undefined -Db_lundef=false
	@ninja -C $(BUILD_FUZZ) fuzzers
	@tools/fuzz.sh $(BUILD_FUZZ) $(FUZZ_SECONDS) $(FUZZ_TARGETS)

test-aarch64:
	@tools/test_aarch64.sh $(BUILD_AARCH64)

test-devices:
	@tools/test_devices.sh

test-full:
	@tools/setup.sh --tests
	@tools/venv.sh
	@tools/configure.sh $(BUILD)
	@ninja -C $(BUILD) cli/qasr
	@tools/test_full.sh $(BUILD)

results:
	@tools/setup.sh
	@tools/venv.sh
	@tools/configure.sh $(BUILD) $(RELEASE)
	@ninja -C $(BUILD) cli/qasr
	@tools/results.sh $(BUILD)

quality:
	@tools/setup.sh
	@tools/configure.sh $(BUILD) $(RELEASE)
	@ninja -C $(BUILD) cli/qasr
	@python3 tools/quality.py $(BUILD)/cli/qasr docs/quality.md

format:
	@tools/venv.sh
	@tools/format.sh

deb:
	@tools/setup.sh --tests
	@tools/make_deb.sh build-deb

test-deb: deb
	@tools/test_deb.sh build-deb

static:
	@tools/setup.sh
	@tools/configure.sh build-static $(RELEASE) -Dtests=disabled -Dstatic_libraries=true
	@ninja -C build-static cli/qasr
	@echo; echo 'build-static/cli/qasr still needs:'; ldd build-static/cli/qasr || true

clean:
	rm -rf build-deb build-static $(BUILD) $(BUILD_ASAN) $(BUILD_TSAN) $(BUILD_FUZZ) $(BUILD_AARCH64)

.PHONY: help demo build install test test-asan test-tsan fuzz test-aarch64 test-devices test-full results quality format deb test-deb static clean
