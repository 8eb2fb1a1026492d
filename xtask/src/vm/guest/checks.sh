# What the program promises, looked at from outside through the kernel's files. Sourced with start_server and UNIT set.
set -euo pipefail
. /vm/lib.sh
leaf() { find "$UNIT" -type d -name "$1" -print -quit; }
value() { cat "$(leaf "$1")/$2"; }
ready() { grep -q 'tapit ready' /run/ready; }
serves() { curl -sf -m 10 -o /dev/null -H 'Host: shop.localhost' http://127.0.0.1:8000/; }
shows() {
    tapit -a shop show process "name=$1" -o json >/run/shown || return 1
    grep -q "$2" /run/shown || { cat /run/shown; return 1; }
}
no_leaf() { same "$(find "$UNIT" -type d -name 'shop.*' | wc -l)" 0; }
no_trace() { same "$(find /sys/fs/cgroup -type d -name '*tapit-*' | wc -l)" 0; }
init_of() { sort -n "$(leaf "$1")/cgroup.procs" | head -n 1; }
member_uses_memory() { shows "$1" '"memory_bytes": *[1-9]' || shows "$1" '"memory[a-z_]*": *[1-9]'; }
# What a container could do to the machine's disk with a device node of its own.
disk=$(tr : ' ' </sys/block/vda/dev)
node="busybox mknod /tmp/disk b $disk && echo made; busybox head -c 512 /tmp/disk >/tmp/stolen; busybox test -s /tmp/stolen && echo stolen || echo refused; sleep 1000000"
log_of() { cat /var/lib/tapit/instances/shop/"$1"/*/*log*; }
# Into a file first: whoever writes into a grep that has found what it looks for, and has gone, has failed.
holds() { log_of "$1" >/run/log 2>/dev/null || true; grep -aq "$2" /run/log; }
logged() { holds "$1" "$2" || { cat /run/log; return 1; }; }
not_logged() { ! holds "$1" "$2" || { cat /run/log; return 1; }; }

start_server
check "the server gets ready" eventually ready
check "an image is imported" tapit import image /vm/images.tar
check "an app is created and healthy" tapit create app shop image=web:v1 memory=64M cpu=0.25 --wait
check "the router answers" eventually serves
web=shop.default.1
check "memory.max is what was asked for" same "$(value "$web" memory.max)" 67108864
check "there is no swap" same "$(value "$web" memory.swap.max 2>/dev/null || echo 0)" 0
check "cpu.max is a quarter" same "$(value "$web" cpu.max)" "25000 100000"
check "pids.max is a thousand and some" same "$(value "$web" pids.max)" 1024
before=$(init_of "$web")
check "it is resized" tapit -a shop set process memory=128M cpu=0.5 --wait
check "the new memory is in force" eventually same "$(value "$web" memory.max)" 134217728
check "the new cpu is in force" same "$(value "$web" cpu.max)" "50000 100000"
check "the instance is the same one" same "$(init_of "$web")" "$before"
check "usage is told" member_uses_memory default
check "a process that eats its memory is made" tapit -a shop create process name=eater image=worker:v1 memory=32M cpu=0.5 \
    command='x=0123456789abcdef; while :; do x=$x$x; done'
check "its end is told as out of memory" eventually shows eater '"oom": true'
check "it is deleted" tapit -a shop delete process name=eater --force --wait
check "a process with a device node is made" tapit -a shop create process name=node image=worker:v1 memory=32M cpu=0.5 \
    command="$node" --wait
check "the disk cannot be read through it" eventually logged node refused
check "and it has made none" not_logged node made
check "a process that may make nodes is made" tapit -a shop create process name=maker image=worker:v1 memory=32M cpu=0.5 \
    cap_add=MKNOD userns=false command="$node" --wait
check "the disk cannot be read through its node" eventually logged maker refused
check "although it has made one" logged maker made
kill -9 $!
wait $! || true
rm /run/ready
start_server
check "a killed server starts again" eventually ready
check "the router answers again" eventually serves
check "the instance has lived on" same "$(init_of "$web")" "$before"
check "the app is deleted" tapit delete app shop --force --wait
check "no instance's cgroup is left" eventually no_leaf
check "everything is torn down" tapit teardown --data-dir /var/lib/tapit --force
check "no cgroup of ours is left" eventually no_trace
sed 's/^/@@ log /' /run/server.log | grep -E 'ERROR|WARN|panicked' | tail -n 20 || true
