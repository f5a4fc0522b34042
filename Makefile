# Development commands; CI runs `make ci`.
.PHONY: develop test lint fixtures deny ci

develop:
	pip install maturin && maturin develop --release --extras demo,test

test:
	pytest && cargo test --release --features cloud

lint:
	cargo fmt --all --check && cargo clippy --release --workspace --all-targets -- -D warnings && ruff check && ruff format --check && mypy && python -m mypy.stubtest tegula._tegula

fixtures:
	python tests/make_fixtures.py

deny:
	cargo deny --all-features check licenses bans sources

ci:
	bash .ci/run
