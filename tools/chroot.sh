# Sourced by the scripts that test in a separate Debian: makes one, and runs commands in it. Needs root and common.sh. Mirror, proxies,
# certificates and pip's settings are taken from this machine.
# shellcheck shell=bash

# $MIRROR, else the first Debian mirror in apt's sources.
debian_mirror()
{
    local mirror
    # shellcheck disable=SC2016  # apt expands these
    mirror=${MIRROR:-$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' 2>/dev/null | awk '$1 == "Debian" { print $2; exit }')}
    [ -n "$mirror" ] || { say "found no Debian mirror in apt's sources; set MIRROR"; return 1; }
    printf '%s\n' "$mirror"
}

# make_debian SUITE DIR: make a minimal system in DIR, completely or not at all
make_debian()
{
    local mirror log status
    mirror=$(debian_mirror) || return 1
    say "debootstrap $1"
    log=$(mktemp)
    rm -rf --one-file-system "$2.partial"
    debootstrap --variant=minbase "$1" "$2.partial" "$mirror" >"$log" 2>&1 && mv "$2.partial" "$2"
    status=$?
    [ $status = 0 ] || { tail "$log" >&2; say "debootstrap failed"; }
    rm -f "$log"
    return $status
}

# copy_debian SUITE DIR [BASE]: make a minimal system in DIR, as a copy of BASE if given; BASE is made first if it does not exist
copy_debian()
{
    if [ -z "${3:-}" ]; then
        make_debian "$1" "$2"
        return
    fi
    [ -e "$3/etc/debian_version" ] || make_debian "$1" "$3" || return 1
    cp -a --reflink=auto "$3" "$2"
}

# copy_network_settings DIR: give the system in DIR this machine's settings for reaching the mirror and PyPI
copy_network_settings()
{
    local file
    for file in /etc/resolv.conf /etc/hosts /etc/pip.conf; do
        [ ! -e $file ] || cp -L $file "$1$file"
    done
    apt-config dump | { grep -E '^Acquire::(http|https|ftp|Check-[A-Za-z-]+)[: ]' || true; } >"$1/etc/apt/apt.conf.d/99host"
    if [ -d /usr/local/share/ca-certificates ]; then
        mkdir -p "$1/usr/local/share"
        cp -aL /usr/local/share/ca-certificates "$1/usr/local/share/"
    fi
    [ ! -e /etc/ssl/certs/ca-certificates.crt ] || cp -L /etc/ssl/certs/ca-certificates.crt "$1/etc/host-certificates.crt"
}

# inside DIR USER COMMAND: run a shell command in the system in DIR, with the project read-only in /home/user/project; its processes
# and mounts end with it
inside()
{
    local settings
    mapfile -t settings < <(env | grep -E '^(PIP_(INDEX_URL|EXTRA_INDEX_URL|TRUSTED_HOST|DEFAULT_TIMEOUT)|[a-z]+_proxy|[A-Z]+_PROXY)=' || true)
    mkdir -p "$1/home/user/project"
    # shellcheck disable=SC2016  # expanded by the inner shell
    unshare --mount --pid --ipc --fork --kill-child bash -c '
        mount -t proc proc "$1/proc" && mount -t tmpfs tmpfs "$1/dev/shm" && mount -t devpts -o newinstance,ptmxmode=666 devpts "$1/dev/pts" &&
        mount --bind "$4" "$1/home/user/project" && mount -o remount,bind,ro "$1/home/user/project" &&
        exec chroot --userspec="$2" "$1" env -i "${@:5}" bash -c "$3"' \
        - "$1" "$2" "$3" "$ROOT" PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        HOME=/home/user LANG=C.UTF-8 PIP_CERT=/etc/host-certificates.crt "${settings[@]}" </dev/null
}
