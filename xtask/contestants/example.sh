#!/bin/sh
# A contestant that answers, one thing after another: counter, pipeline and primes.
#
# cargo xtask compare counter --contestant 'sh=sh xtask/contestants/example.sh'

# The number, or the word, that this key of the task has.
of() {
    echo "$task" | sed "s/.*\"$1\":\"\{0,1\}\([^\",}]*\).*/\1/"
}

counter() {
    all=$(($(of workers) * $(of increments))) total=0
    while [ $total -lt $all ]; do
        total=$((total + 1))
    done
    echo "\"outcome\": {\"total\": $total, \"lost\": 0}"
}

primes() {
    count=$(awk -v n="$(of start)" -v end="$(of end)" 'BEGIN {
        for (; n < end; n++) {
            prime = n > 1
            for (d = 2; prime && d * d <= n; d++) prime = n % d
            if (prime) count++
        }
        print count + 0
    }')
    echo "\"outcome\": {\"count\": $count}"
}

# Each item is processed when it has been made, so the queue holds one at most. The arithmetic
# of the shell has 64 bits with a sign: a shift to the right has to be cut.
pipeline() {
    producers=$(of producers) items=$(of items) received=0 sum=0
    while [ $received -lt "$items" ]; do
        z=$((((received % producers) << 40) + received / producers + 0x1e3779b97f4a7c15 - (1 << 63)))
        z=$(((z ^ (z >> 30 & 0x3ffffffff)) * (0x3f58476d1ce4e5b9 - (1 << 63))))
        z=$(((z ^ (z >> 27 & 0x1fffffffff)) * (0x14d049bb133111eb - (1 << 63))))
        sum=$((sum + (z ^ (z >> 31 & 0x1ffffffff)))) received=$((received + 1))
    done
    printf '"outcome": {"received": %d, "fingerprint": %u, "in_order": true,' $received $sum
    echo "\"processed_before_release\": $received, \"high_water\": 1}"
}

echo '{"paces": 1, "workloads": ["counter", "pipeline", "primes"]}'
while read -r task; do
    echo "{\"id\": $(of id), $("$(of workload)")}"
done
