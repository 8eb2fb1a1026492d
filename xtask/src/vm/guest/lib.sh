# How a scene tells what it has looked at. Sourced.
set -euo pipefail
PATH=/vm:$PATH
export TAPIT_DATA_DIR=/var/lib/tapit NO_COLOR=1

# check NAME COMMAND... prints whether the command succeeds, with what it said when it does not.
check() {
    name=$1
    shift
    if said=$("$@" 2>&1); then echo "@@ ok $name"; else
        echo "@@ failed $name"
        printf '%s\n' "$said" | tail -n 15 | sed 's/^/@@ note   /'
    fi
}
same() { [ "$1" = "$2" ] || { echo "$1 is not $2"; return 1; }; }
# eventually COMMAND... tries for a minute.
eventually() {
    tries=0
    until "$@"; do
        tries=$((tries + 1))
        [ $tries -lt 120 ] || return 1
        sleep 0.5
    done
}
