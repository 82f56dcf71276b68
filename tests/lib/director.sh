#!/bin/sh
# SPDX-License-Identifier: MIT
# A director of LVS with a kernel of its own (User Mode Linux), for machines whose own kernel has no ip_vs. In a network namespace of
# the caller's:
#   director.sh network PID     nodes 10.77.0.11 to .13 here, which have the service's address 10.77.0.100 too and do not answer for it
#                               (direct routing); a client 10.77.0.9 in the network namespace of process PID
#   director.sh boot DIR        the director 10.77.0.2, who answers for 10.77.0.100; with DIR/host_key and DIR/key.pub
# Its root directory is this machine's, read-only; /run is its own. A line on stdin is a command, run there; what it prints follows,
# and a line "== STATUS". The end of stdin switches it off.
set -u
network() {
    set -e
    ip link set lo up
    ip link add br0 type bridge
    ip link set br0 up
    for i in 1 11 12 13; do ip addr add 10.77.0.$i/24 dev br0; done
    ip tuntap add dev tap0 mode tap
    ip link set tap0 master br0 up
    echo 1 >/proc/sys/net/ipv4/conf/all/arp_ignore
    echo 2 >/proc/sys/net/ipv4/conf/all/arp_announce
    ip addr add 10.77.0.100/32 dev lo
    ip link add v0 type veth peer name v1 netns "$1"
    ip link set v0 master br0 up
    nsenter -t "$1" -n sh -c 'ip link set lo up && ip addr add 10.77.0.9/24 dev v1 && ip link set v1 up'
}
boot() {
    TMPDIR=/dev/shm exec linux mem=96M root=/dev/root rootfstype=hostfs rootflags=/ ro loglevel=1 \
        con=null con0=fd:0,fd:1 con1=null vec0:transport=tap,ifname=tap0,depth=64 "uml_dir=$1/" \
        "init=$(readlink -f "$0")" "director_dir=$1"
}
if [ "$$" != 1 ]; then
    "$@"
    exit
fi

# The first process there.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
host_key=$(cat "$director_dir/host_key")
key=$(cat "$director_dir/key.pub")
mount -t tmpfs tmpfs /run
mkdir -p /run/sshd /run/modules/lib /run/home /run/etc
chmod 700 /run/home
ln -s /usr/lib/uml/modules /run/modules/lib/modules
echo /bin/true >/proc/sys/kernel/modprobe
modprobe -d /run/modules -a ip_vs ip_vs_rr ip_vs_wrr ip_vs_wlc
ln -s /proc/self/fd /dev/fd
# No shell of root's own, with all that it may start.
sed 's#^\(root:[^:]*:[^:]*:[^:]*:[^:]*\):.*#\1:/run/home:/bin/sh#' /etc/passwd >/run/etc/passwd
mount --bind /run/etc/passwd /etc/passwd
ip link set lo up
ip addr add 10.77.0.2/24 dev vec0
ip link set vec0 up
ip addr add 10.77.0.100/32 dev vec0
printf '%s\n' "$host_key" >/run/etc/host_key
printf '%s\n' "$key" >/run/etc/key.pub
chmod 600 /run/etc/host_key
/usr/sbin/sshd -f /dev/null -E /run/sshd.log -o HostKey=/run/etc/host_key -o AuthorizedKeysFile=/run/etc/key.pub \
    -o PidFile=/run/sshd.pid -o StrictModes=no -o UsePAM=no -o PermitRootLogin=yes -o PasswordAuthentication=no
stty raw -echo
printf '\n== up\n'
while IFS= read -r line; do
    eval "$line" 2>&1
    printf '\n== %s\n' "$?"
done
echo o >/proc/sysrq-trigger
