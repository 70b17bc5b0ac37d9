.DEFAULT_GOAL := help
.PHONY: help demo test check crd docs image release down clean benchmark chaos venv

# Without it, pyright asks the package index for a newer version of itself.
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

help: ## Show this list.
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

demo: ## Play one pull request's life on a real cluster; all that is needed is set up first.
	@dev/bootstrap.sh demo

test: check ## Pass all that must pass: lint, types, layers, and all tests.
	@dev/bootstrap.sh test

check: venv ## Lint, formatting, types, layers, generated files.
	@.venv/bin/ruff check
	@.venv/bin/ruff format --check
	@.venv/bin/pyright
	@.venv/bin/lint-imports
	@.venv/bin/reviewapp policy --settings deploy/base/settings.yaml | diff deploy/base/policy.yaml - || { echo 'error: deploy/base/policy.yaml is not current: run `make crd`' >&2; exit 1; }
	@.venv/bin/reviewapp crd | diff deploy/base/crd.yaml - || { echo 'error: deploy/base/crd.yaml is not current: run `make crd`' >&2; exit 1; }
	@.venv/bin/python -m dev.chart | diff deploy/chart/values.schema.json - || { echo 'error: deploy/chart/values.schema.json is not current: run `make crd`' >&2; exit 1; }
	@.venv/bin/python -m dev reference --check

crd: venv ## Write anew what is generated: CRD, policy and the chart's schema in deploy/, and docs/reference/.
	@.venv/bin/reviewapp crd > deploy/base/crd.yaml.new && mv deploy/base/crd.yaml.new deploy/base/crd.yaml
	@.venv/bin/reviewapp policy --settings deploy/base/settings.yaml > deploy/base/policy.yaml.new && mv deploy/base/policy.yaml.new deploy/base/policy.yaml
	@.venv/bin/python -m dev.chart > deploy/chart/values.schema.json.new && mv deploy/chart/values.schema.json.new deploy/chart/values.schema.json
	@.venv/bin/python -m dev reference

docs: venv ## Build the documentation's site into site/.
	@.venv/bin/python -m dev docs

image: ## Build the watcher's image with Docker, Podman or Buildah, and say what takes its room.
	@dev/bootstrap.sh image

release: ## Make dist/: wheel, source archive, bill of materials.
	@dev/bootstrap.sh release

benchmark: ## Measure the watcher against kubectl apply.
	@dev/bootstrap.sh benchmark

chaos: ## Break N things at random under load, and see that all heals: make chaos N=100.
	@N=$(N) SEED=$(SEED) FAULT='$(FAULT)' dev/bootstrap.sh test tests/chaos/endless.py -q -s

down: ## Stop all that was started.
	@dev/bootstrap.sh down

clean: ## Stop all that was started, and delete its state. What was built stays in the cache.
	@dev/bootstrap.sh down --wipe

venv:
	@dev/bootstrap.sh
