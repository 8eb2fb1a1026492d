#!/bin/bash
# The whole program in a subtree that a service manager has handed over, as systemd 254 and later do it for a unit with
# Delegate=yes and DelegateSubgroup=manager.
set -euo pipefail
unit=/sys/fs/cgroup/system.slice/tapit.service
mkdir -p "$unit/manager"
echo "+cpu +memory +pids" >/sys/fs/cgroup/cgroup.subtree_control
echo "+cpu +memory +pids" >/sys/fs/cgroup/system.slice/cgroup.subtree_control
setfattr -n trusted.delegate -v 1 "$unit"
export UNIT=$unit
# Only the server is in the unit; who types commands is somewhere else.
start_server() { sh -c "echo \$\$ >$unit/manager/cgroup.procs && exec /vm/tapit server --data-dir /var/lib/tapit --http 127.0.0.1:8000" >/run/ready 2>/run/server.log & }
. /vm/checks.sh
