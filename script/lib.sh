# Common parts of script/server and script/test, which source it from the project's folder.

PYTHON=.venv/bin/python

say() { printf '%s\n' "$*" >&2; }

# True for a program that is Python 3.11 or later. A pyenv shim of a version that is not in use is
# there, but fails.
is_python() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

pythons() {
    local name
    for name in python3 python3.14 python3.13 python3.12 python3.11; do
        command -v "$name" || true
    done
    printf '%s\n' "${PYENV_ROOT:-$HOME/.pyenv}"/versions/*/bin/python3 /usr/bin/python3
}

# Prints the first Python that is new enough and can make virtual environments.
find_python() {
    local python
    while read -r python; do
        if is_python "$python" && "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
            printf '%s\n' "$python"
            return
        fi
    done < <(pythons)
    return 1
}

# Installs packages on Debian if we may, else names the command and ends the script.
apt_install() {
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "正在安装 $*……"
        apt-get update -qq >&2
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >&2
    else
        say "缺少 $*。请以管理员身份运行：apt-get install $*"
        exit 1
    fi
}

# ready LOCK: a virtual environment that holds what LOCK says. Nothing is done if it does already.
ready() {
    local lock=$1 python stamp
    # It may be half made, or left behind by a Python that is gone.
    if ! is_python "$PYTHON" || ! "$PYTHON" -c 'import pip' 2>/dev/null; then
        if ! python=$(find_python); then
            apt_install python3-venv
            python=$(find_python) || {
                say "需要 Python 3.11 或更高版本（含 venv），没有找到。"
                exit 1
            }
        fi
        say "正在建立虚拟环境 .venv……"
        rm -rf .venv
        "$python" -m venv .venv
    fi

    stamp="$("$PYTHON" -c 'import sys; print(sys.version)') $(cksum "$lock")"
    if [ "$(cat ".venv/$lock.installed" 2>/dev/null)" != "$stamp" ]; then
        say "正在安装依赖（$lock）……"
        rm -f .venv/*.lock.installed # each lock may change what the other had installed
        "$PYTHON" -m pip install -qq --disable-pip-version-check --require-hashes -r "$lock" >&2
        printf '%s\n' "$stamp" >".venv/$lock.installed"
    fi
}
