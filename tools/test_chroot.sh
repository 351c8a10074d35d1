#!/usr/bin/env bash
# test_chroot.sh SUITE [BASE_DIR]: do 'make demo' and 'make test' work on a bare Debian of that suite (bookworm, trixie)?
# Makes a minimal system with debootstrap, or copies BASE_DIR if that is one already (it is made there if not), clones the
# committed state of the project into it, installs make and git, as a user would, and runs both; then once more without rights.
# Needs root and debootstrap. Mirror, proxies, certificates and pip's settings are those of this machine.
set -euo pipefail
. "$(dirname "$0")/common.sh"

DEMO_TEXT="No, the singer is not in the airport. Anna dropped a blue bag in the church. I can open it, but I cannot find it.\
 It costs eight dollars and two cents. Who lost my bicycle?"

case ${1:-} in
bookworm | trixie) suite=$1 ;;
*) fail "usage: test_chroot.sh bookworm|trixie [BASE_DIR]" ;;
esac
base=${2:-}
[ "$(id -u)" = 0 ] || fail "needs root"
command -v debootstrap >/dev/null || fail "debootstrap is missing"

work=$(mktemp -d)
system=$work/root
trap 'rm -rf --one-file-system "$work"' EXIT

host_mirror()
{
    # shellcheck disable=SC2016  # apt expands these
    apt-get indextargets --format '$(LABEL) $(REPO_URI)' | awk '$1 == "Debian" { print $2; exit }'
}

make_base()
{
    local mirror
    mirror=${MIRROR:-$(host_mirror)}
    [ -n "$mirror" ] || fail "found no Debian mirror in apt's sources; set MIRROR"
    say "debootstrap $suite"
    debootstrap --variant=minbase "$suite" "$1" "$mirror" >"$work/debootstrap.log" ||
        { tail "$work/debootstrap.log" >&2; fail "debootstrap failed"; }
}

make_system()
{
    if [ -z "$base" ]; then
        make_base "$system"
        return
    fi
    [ -e "$base/etc/debian_version" ] || make_base "$base"
    cp -a --reflink=auto "$base" "$system"
}

# What this machine needs to reach mirror and PyPI, the system inside needs too.
copy_network_settings()
{
    local file
    for file in /etc/resolv.conf /etc/hosts /etc/pip.conf; do
        [ ! -e $file ] || cp -L $file "$system$file"
    done
    apt-config dump | { grep -E '^Acquire::(http|https|ftp|Check-[A-Za-z-]+)[: ]' || true; } >"$system/etc/apt/apt.conf.d/99host"
    if [ -d /usr/local/share/ca-certificates ]; then
        mkdir -p "$system/usr/local/share"
        cp -aL /usr/local/share/ca-certificates "$system/usr/local/share/"
    fi
    cp -L /etc/ssl/certs/ca-certificates.crt "$system/etc/host-certificates.crt"
}

# inside USER COMMAND: run a shell command there; its processes and mounts end with it
inside()
{
    local user=$1 command=$2 settings
    mapfile -t settings < <(env | grep -E '^(PIP_(INDEX_URL|EXTRA_INDEX_URL|TRUSTED_HOST|DEFAULT_TIMEOUT)|[a-z]+_proxy|[A-Z]+_PROXY)=' || true)
    # shellcheck disable=SC2016  # expanded by the inner shell
    unshare --mount --pid --ipc --fork --kill-child bash -c '
        mount -t proc proc "$1/proc" && mount -t tmpfs tmpfs "$1/dev/shm" && mount -t devpts -o newinstance,ptmxmode=666 devpts "$1/dev/pts" &&
        exec chroot --userspec="$2" "$1" env -i "${@:4}" bash -c "$3"' \
        - "$system" "$user" "cd /home/user/qasr 2>/dev/null; $command" PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        HOME=/home/user LANG=C.UTF-8 PIP_CERT=/etc/host-certificates.crt "${settings[@]}" </dev/null
}

clone_project()
{
    rm -rf "$system/home/user/qasr"
    git clone --quiet --no-hardlinks "$ROOT" "$system/home/user/qasr"
    chown -R "$1" "$system/home/user"
}

check_demo()
{
    local last
    inside "$1" 'make demo' | tee "$work/demo.out"
    last=$(tail -n 1 "$work/demo.out")
    [ "$last" = "$DEMO_TEXT" ] || fail "$suite: make demo ended with '$last', expected '$DEMO_TEXT'"
}

make_system
copy_network_settings
mkdir -p "$system/home/user"
say "$suite: installing make and git"
inside 0:0 'apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends make git' >"$work/apt.log" 2>&1 ||
    { tail "$work/apt.log" >&2; fail "could not install make and git"; }

clone_project 0:0
say "$suite: make demo"
check_demo 0:0
say "$suite: make test"
inside 0:0 'make test' || fail "$suite: make test failed"

clone_project 1000:1000
say "$suite: make demo without rights, all packages being there"
check_demo 1000:1000
say "$suite: all well"
