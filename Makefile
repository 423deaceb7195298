# Every command works on a fresh clone: each sets up what it needs first. Start with `make help`.

BIN := .venv/bin
ARGS ?=
BUS ?= $(or $(UPSHOT_BUS),postgres)
NODES ?= 1
export MAKE_GOAL := $(firstword $(MAKECMDGOALS))
export PYTHON ?=
# Compiling anew what is imported would be half of what it costs to start a process: it is kept, wherever nothing else may be written.
export PYTHONPYCACHEPREFIX := $(CURDIR)/.venv/bytecode
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup setup-test demo up kafka test check bench bench-backtest bench-kafka bench-match bench-stream clean

help:
	@echo "make demo   real vendor webhooks through the whole platform, explained; then it goes on serving"
	@echo "            (make demo ARGS=--exit ends after the explanation; BUS=kafka: on a real Kafka, each service by itself)"
	@echo "make up     the platform, empty, on http://127.0.0.1:8080"
	@echo "make kafka  Apache Kafka for development on this machine's Java, until Ctrl-C (NODES=3: three nodes)"
	@echo "make test   everything that proves it: lint, types, architecture, unit, contract and end-to-end tests"
	@echo "make check  lint, formatting, types and architecture only"
	@echo "make bench  throughput, latency and cost, beside a forwarder that stores nothing"
	@echo "make bench-match  what matching an event costs beside parsing it, with up to 100,000 rules"
	@echo "make bench-stream  what an event costs the matcher on Kafka, beside a Faust agent without batches"
	@echo "make bench-kafka  services apart on a real Kafka: together, each alone, and how long a restore takes"
	@echo "make bench-backtest  how fast a workflow is run over the past"
	@echo "make setup  .venv with the locked dependencies; every command above does it when needed"
	@echo "make clean  removes .venv and caches; data folders stay"
	@echo
	@echo "Python 3.11 to 3.13 is all that is needed; Kafka needs Java 17 and Maven, too. The command itself: .venv/bin/upshot --help"

setup:
	@scripts/setup.sh runtime

setup-test:
	@scripts/setup.sh test

demo: setup
	@UPSHOT_BUS=$(BUS) $(BIN)/upshot demo $(ARGS)

up: setup
	@UPSHOT_BUS=$(BUS) $(BIN)/upshot up

kafka: setup
	@$(BIN)/python scripts/kafka.py --nodes $(NODES)

test: setup-test
	@$(BIN)/python scripts/verify.py all

check: setup-test
	@$(BIN)/python scripts/verify.py static

bench: setup-test
	@$(BIN)/python tests/bench/bench_delivery.py $(ARGS)

bench-match: setup-test
	@$(BIN)/python tests/bench/bench_match.py

bench-stream: setup-test
	@$(BIN)/python tests/bench/bench_stream.py $(ARGS)

bench-kafka: setup-test
	@$(BIN)/python tests/bench/bench_kafka.py $(ARGS)

bench-backtest: setup-test
	@$(BIN)/python tests/bench/bench_backtest.py $(ARGS)

clean:
	rm -f shared/matching/native/*.so
	rm -rf .venv .venv.lock .kafka build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find services shared tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +
