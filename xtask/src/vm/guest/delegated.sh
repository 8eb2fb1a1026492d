#!/bin/bash
# The whole program in a subtree that a service manager has handed over, as systemd does it for a unit with Delegate=yes.
set -euo pipefail
unit=/sys/fs/cgroup/system.slice/tapit.service
mkdir -p "$unit"
echo "+cpu +memory +pids" >/sys/fs/cgroup/cgroup.subtree_control
echo "+cpu +memory +pids" >/sys/fs/cgroup/system.slice/cgroup.subtree_control
export UNIT=$unit
# Only the server is in the unit; who types commands is somewhere else.
start_server() { sh -c "echo \$\$ >$unit/cgroup.procs && exec /vm/tapit server --data-dir /var/lib/tapit --http 127.0.0.1:8000" >/run/ready 2>/run/server.log & }
. /vm/checks.sh
