#!/bin/sh
# `make quick`: ruff and mypy of the Python files that changed against the merge base with main, beside the unit tests
# that are not marked slow. Runs everything, and lists the failures at the end.
set -u
cd "$(dirname "$0")/.."

base=$(git merge-base HEAD main 2>/dev/null || git merge-base HEAD origin/main 2>/dev/null || git rev-parse HEAD)
changed=$({ git diff --name-only --diff-filter=d "$base" -- '*.py' && git ls-files --others --exclude-standard -- '*.py'; } | sort -u)
typed=$(printf '%s\n' $changed | grep -E '^(layers|functions|infra|local|smoke|benchmarks)/' || :)
failed=''
say() { printf 'quick: %s\n' "$*"; }

say "$(printf '%s\n' $changed | grep -c . || :) Python files changed since $(git rev-parse --short "$base")"
if [ -n "$changed" ]; then
    .venv/bin/ruff check $changed || failed="$failed ruff-check"
    .venv/bin/ruff format --check --quiet $changed || failed="$failed ruff-format"
fi

reports=$(mktemp -d)
types=''
# Ctrl-C reaches the test processes, too. Without a queue they end after their current file; mypy is killed.
stop() {
    trap '' INT TERM
    rm -rf "$reports"
    [ -z "$types" ] || kill "$types" 2>/dev/null
    wait
    exit 130
}
trap stop INT TERM
if [ -n "$typed" ]; then
    nice .venv/bin/mypy $typed >"$reports/types" 2>&1 &
    types=$!
fi
say "unit tests that are not marked slow"
# The largest files first, so that no process is alone at the end. Two processes more than cores, since some tests
# wait.
find tests/unit -name 'test_*.py' -size +0 -exec ls -S {} + >"$reports/queue"
.venv/bin/python -m tests.support.forked_pytest "$(($1 + 2))" -n0 -q -o console_output_style=classic -m 'not slow' \
    -p tests.support.work_queue --queue="$reports/queue" || failed="$failed tests"
if [ -n "$types" ]; then
    say "types of what changed (the first run fills mypy's cache, which takes minutes)"
    wait "$types" || failed="$failed mypy"
    cat "$reports/types"
fi
rm -rf "$reports"

[ -z "$failed" ] || { say "failed:$failed"; exit 1; }
say "all passed"
