# Overture's commands; `make` alone lists them. Whatever they need is set up first, in .venv.

bin := .venv/bin

.PHONY: help setup demo test test-here test-browser browser tour shots check check-format check-lint check-types check-floors check-licences check-secrets fix docs clients example bench words lock soak simulation faults year licences secrets sbom audit

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-6s  %s\n", $$1, $$2 }' Makefile

setup: .venv/installed ## make .venv from requirements.lock (nothing to do when it is up to date)

demo: setup ## a small network to play with: PORT=, HOST=, DATA=folder, ARCHIVE=linkedin-export.zip
	@$(bin)/overture demo $(call given,HOST,--host) $(call given,PORT,--port) \
	  $(call given,DATA,--data) $(call given,ARCHIVE,--archive)

test: $(if $(ARGS),test-here,test-here test-browser) ## run the tests; ARGS="-k refund" or ARGS=tests/browser chooses some

# Much of a test is waiting, for servers that start and for disks: one more at a time than there are cores.
workers = $(shell n=$$(getconf _NPROCESSORS_ONLN); echo $$((n < 4 ? n + 1 : 4)))

test-here: setup $(if $(findstring tests/browser,$(ARGS)),browser)
	$(bin)/python -m pytest $(or $(ARGS),-n $(workers) --dist worksteal)

# In a process of their own: Playwright and pytest-asyncio each want to run the event loop.
test-browser: setup browser
	$(bin)/python -m pytest tests/browser

tour: ## go through docs/tutorial.md, from its first line to its last, installing included
	@$(firstword $(pythons)) -m tests.docs.tour

shots: setup browser ## picture every page and state into shots/; ARGS="inbox" chooses by name
	$(bin)/python -m tests.browser.shots $(ARGS)

browser: setup
	@$(get_chromium)

soak: setup ## play 10,000 lives of members and as many attacks on credits, and call much more; RUNS=
	OVERTURE_MACHINE_RUNS=$(or $(RUNS),10000) OVERTURE_ATTACKS=$(or $(RUNS),10000) \
	  OVERTURE_SCHEMATHESIS_EXAMPLES=200 \
	  $(bin)/python -m pytest -o faulthandler_timeout=0 tests/actions/test_state_machine.py tests/attacks \
	  tests/api/test_schemathesis.py $(ARGS)

fuzz: setup ## look for bytes that break a parser, for MINUTES=5; ARGS="mail http" chooses
	@$(pip) install --no-deps --only-binary :all: --require-hashes -r tests/fuzz/requirements.txt || { \
	  echo "The fuzzer comes for Linux on x86-64 alone; what it found is tried by: make test ARGS=tests/fuzz" >&2; exit 1; }
	$(bin)/python -m tests.fuzz --minutes $(or $(MINUTES),5) $(ARGS)

simulation: setup ## play seeds of the simulation: ARGS="--seeds 1000", "--seed 41 --seeds 1", --mistakes
	$(bin)/python -m tests.simulation $(ARGS)

faults: setup ## kill, cut, fill and freeze under load, and look for harm: KILLS=, ARGS="--only disk"
	$(bin)/python -m tests.faults $(if $(KILLS),--kills $(KILLS)) $(ARGS)

year: setup ## play a year of 10,000 members, and hold every reminder against the rules; MEMBERS= for fewer
	$(bin)/python -m tests.jobs.year --members $(or $(MEMBERS),10000) $(ARGS)

check: check-format check-lint check-types check-floors check-licences check-secrets ## format, lint, types, floors, licences, secrets

check-format: setup
	$(bin)/ruff format --check
check-lint: setup
	$(bin)/ruff check
check-types: setup
	$(bin)/basedpyright
check-floors: setup
	$(bin)/lint-imports --no-logo

check-licences licences: setup
	@$(bin)/python -m supply.licences
check-secrets secrets: setup
	@$(bin)/python -m supply.secrets

