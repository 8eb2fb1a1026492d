#!/bin/bash
# Process 1 of the scenes without systemd: mounts what programs expect, runs the scene, switches the machine off.
set -euo pipefail
export PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t tmpfs run /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ip link set lo up
echo 3 >/proc/sys/kernel/printk
scene=tests
for word in $(cat /proc/cmdline); do
    case $word in scene=*) scene=${word#scene=} ;; esac
done
echo "@@ note Linux $(uname -r), cgroup v2 with $(cat /sys/fs/cgroup/cgroup.controllers)"
bash "/vm/$scene.sh" || echo "@@ failed the scene $scene itself"
echo "@@ end"
poweroff -f
