#!/bin/sh
# Make .venv what requirements.lock says, then go on as `python -m dev` with the arguments given; without any, end.
# Finds uv or installs it into the cache, and has it on PATH. Does nothing that is done already; can be killed and run again.
set -eu
cd "$(dirname "$0")/.."

cache=${XDG_CACHE_HOME:-$HOME/.cache}/reviewapp
python=.venv/bin/python
# What the environment was made from, kept in it when it is whole.
stamp=.venv/made-from

fail() {
    printf 'error: %s\n  → %s\n' "$1" "$2" >&2
    exit 1
}

# Run a command that takes longer than a moment: a line before, a line after, what it said only if it failed.
step() {
    label=$1
    shift
    printf '· %s\n' "$label" >&2
    began=$(date +%s)
    log=$(mktemp)
    if ! "$@" >"$log" 2>&1; then
        tail -n 20 "$log" | sed 's/^/    /' >&2
        rm -f "$log"
        fail "$label: failed" "mend what it says above and run this again; every step goes on from where it was"
    fi
    rm -f "$log"
    printf '✓ %s  (%s s)\n' "$label" "$(($(date +%s) - began))" >&2
}

find_python() {
    for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    fail 'there is no Python 3.11 or newer' 'install it (Debian 12 or newer: apt-get install python3)'
}

# Debian's python3 comes without what `python3 -m venv` needs.
need_venv() {
    "$1" -c 'import ensurepip, venv' 2>/dev/null && return
    package=$("$1" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        fail "$1 has no venv module" "install it (Debian: apt-get install $package), or install uv"
    fi
    step 'update the list of Debian packages' apt-get -q update
    step "install Debian's $package" \
        env DEBIAN_FRONTEND=noninteractive apt-get -q install --yes --no-install-recommends "$package"
}

# Set `uv` to a uv that runs: the one on PATH, or one in the cache.
find_uv() {
    if uv --version >/dev/null 2>&1; then
        uv=uv
        return
    fi
    version=$(sed -n 's/^uv==\([^ ]*\).*/\1/p' dev/uv.txt)
    folder=$cache/uv-$version
    uv=$folder/bin/uv
    [ -x "$uv" ] && return
    interpreter=$(find_python)
    need_venv "$interpreter"
    mkdir -p "$cache"
    new=$folder.new.$$
    rm -rf "$new"
    step "make a place for uv $version" "$interpreter" -m venv "$new"
    step "install uv $version" "$new/bin/python" -m pip install --quiet --disable-pip-version-check \
        --no-input --require-hashes --requirement dev/uv.txt
    rm -rf "$folder"
    mv "$new" "$folder"
}

made_from() {
    cat requirements.lock pyproject.toml
}

if ! made_from | cmp -s - "$stamp" || ! [ -x "$python" ]; then
    find_uv
    rm -f "$stamp"
    if ! "$python" -c '' 2>/dev/null; then
        interpreter=$(find_python)
        step 'make .venv' "$uv" venv --quiet --clear --python "$interpreter" .venv
    fi
    step 'install the packages of requirements.lock' \
        "$uv" pip sync --quiet --compile-bytecode --python "$python" --require-hashes requirements.lock
    step 'install the project itself' "$uv" pip install --quiet --python "$python" --no-deps --editable .
    made_from >"$stamp.new"
    mv "$stamp.new" "$stamp"
fi

[ $# = 0 ] && exit

# The images are made with it too. Last on PATH, since its folder has a python of its own.
find_uv
case $uv in
    */*) PATH=$PATH:${uv%/*} ;;
esac
export PATH
exec "$python" -m dev "$@"
