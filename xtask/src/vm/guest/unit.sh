#!/bin/bash
# Run by systemd once the machine is up: the packaged unit, its cgroup, and that restarting it leaves the containers alone.
set -euo pipefail
start_server() {
    cp /vm/tapit /usr/local/bin/tapit
    cp /vm/tapit.service /etc/systemd/system/tapit.service
    systemctl daemon-reload
    systemctl start tapit.service
}
. /vm/lib.sh
leaf() { find /sys/fs/cgroup -type d -name shop.default.1 -print -quit; }
inits() { sort -n "$(leaf)/cgroup.procs" | head -n 1; }
answers() { tapit status >/dev/null; }
active() { systemctl is-active --quiet tapit.service || { systemctl status --no-pager tapit.service; return 1; }; }
no_leaf() { same "$(find /sys/fs/cgroup -type d -name 'shop.*' | wc -l)" 0; }

echo "@@ note $(systemctl --version | head -n 1)"
check "the unit starts" start_server
check "it is active" active
check "the server answers" eventually answers
check "an image is imported" tapit import image /vm/images.tar
check "an app is created and healthy" tapit create app shop image=web:v1 memory=64M cpu=0.25 --wait
before=$(inits)
check "the unit is restarted" systemctl restart tapit.service
check "the server answers again" eventually answers
check "the instance has lived on" same "$(inits)" "$before"
systemctl kill --signal=KILL --kill-whom=main tapit.service
check "a killed server is started again by systemd" eventually answers
check "the instance lives on still" same "$(inits)" "$before"
check "an instance can be added" tapit -a shop set process demand=2 --wait
check "the app is deleted" tapit delete app shop --force --wait
check "no instance's cgroup is left" eventually no_leaf
check "the unit stops" systemctl stop tapit.service
journalctl --no-pager -u tapit.service | tail -n 15 | sed 's/^/@@ log /'
echo "@@ end"
systemctl poweroff --force --force
