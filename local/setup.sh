#!/bin/sh
# Set-up of one environment of the Makefile's stamps: venv, emulator, node or web.
# It needs a Python of the Lambda runtime's version, and Node with npm; uv comes from requirements/bootstrap.txt.
set -eu
cd "$(dirname "$0")/.."

wanted=$(cat .python-version)
node_least=20

say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: error: %s\n' "$*" >&2; exit 1; }

# Print the real path of the interpreter behind command $1 if it is the wanted version. A version manager's shim is
# resolved, because in another folder it may run another Python.
real_python() {
    "$1" -c 'import sys; sys.version.startswith(sys.argv[1] + ".") or sys.exit(1); print(sys.executable)' \
        "$wanted" 2>/dev/null
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        real_python "$PYTHON" || fail "PYTHON=$PYTHON is not a Python $wanted that runs."
        return
    fi
    for candidate in "python$wanted" python3 python /usr/bin/python3 "/usr/local/bin/python$wanted"; do
        if real_python "$candidate"; then return; fi
    done
    if command -v uv >/dev/null 2>&1 && found=$(uv python find --no-project "$wanted" 2>/dev/null); then
        if real_python "$found"; then return; fi
    fi
    seen=$(python3 --version 2>/dev/null || echo 'no python3 that runs')
    fail "Python $wanted is needed (the Lambda runtime's version) and was not found ($seen)." \
        "Install it, or name it: make setup PYTHON=/path/to/python$wanted"
}

make_venv() {
    python=$(find_python)
    if [ -x .venv/bin/python ] && ! real_python .venv/bin/python >/dev/null; then rm -rf .venv; fi
    if ! .venv/bin/uv --version >/dev/null 2>&1; then
        say "making .venv with $("$python" --version)"
        "$python" -m venv --clear .venv >/dev/null 2>&1 ||
            fail "$python cannot make an environment with pip in it (on Debian: install python$wanted-venv)."
        .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input --require-hashes \
            -r requirements/bootstrap.txt
    fi
    say "installing what requirements/dev.txt locks into .venv"
    uv_quiet pip sync --python .venv/bin/python --require-hashes requirements/dev.txt
    # Without isolation the build uses the locked hatchling instead of downloading the newest one.
    uv_quiet pip install --python .venv/bin/python --no-deps --no-build-isolation --editable .
}

make_emulator() {
    [ -x .emulator/bin/python ] && real_python .emulator/bin/python >/dev/null || {
        say "making .emulator"
        .venv/bin/python -m venv --clear --without-pip .emulator
    }
    say "installing what requirements/emulator.txt locks into .emulator"
    uv_quiet pip sync --python .emulator/bin/python --require-hashes requirements/emulator.txt
}

# The link mode is set because the cache and this folder may be on two file systems.
uv_quiet() { UV_LINK_MODE=${UV_LINK_MODE:-copy} .venv/bin/uv --quiet --no-progress "$@"; }

check_node() {
    command -v node >/dev/null 2>&1 || fail "Node.js $node_least or newer is needed (for the CDK and the web client) and there is no node on the PATH."
    command -v npm >/dev/null 2>&1 || fail "npm is needed (for the CDK and the web client) and is not on the PATH; it comes with Node.js."
    version=$(node --version)
    major=${version#v}
    [ "${major%%.*}" -ge "$node_least" ] || fail "Node.js $node_least or newer is needed (for the CDK and the web client); this one is $version."
}

make_node() {
    check_node
    say "installing the CDK command line that package-lock.json locks"
    npm ci --silent --no-audit --no-fund || fail "npm ci failed; run 'npm ci' to see why."
}

make_web() {
    check_node
    say "installing what web/package-lock.json locks"
    (cd web && npm ci --silent --no-audit --no-fund) || fail "npm ci failed in web; run 'npm ci' there to see why."
}

case "${1:-}" in
    venv) make_venv ;;
    emulator) make_emulator ;;
    node) make_node ;;
    web) make_web ;;
    *) fail "usage: local/setup.sh venv|emulator|node|web" ;;
esac
