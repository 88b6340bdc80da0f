#!/bin/busybox sh
# The first process of a guest: makes an ordinary small host, does each step of /steps/list, and turns the machine off.
# A line there is NAME SECONDS; what /steps/NAME.sh says goes to the second serial port, between marks.
export PATH=/usr/bin:/usr/sbin:/bin:/sbin HOME=/root
# The first root of all is mounted on nothing, and before Linux 6.8 cannot be restricted: no host stays in it.
if [ -z "$ROOT_IS_MOUNTED" ]; then
    /bin/busybox mkdir /whole
    /bin/busybox mount --bind / /whole
    cd /whole || exit 1
    /bin/busybox mount --move . /
    ROOT_IS_MOUNTED=yes exec /bin/busybox chroot . /init
fi
/bin/busybox --install -s /bin
ln -sf /usr/bin/dash /bin/sh
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm /run/netns /tmp
mount -t devpts pts /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t tmpfs -o mode=755 run /run
mount -t tmpfs -o mode=1777 tmp /tmp
mount -t securityfs securityfs /sys/kernel/security
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t bpf -o mode=700 bpf /sys/fs/bpf
mkdir -p /run/netns
ln -s /proc/self/fd /dev/fd
hostname guest
ip link set lo up
stty -F /dev/ttyS1 raw -echo
for module in $(cat /module-names); do modprobe "$module" 2>/dev/null; done

while read -r name seconds; do
    echo "$name" >/dev/console
    timeout -s KILL "$seconds" sh "/steps/$name.sh" >/tmp/said 2>/tmp/complained </dev/null
    status=$?
    # What a step leaves behind is not the next one's: everything but this.
    kill -KILL -1
    { echo "@begin $name"; cat /tmp/said; echo; echo "@errors"; tail -c 20000 /tmp/complained; echo; echo "@end $status"; } >/dev/ttyS1
done </steps/list
echo "@off" >/dev/ttyS1
sync
poweroff -f