sbom: setup ## the bill of materials of what ships, in CycloneDX, into build/
	@$(bin)/python -m supply.sbom

audit: setup ## ask whether a locked package is known to be vulnerable; ARGS=--strict fails where nobody can be asked
	@$(bin)/python -m supply.audit $(ARGS)

fix: setup ## format, and mend what ruff can mend
	$(bin)/ruff format
	$(bin)/ruff check --fix

docs: setup ## the documentation as a site, into build/site
	@$(bin)/python docs/site

clients: setup ## the clients for Python and TypeScript from the OpenAPI document, into build/clients; ARGS=python makes one
	@$(bin)/python -m clients.build $(ARGS)

example: setup ## the example host beside an Overture: HOST_PORT=8100, PORT=8000
	@$(bin)/python -m clients.build python
	@$(bin)/python examples/django/run.py $(call given,PORT,--overture) $(call given,HOST_PORT,--port)

bench: setup ## run the benchmarks; ARGS=sends chooses one
	$(bin)/python -m bench $(ARGS)

words: setup ## gather what pages say into the catalogues of the other languages
	@mkdir -p build
	$(bin)/pybabel -q extract -F pyproject.toml -k Sentence -k BadText -k refuse:2 -k pgettext:1c,2 \
	  --no-location --sort-output --project Overture -o build/overture.pot src/overture
	$(bin)/pybabel -q update --no-fuzzy-matching --ignore-obsolete --ignore-pot-creation-date --no-wrap \
	  -D overture -i build/overture.pot -d src/overture/locale

lock: setup ## pin the dependencies of pyproject.toml anew; UPGRADE=1 takes the newest of all
	$(compile) --group dev $(if $(UPGRADE),--upgrade) pyproject.toml -o requirements.lock
	$(compile) --group build --constraint requirements.lock pyproject.toml -o deploy/requirements.lock

compile = $(bin)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
  --no-annotate --all-extras

# The system's Chromium where there is one; else Debian's where root can install it, else Playwright's.
define get_chromium
command -v chromium >/dev/null && exit; \
if test "$$(id -u)" = 0 && grep -qs '^ID=debian' /etc/os-release; then \
  echo "Installing chromium"; \
  apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y install chromium >/dev/null && exit; \
else \
  $(bin)/playwright install chromium && exit; \
fi; \
echo "The browser tests need Chromium, which could not be installed: is the network away?" >&2; \
echo "Install it by hand (on Debian: apt install chromium), or run the other tests: make test-here" >&2; \
exit 1
endef

# An option for the demo, if its variable was given to make. The environment does not count: some
# systems export HOST with another meaning.
given = $(if $(filter command,$(firstword $(origin $(1)))),$(2) "$($(1))")

# The pythons to try for .venv, unless one is given: make setup PYTHON=/opt/python/bin/python3
pythons := $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11)

# pip and not uv, although uv is quicker: only pip follows the indexes that pip is configured with.
pip := $(bin)/python -m pip --disable-pip-version-check --quiet --quiet

.venv/installed: requirements.lock pyproject.toml
	@$(bin)/python -m pip --version >/dev/null 2>&1 || { $(make_venv); }
	@echo "Installing what requirements.lock pins into .venv"
	@$(pip) install --require-hashes -r requirements.lock
	@$(pip) install --no-build-isolation --no-deps -e .
	@touch $@

# Debian's python3 comes without ensurepip until python3-venv is installed, which root can do at once.
define make_venv
try_all() { for python in $(pythons); do \
  if $$python -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
  then echo "Making .venv with $$python" && exec $$python -m venv --clear .venv; fi; \
done; }; \
try_all; \
if test "$$(id -u)" = 0 && command -v apt-get >/dev/null; then \
  echo "Installing python3-venv" && apt-get -qq update && apt-get -qq -y install python3-venv; \
  try_all; \
fi; \
echo "Overture needs Python 3.11 or newer with venv (on Debian: apt install python3-venv)." >&2; \
exit 1
endef
