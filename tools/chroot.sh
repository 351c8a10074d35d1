# Sourced by scripts that try things in a bare Debian: makes one, and runs commands there. They set suite, base (a minimal system to
# copy, or empty), work (a temporary folder) and system (where it is to be). Needs root and debootstrap. Mirror, proxies,
# certificates and pip's settings are those of this machine.
# shellcheck shell=bash
# shellcheck disable=SC2154  # suite, base, work and system are the caller's

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
