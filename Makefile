# make help lists the targets.
PYTHON ?= python3
PIP = .venv/bin/python -m pip --disable-pip-version-check --quiet
CORES ?= all

.PHONY: help demo gallery links test slow slurm storage check audit docs tutorial screenshots bench wheel image imagecheck sif clean

help:  ## list the targets
	@sed -nE 's/^([a-z]+):.*## (.*)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 12

.venv/demo-installed: requirements/lock.txt requirements/torch.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "ERROR: $(PYTHON) is older than 3.11. Say make PYTHON=python3.12, or another one you have."; exit 2; }
	@echo "installing the pinned requirements into .venv (a few minutes, once)"
	test -d .venv || $(PYTHON) -m venv .venv
	$(PIP) install --require-hashes --no-deps -r requirements/lock.txt
	$(PIP) install -r requirements/torch.txt
	$(PIP) install --no-deps --no-build-isolation -e .
	$(PIP) check
	@touch $@

.venv/test-installed: .venv/demo-installed requirements/lock-test.txt
	$(PIP) install --require-hashes --no-deps -r requirements/lock-test.txt
	$(PIP) check
	@touch $@

.venv/links-installed: .venv/demo-installed requirements/lock-links.txt
	$(PIP) install --require-hashes --no-deps -r requirements/lock-links.txt
	$(PIP) check
	@touch $@

.venv/gallery-installed: .venv/demo-installed requirements/lock-gallery.txt
	$(PIP) install --require-hashes --no-deps -r requirements/lock-gallery.txt
	$(PIP) check
	@touch $@

# On top of the others and apart from them: botocore needs an older python-dateutil.
.venv/storage-installed: .venv/test-installed requirements/lock-storage.txt
	test -d .venv/storage || .venv/bin/python -m venv .venv/storage
	.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
	  > "$$(.venv/storage/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/below.pth"
	.venv/bin/python -m pip --python .venv/storage/bin/python --quiet install --ignore-installed \
	  --require-hashes --no-deps -r requirements/lock-storage.txt
	@touch $@

.venv/slow-installed: .venv/test-installed .venv/links-installed .venv/gallery-installed requirements/lock-consumers.txt
	$(PIP) install --require-hashes --no-deps -r requirements/lock-consumers.txt
	$(PIP) check
	@touch $@

demo: .venv/demo-installed  ## run the whole workflow on the sample, offline
	.venv/bin/python -m kgtextvec.start_snakemake --cores $(CORES) --configfile config/demo.yaml
	@echo
	@echo "overview:  results/index.html (open it in a browser: it leads to everything)"
	@echo "vectors:   results/all-MiniLM-L6-v2/entities/pca64/embeddings.npy (and .tsv, .parquet)"
	@echo "map:       results/all-MiniLM-L6-v2/entities/pca64/map.html (open it in a browser)"
	@echo "notebook:  results/all-MiniLM-L6-v2/entities/pca64/explore.html (and .ipynb)"
	@echo "quality:   results/texts/entities/quality.html"
	@echo "compared:  results/compare.html (which space is worth what, in words and charts)"

# The tables are kept between runs; a map for each text rule, and one notebook.
gallery/hpo/triples.tsv: .venv/gallery-installed gallery/hpo.py
	.venv/bin/python gallery/hpo.py gallery/hpo

gallery/hpo/wordllama.bin: gallery/hpo/triples.tsv gallery/words.py
	PYTHONPATH=src .venv/bin/python gallery/words.py gallery/hpo/entities.tsv $@

GALLERY_PAGES = $(foreach table,names definitions both,gallery/results/all-MiniLM-L6-v2/$(table)/full/map.html) \
  gallery/results/all-MiniLM-L6-v2/both/full/explore.html

gallery: gallery/hpo/wordllama.bin  ## compare text rules on a part of HPO, offline (docs/gallery.md)
	.venv/bin/python -m kgtextvec.start_snakemake all $(GALLERY_PAGES) --cores $(CORES) --configfile gallery/config.yaml
	PYTHONPATH=src .venv/bin/python gallery/check.py gallery/results gallery/hpo
	PYTHONPATH=src .venv/bin/python gallery/check_labels.py gallery/results
	@echo "comparison: gallery/results/compare.html"

links: .venv/links-installed  ## install what evaluate.link_prediction needs (PyKEEN)

test: .venv/test-installed  ## all tests that need no GPU, network, browser or cluster
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

slow: .venv/slow-installed  ## the slow tests too (a browser: Debian's chromium; node for pgvector)
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest -m slow --numprocesses 2 --dist loadfile --no-loadscope-reorder

