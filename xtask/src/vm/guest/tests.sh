#!/bin/bash
# The engine's own integration tests, as they run on the developer's machine, in the root of an unclaimed v2 hierarchy.
set -euo pipefail
# The tests know the program that they run by the path at which it was built.
exe=$(cat /vm/exe-path)
mkdir -p "$(dirname "$exe")"
cp /vm/exe "$exe"
# Some compile a program that looks around inside of a container. There is no compiler here; it has been compiled before.
mkdir -p "$(dirname "$exe")/../tmp"
install -m 755 /vm/rustc.sh /usr/local/bin/rustc
for tests in $(cat /vm/tests); do
    # A test in an emulated machine takes ten times as long; two at a time is what two emulated cores bear.
    "/vm/$tests" --test-threads 2 --color never 2>&1 | sed -E \
        -e "s/^test (.*) \.\.\. ok\$/@@ ok $tests \1/" \
        -e "s/^test (.*) \.\.\. FAILED\$/@@ failed $tests \1/" \
        -e "s/^(error|thread .* panicked).*/@@ note &/" ||
        echo "@@ failed $tests as a whole"
done
