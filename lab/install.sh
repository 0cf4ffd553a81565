#!/usr/bin/env bash
# Installs what lab/packages.txt names and this machine lacks. Asks first, unless YES=1 or CI=true.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
PATH=$PATH:/usr/sbin:/sbin
POLICY=/usr/sbin/policy-rc.d

main() {
  local missing=() package evidence
  while read -r package evidence; do
    present "$evidence" || missing+=("$package")
  done < <(grep -v '^ *\(#\|$\)' packages.txt)

  ((${#missing[@]} == 0)) || install_packages "${missing[@]}"
  command -v cargo >/dev/null || [[ -x ${CARGO_HOME:-$HOME/.cargo}/bin/cargo ]] ||
    fail "cargo is not installed: install Rust 1.90 or later with rustup, see the Rust web site"
}

present() {
  case $1 in
    /*) [[ -e $1 ]] ;;
    *) command -v "$1" >/dev/null ;;
  esac
}

install_packages() {
  command -v apt-get >/dev/null ||
    fail "missing: $*; there is no apt-get here, so install them by hand"
  echo "To be installed with apt-get: $*"
  if [[ ${YES:-} != 1 && ${CI:-} != true ]]; then
    [[ -t 0 ]] || fail "nobody to ask: say YES=1 to install them"
    read -r -p "Go on? [y/N] " answer
    [[ $answer == [yY]* ]] || fail "not installed"
  fi
  local as_root=()
  if [[ $(id -u) -ne 0 ]]; then
    command -v sudo >/dev/null || fail "not root, and there is no sudo: install them as root"
    as_root=(sudo)
  fi
  "${as_root[@]}" bash "$PWD/install.sh" --as-root "$@"
}

# Installs without starting a daemon, and leaves the machine's own policy as it was.
as_root() {
  local quiet=(-qq -o Dpkg::Use-Pty=0)
  export DEBIAN_FRONTEND=noninteractive
  if [[ ! -e $POLICY ]]; then
    trap 'rm -f "$POLICY"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$POLICY"
    chmod 755 "$POLICY"
  fi
  known "$@" || apt-get "${quiet[@]}" update
  local log
  log=$(mktemp)
  if ! apt-get "${quiet[@]}" install -y --no-install-recommends "$@" >"$log" 2>&1; then
    # The lists may be older than the archive.
    apt-get "${quiet[@]}" update
    apt-get "${quiet[@]}" install -y --no-install-recommends "$@" >"$log" 2>&1 || {
      tail -n 20 "$log" >&2
      rm -f "$log"
      fail "apt-get could not install: $*"
    }
  fi
  rm -f "$log"
  echo "Installed: $*"
}

# Tells whether the package lists, as they are, know every package.
known() {
  local package
  for package in "$@"; do
    [[ -n $(apt-cache show --no-all-versions "$package" 2>/dev/null) ]] || return 1
  done
}

fail() {
  echo "lab: $*" >&2
  exit 1
}

if [[ ${1:-} == --as-root ]]; then
  shift
  as_root "$@"
else
  main
fi
