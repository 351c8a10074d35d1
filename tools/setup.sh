#!/usr/bin/env bash
# setup.sh [--tests|--fuzz|--aarch64|--devices]: install the missing dependencies of the build; --tests, --fuzz: also those of the
# tests or of fuzzing; --aarch64, --devices: instead those of tools/test_aarch64.sh or tools/test_devices.sh. If nothing is missing,
# does nothing and needs no privileges.
set -euo pipefail
. "$(dirname "$0")/common.sh"

# what         apt               brew        dnf                  pacman      zypper               apk
PACKAGES='
cc             gcc,libc6-dev     -           gcc                  gcc         gcc                  build-base
pkg-config     pkg-config        pkg-config  pkgconf-pkg-config   pkgconf     pkgconf-pkg-config   pkgconf
meson          meson             meson       meson                meson       meson                meson
ninja          ninja-build       ninja       ninja-build          ninja       ninja                samurai
sndfile        libsndfile1-dev   libsndfile  libsndfile-devel     libsndfile  libsndfile-devel     libsndfile-dev
soxr           libsoxr-dev       libsoxr     soxr-devel           libsoxr     soxr-devel           soxr-dev
jansson        libjansson-dev    jansson     jansson-devel        jansson     libjansson-devel     jansson-dev
libutf8proc    libutf8proc-dev   utf8proc    utf8proc-devel       libutf8proc utf8proc-devel       utf8proc-dev
libpcre2-8     libpcre2-dev      pcre2       pcre2-devel          pcre2       pcre2-devel          pcre2-dev
libcurl        libcurl4-openssl-dev curl    libcurl-devel        curl        libcurl-devel        curl-dev
libcrypto      libssl-dev        openssl     openssl-devel        openssl     libopenssl-devel     openssl-dev
cmocka         libcmocka-dev     cmocka      libcmocka-devel      cmocka      libcmocka-devel      cmocka-dev
fuzzer         clang,libclang-rt-dev llvm    clang,compiler-rt    clang,compiler-rt clang       clang,compiler-rt
python-venv    python3-venv      python3     python3              python      python3              python3
certificates   ca-certificates   -           ca-certificates      ca-certificates ca-certificates  ca-certificates
aarch64-cc     gcc-aarch64-linux-gnu,libc6-dev-arm64-cross - - - - -
debootstrap    debootstrap       -           -                    -           -                    -
aarch64-run    qemu-user-static  -           -                    -           -                    -
'
BUILD_NEEDS='cc pkg-config meson ninja sndfile soxr jansson libutf8proc libpcre2-8'
BUILD_WISHES='libcurl libcrypto' # for 'qasr pull'; optional
TEST_NEEDS='cmocka python-venv certificates'
FUZZ_NEEDS="$BUILD_NEEDS cmocka fuzzer"
DEVICES_NEEDS='debootstrap'
AARCH64_NEEDS='cc meson ninja aarch64-cc aarch64-run'

have_command() { command -v "$1" >/dev/null 2>&1; }

# Checks for the C library's headers too, which a bare gcc package lacks.
have_compiler()
{
    printf '#include <stdio.h>\nint main(void) { return puts("") < 0; }\n' |
        "$@" -x c -o /dev/null - 2>/dev/null
}

# Clang may come without libFuzzer and the sanitizers.
have_fuzzer()
{
    printf 'int LLVMFuzzerTestOneInput(const unsigned char *p, unsigned long n) { return p && n > 9 ? -1 : 0; }\n' |
        clang -fsanitize=fuzzer,address,undefined -x c -o /dev/null - 2>/dev/null
}

# have WHAT: is it installed? An old Meson counts, since the package manager has no newer one.
have()
{
    case $1 in
    cc) # CC may contain options
        # shellcheck disable=SC2086
        have_compiler ${CC:-cc}
        ;;
    fuzzer) have_fuzzer ;;
    aarch64-cc) have_compiler aarch64-linux-gnu-gcc ;;
    debootstrap) have_command debootstrap ;;
    aarch64-run) have_command qemu-aarch64-static ;;
    pkg-config) have_command pkg-config ;;
    meson) have_command meson || find_meson >/dev/null ;;
    ninja) have_command ninja ;;
    python-venv) python3 -c 'import ensurepip, venv' 2>/dev/null ;;
    # only Debian's pip uses the system's certificates; others bundle their own
    certificates) ! have_command apt-get || [ -e /etc/ssl/certs/ca-certificates.crt ] ;;
    *) have_command pkg-config && pkg-config --exists "$1" ;;
    esac
}

