#!/bin/busybox sh
# The first program of the machine: loads what the kernel lacks, mounts both disks, and hands over to the scene's own init.
set -euo pipefail
bb=/bin/busybox
$bb mount -t proc proc /proc
$bb mount -t sysfs sysfs /sys
$bb mount -t devtmpfs dev /dev
while read -r module; do
    $bb insmod "/modules/$module" || echo "@@ failed loading the module $module"
done </modules/order
tries=0
while [ ! -b /dev/vdb ] && [ $tries -lt 200 ]; do
    $bb usleep 50000
    tries=$((tries + 1))
done
$bb mount -t ext4 /dev/vda /root
$bb mkdir -p /root/vm
$bb mount -t ext4 /dev/vdb /root/vm
init=/vm/init.sh
for word in $($bb cat /proc/cmdline); do
    case $word in scene_init=*) init=${word#scene_init=} ;; esac
done
$bb umount /proc /sys /dev
exec $bb switch_root /root "$init"
