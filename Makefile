.DEFAULT_GOAL := help
.PHONY: help demo test check crd down clean benchmark venv

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
	@.venv/bin/reviewapp policy --settings deploy/settings.yaml | diff deploy/policy.yaml - || { echo 'error: deploy/policy.yaml is not current: run `make crd`' >&2; exit 1; }
	@.venv/bin/reviewapp crd | diff deploy/crd.yaml - || { echo 'error: deploy/crd.yaml is not current: run `make crd`' >&2; exit 1; }

crd: venv ## Write deploy/crd.yaml and deploy/policy.yaml anew from the models.
	@.venv/bin/reviewapp crd > deploy/crd.yaml.new && mv deploy/crd.yaml.new deploy/crd.yaml
	@.venv/bin/reviewapp policy --settings deploy/settings.yaml > deploy/policy.yaml.new && mv deploy/policy.yaml.new deploy/policy.yaml

benchmark: ## Measure the watcher against kubectl apply.
	@dev/bootstrap.sh benchmark

down: ## Stop all that was started.
	@dev/bootstrap.sh down

clean: ## Stop all that was started, and delete its state. What was built stays in the cache.
	@dev/bootstrap.sh down --wipe

venv:
	@dev/bootstrap.sh
