#!/bin/bash
# The whole program, started by hand in the root of the hierarchy.
set -euo pipefail
export UNIT=/sys/fs/cgroup
start_server() { /vm/tapit server --data-dir /var/lib/tapit --http 127.0.0.1:8000 >/run/ready 2>/run/server.log & }
. /vm/checks.sh
