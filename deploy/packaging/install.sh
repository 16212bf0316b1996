#!/bin/sh
# Installs hardway where there are no Debian packages: ./install.sh control-plane|node|tool
# Takes it away again: ./install.sh --remove control-plane|node|tool
set -e
here=$(dirname "$0")
action=install
if [ "$1" = --remove ]; then
    action=remove
    shift
fi
case "$1" in
control-plane) needed="etcd systemctl systemd-sysusers systemd-tmpfiles" other=kubelet ;;
node) needed="containerd ctr runc nft conntrack iptables modprobe systemctl systemd-sysusers systemd-tmpfiles" other=etcd ;;
tool) needed="" other="" ;;
*)
    echo "usage: $0 [--remove] control-plane|node|tool" >&2
    exit 2
    ;;
esac

if [ "$(id -u)" != 0 ]; then
    echo "$0: only root can $action" >&2
    exit 1
fi

# The script that Debian's packages have for an occasion.
script() {
    if [ -e "$here/scripts/hardway-$1.$2" ]; then
        sh "$here/scripts/hardway-$1.$2" "$3"
    fi
}

if [ $action = remove ]; then
    script "$1" prerm remove
    parts="$1"
    # The tool goes with the last role.
    if [ -n "$other" ] && [ ! -e /usr/lib/systemd/system/hardway-$other.service ]; then
        parts="$1 tool"
    fi
    for part in $parts; do
        (cd "$here/hardway-$part" && find . -type f) | while read -r file; do
            rm -f "/$file"
        done
    done
    rmdir /usr/share/hardway 2>/dev/null || true
    script "$1" postrm remove
    script "$1" postrm purge
    echo "hardway: removed"
    exit 0
fi

missing=""
PATH="$PATH:/usr/sbin:/sbin"
for program in $needed; do
    command -v "$program" >/dev/null || missing="$missing $program"
done
if [ "$1" = node ] && [ ! -e /usr/lib/cni/bridge ]; then
    missing="$missing /usr/lib/cni/bridge (the CNI plugins)"
fi
if [ -n "$missing" ]; then
    echo "$0: install these first:$missing" >&2
    exit 1
fi

for part in tool "$1"; do
    # What the administrator has changed in /etc/default stays.
    if [ -d "$here/hardway-$part/etc" ]; then
        (cd "$here/hardway-$part" && find etc -type f) | while read -r file; do
            [ -e "/$file" ] || install -D --mode=0644 "$here/hardway-$part/$file" "/$file"
        done
    fi
    # A program that runs can't be written to, but another one may take its place.
    cp --recursive --no-dereference --preserve=mode,timestamps --remove-destination \
        "$here/hardway-$part/usr" /
done
script "$1" postinst configure
echo "hardway: installed; go on with \`hardway init\` or \`hardway join\`"