slurm: .venv/test-installed  ## the tests on a real Slurm (root; Debian's slurm-wlm and munge)
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest -m slurm

storage: .venv/storage-installed  ## the tests with object storage (a server on loopback that speaks S3)
	OMP_NUM_THREADS=1 .venv/storage/bin/python -m pytest -m storage --numprocesses 2 --dist loadfile \
	  tests/storage

check: .venv/test-installed  ## ruff, snakefmt, snakemake --lint, mypy, bandit
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/snakefmt --check Snakefile workflow
	.venv/bin/snakemake --lint
	.venv/bin/snakemake --directory .test --dry-run --quiet all
	.venv/bin/mypy
	.venv/bin/bandit --quiet --recursive --tests B614,B615 src

.venv/audit/bin/pip-audit: requirements/audit.txt
	$(PYTHON) -m venv .venv/audit
	.venv/audit/bin/python -m pip --disable-pip-version-check --quiet install -r requirements/audit.txt
	@touch $@

AUDIT = .venv/audit/bin/pip-audit --strict --disable-pip --progress-spinner off
audit: .venv/audit/bin/pip-audit  ## compare the locks with known vulnerabilities (needs the open net)
	$(AUDIT) --require-hashes -r requirements/lock.txt -r requirements/lock-test.txt \
	  -r requirements/lock-links.txt -r requirements/lock-consumers.txt
	$(AUDIT) --require-hashes --no-deps -r requirements/lock-storage.txt
	$(AUDIT) --require-hashes --no-deps -r requirements/lock-gallery.txt
	$(AUDIT) --require-hashes --no-deps -r requirements/lock-docs.txt
	$(AUDIT) --require-hashes --no-deps -r requirements/lock-image.txt
	$(AUDIT) --no-deps -r requirements/torch.txt

.venv/docs-installed: requirements/lock-docs.txt
	test -d .venv/docs || $(PYTHON) -m venv .venv/docs
	.venv/docs/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes --no-deps \
	  -r requirements/lock-docs.txt
	@touch $@

# A dead link, or an anchor that isn't there, ends the build. It reads no network.
docs: .venv/demo-installed .venv/docs-installed  ## build the documentation site: site/index.html
	.venv/bin/python docs/site/assemble.py .docs
	NO_MKDOCS_2_WARNING=1 .venv/docs/bin/mkdocs build --quiet --strict
	@echo "documentation: site/index.html"

screenshots: .venv/test-installed  ## pictures of all pages in results/, three widths, light and dark: screenshots/
	.venv/bin/python tests/screenshots.py results screenshots

tutorial: wheel  ## follow docs/tutorial.md in an empty folder, from pip install to a trained model
	PIP_CONSTRAINT=$(CURDIR)/requirements/torch.txt \
	  $(PYTHON) docs/site/follow_tutorial.py $$(ls -t dist/*.whl | head -n 1)

wheel: .venv/demo-installed  ## build the package, with the workflow inside: dist/*.whl
	.venv/bin/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .
	rm -rf build

BUILDER ?= podman
DEVICE ?= cpu
VERSION = $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' src/kgtextvec/__init__.py)
image:  ## build the container image (DEVICE=cu130 for GPUs; BUILDER=docker, podman or buildah)
	$(BUILDER) build --file containers/Containerfile --build-arg DEVICE=$(DEVICE) $(IMAGE_FLAGS) \
	  --tag kgtextvec:$(VERSION)-$(DEVICE) .

# Podman runs what Buildah has built. Another image: IN_IMAGE='…', a command with {} for the working directory.
RUNNER = $(BUILDER:buildah=podman)
IN_IMAGE ?= $(RUNNER) run --rm --read-only --tmpfs /tmp --network none --volume {}:/work \
  kgtextvec:$(VERSION)-$(DEVICE)
imagecheck: .venv/demo-installed  ## run the demo in the image, and compare its vectors with the checkout's
	.venv/bin/python containers/check.py $(IN_IMAGE)

sif:  ## build the image for Apptainer: dist/kgtextvec-VERSION-DEVICE.sif
	mkdir -p dist
	apptainer build --force --build-arg device=$(DEVICE) $(SIF_FLAGS) \
	  dist/kgtextvec-$(VERSION)-$(DEVICE).sif containers/kgtextvec.def

bench: .venv/test-installed  ## the benchmarks, small (python -m benchmarks --help for more)
	PYTHONPATH=src .venv/bin/python -m benchmarks

clean:  ## remove what make demo made, but not the stored vectors
	rm -rf results/all-MiniLM-L6-v2 results/texts logs .snakemake
	rm -f results/index.html results/scores.tsv results/compare.html results/compare.ipynb results/.*.sha256