missing_of()
{
    local what
    for what in "$@"; do
        have "$what" || printf '%s ' "$what"
    done
}

# packages_for COLUMN WHAT...: the package names of one package manager (a column of PACKAGES)
packages_for()
{
    local column=$1 what
    shift
    for what in "$@"; do
        awk -v what="$what" -v column="$column" '$1 == what && $column != "-" { print $column }' <<<"$PACKAGES"
    done | tr ',' '\n' | sort -u | tr '\n' ' '
}

print_all_packages()
{
    cat >&2 <<EOF
Missing: $*
Please install these packages with your package manager, then try again:
  Debian, Ubuntu   apt-get install $(packages_for 2 "$@")
  macOS            brew install $(packages_for 3 "$@")
  Fedora           dnf install $(packages_for 4 "$@")
  Arch             pacman -S $(packages_for 5 "$@")
  openSUSE         zypper install $(packages_for 6 "$@")
  Alpine           apk add $(packages_for 7 "$@")
EOF
}

as_root()
{
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif [ -t 0 ]; then
        sudo "$@"
    else
        sudo -n "$@"            # nobody can type a password
    fi
}

apt() { as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y "$@" </dev/null >&2; }

install_with_apt()
{
    local packages updated=no
    read -r -a packages <<<"$(packages_for 2 "$@")"
    if [ "$(id -u)" != 0 ] && ! have_command sudo; then
        fail "these packages are missing and there is no sudo; run as root: apt-get install ${packages[*]}"
    fi
    say "installing with apt-get: ${packages[*]}"
    if ! apt-cache show "${packages[@]}" >/dev/null 2>&1; then
        apt update || fail "'apt-get update' failed (see above); run as root: apt-get install ${packages[*]}"
        updated=yes
    fi
    apt install --no-install-recommends "${packages[@]}" && return
    if [ $updated = no ]; then
        say "the package lists may be outdated: updating them and trying again"
        apt update && apt install --no-install-recommends "${packages[@]}" && return
    fi
    fail "'apt-get install' failed (see above); run as root: apt-get install ${packages[*]}"
}

install_with_brew()
{
    local packages
    if [[ " $* " == *" cc "* ]]; then
        fail "there is no C compiler; run: xcode-select --install"
    fi
    read -r -a packages <<<"$(packages_for 3 "$@")"
    say "installing with brew: ${packages[*]}"
    brew install "${packages[@]}" >&2 || fail "'brew install ${packages[*]}' failed (see above)"
}

install_missing()
{
    if have_command apt-get; then
        install_with_apt "$@"
    elif have_command brew; then
        install_with_brew "$@"
    else
        print_all_packages "$@"
        exit 1
    fi
}

# Ubuntu 22.04 has Meson 0.61: installs a newer one from PyPI, for this project only.
ensure_new_meson()
{
    find_meson >/dev/null && return
    say "Meson $(meson --version) is too old (1.0 is required): installing a newer one into .venv"
    have python-venv || install_missing python-venv certificates
    [ -x "$VENV/bin/python3" ] || python3 -m venv "$VENV" || fail "could not make '$VENV' (see above)"
    "$VENV/bin/python3" -m pip install --quiet --disable-pip-version-check 'meson>=1.0' >&2 ||
        fail "could not install Meson with pip (see above); install Meson 1.0 or newer by hand"
}

main()
{
    local needs=$BUILD_NEEDS wishes=$BUILD_WISHES missing
    case ${1:-} in
    '') ;;
    --tests) needs="$BUILD_NEEDS $TEST_NEEDS" ;;
    --fuzz) needs=$FUZZ_NEEDS ;;
    --aarch64)
        needs=$AARCH64_NEEDS
        wishes=
        ;;
    --devices)
        needs=$DEVICES_NEEDS
        wishes=
        ;;
    *) fail "unknown option '$1', expected --tests, --fuzz, --aarch64, --devices or nothing" ;;
    esac
    # shellcheck disable=SC2086  # lists of words
    missing=$(missing_of $needs $wishes)
    if [ -n "$missing" ]; then
        # shellcheck disable=SC2086
        install_missing $missing
        # shellcheck disable=SC2086
        missing=$(missing_of $needs)
        [ -z "$missing" ] || fail "still missing after the installation: $missing"
    fi
    ensure_new_meson
}

main "$@"
