#!/bin/sh
# Installs hardway where there are no Debian packages: ./install.sh control-plane|node|tool
set -e
here=$(dirname "$0")
case "$1" in
control-plane) needed="etcd systemctl systemd-sysusers systemd-tmpfiles" ;;
node) needed="containerd ctr runc nft conntrack iptables modprobe systemctl systemd-sysusers systemd-tmpfiles" ;;
tool) needed="" ;;
*)
    echo "usage: $0 control-plane|node|tool" >&2
    exit 2
    ;;
esac

if [ "$(id -u)" != 0 ]; then
    echo "$0: only root can install" >&2
    exit 1
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
    cp --recursive --no-dereference --preserve=mode,timestamps "$here/hardway-$part/usr" /
done
if [ -e "$here/scripts/hardway-$1.postinst" ]; then
    sh "$here/scripts/hardway-$1.postinst" configure
fi
echo "hardway: installed; go on with \`hardway init\` or \`hardway join\`"
