#!/bin/bash
# The engine's own integration tests, as they run on the developer's machine, in the root of an unclaimed v2 hierarchy.
set -euo pipefail
# The tests know the program that they run by the path at which it was built.
exe=$(cat /vm/exe-path)
mkdir -p "$(dirname "$exe")"
cp /vm/exe "$exe"
for tests in $(cat /vm/tests); do
    # A test in an emulated machine takes ten times as long; two at a time is what two emulated cores bear.
    "/vm/$tests" --test-threads 2 --color never 2>&1 | sed -E \
        -e "s/^test (.*) \.\.\. ok\$/@@ ok $tests \1/" \
        -e "s/^test (.*) \.\.\. FAILED\$/@@ failed $tests \1/" \
        -e "s/^(error|thread .* panicked).*/@@ note &/" ||
        echo "@@ failed $tests as a whole"
done
