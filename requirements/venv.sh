#!/bin/sh
# Makes .venv in the current folder with a supported Python, unless a sound one is there.
# PYTHON names the interpreter to use; without it the first that fits is taken.
set -eu

supported='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'
complete='import ensurepip, venv'
version='import platform; print(platform.python_version())'

fail() {
    printf '%s\n' "$@" >&2
    exit 1
}

# A venv holds absolute paths: one that came along with a moved or copied checkout is made anew.
here=$(pwd)
made_for=$(cat .venv/.checkout 2>/dev/null || echo "$here")
if [ "$made_for" = "$here" ] && .venv/bin/python -c "$supported" 2>/dev/null &&
    .venv/bin/python -c 'import pip' 2>/dev/null; then
    echo "$here" >.venv/.checkout
    exit 0
fi

chosen='' seen='' incomplete=''
for candidate in ${PYTHON:-python3.13 python3.12 python3.11 python3 python}; do
    # Each is run, since a version manager may leave names behind that start nothing.
    found=$("$candidate" -c "$version" 2>/dev/null) || continue
    seen="$seen $candidate ($found)"
    "$candidate" -c "$supported" || continue
    if "$candidate" -c "$complete" 2>/dev/null; then
        chosen=$candidate
        break
    fi
    [ -n "$incomplete" ] || incomplete=$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
done

if [ -z "$chosen" ] && [ -n "$incomplete" ]; then
    fail "Python $incomplete is here, but without the modules venv and ensurepip." \
        "On Debian and Ubuntu: apt-get install python$incomplete-venv"
elif [ -z "$chosen" ]; then
    fail "Detente needs Python 3.11, 3.12 or 3.13. Found:${seen:- no ${PYTHON:-Python at all}}." \
        "Install one of them, or name it: make PYTHON=/path/to/python3.12 run"
fi

echo "Making .venv with $chosen ($found)"
"$chosen" -m venv --clear .venv
echo "$here" >.venv/.checkout
