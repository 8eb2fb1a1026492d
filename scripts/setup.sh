# Set-up shared by ./demo, ./test and .ci/run; sourced, not run. Installs what is missing and says what it does.

set -euo pipefail

# The oldest compiler that builds this workspace; Cargo.toml says the same.
RUST_MIN=1.90

say() { printf '==> %s\n' "$*"; }

# The engine makes namespaces, mounts and interfaces, and packages must be installed: all of it needs root.
need_root() {
    if [ "$(id -u)" -ne 0 ]; then
        say "root is needed for containers; going on with sudo"
        exec sudo --preserve-env=PATH,HOME,CARGO_HOME,RUSTUP_HOME,CARGO_TARGET_DIR,CI "$0" "$@"
    fi
}

# need_packages PACKAGE... installs the Debian packages that are missing.
need_packages() {
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return
    say "installing from apt: ${missing[*]}"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

rust_is_new_enough() {
    local version
    version=$("$1" --version 2>/dev/null | cut -d' ' -f2) || return 1
    [ -n "$version" ] && [ "$(printf '%s\n%s\n' "$RUST_MIN" "$version" | sort -V | head -n1)" = "$RUST_MIN" ]
}

# Finds a Rust toolchain, or installs the newest one that apt has.
need_rust() {
    [ -d "$HOME/.cargo/bin" ] && PATH="$HOME/.cargo/bin:$PATH"
    rust_is_new_enough rustc && command -v cargo >/dev/null && return
    apt-get update -qq
    local version
    for version in $(apt-cache pkgnames cargo-1. | sort -Vr) cargo; do
        say "installing from apt: $version"
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$version" >/dev/null || continue
        local bin="/usr/lib/rust-${version#cargo-}/bin"
        [ -d "$bin" ] && PATH="$bin:$PATH"
        rust_is_new_enough rustc && return
    done
    say "no Rust $RUST_MIN or newer is in this machine's apt sources; install one from https://rustup.rs and run this again" >&2
    exit 1
}
