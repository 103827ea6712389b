#!/bin/sh
# `make quick`: ruff and mypy of the Python files that changed against the merge base with main, beside the unit tests
# that are not marked slow. Ends with what failed; everything is run whatever fails.
set -u
cd "$(dirname "$0")/.."

base=$(git merge-base HEAD main 2>/dev/null || git merge-base HEAD origin/main 2>/dev/null || git rev-parse HEAD)
changed=$({ git diff --name-only --diff-filter=d "$base" -- '*.py' && git ls-files --others --exclude-standard -- '*.py'; } | sort -u)
typed=$(printf '%s\n' $changed | grep -E '^(layers|functions|infra|local)/' || :)
failed=''
say() { printf 'quick: %s\n' "$*"; }

say "$(printf '%s\n' $changed | grep -c . || :) Python files changed since $(git rev-parse --short "$base")"
if [ -n "$changed" ]; then
    .venv/bin/ruff check $changed || failed="$failed ruff-check"
    .venv/bin/ruff format --check --quiet $changed || failed="$failed ruff-format"
fi

report=$(mktemp)
types=''
if [ -n "$typed" ]; then
    nice .venv/bin/mypy $typed >"$report" 2>&1 &
    types=$!
fi
# A process a core with files of its own: pytest-xdist's would collect all files each.
say "unit tests that are not marked slow"
reports=$(mktemp -d)
share() { find tests/unit -name 'test_*.py' | sort | awk -v of="$1" -v number="$2" 'NR % of == number'; }
others=''
for number in $(seq 1 $(($1 - 1))); do
    .venv/bin/python -m pytest -n0 -q -m 'not slow' $(share "$1" "$number") >"$reports/$number" 2>&1 &
    others="$others $!"
done
.venv/bin/python -m pytest -n0 -q -m 'not slow' $(share "$1" 0) || failed="$failed tests"
for process in $others; do
    wait "$process" || failed="$failed tests"
done
[ -z "$others" ] || cat "$reports"/*
rm -rf "$reports"
if [ -n "$types" ]; then
    say "types of what changed (the first run fills mypy's cache, which takes minutes)"
    wait "$types" || failed="$failed mypy"
    cat "$report"
fi
rm -f "$report"

[ -z "$failed" ] || { say "failed:$failed"; exit 1; }
say "all passed"
