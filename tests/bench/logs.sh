# shellcheck shell=bash disable=SC2154
# The part `logs` of the benchmarks; sourced by run.

logs() {
    local rounds=5 megabytes=100 many=1000 check='' audit=''
    while [ $# -gt 0 ]; do
        [ $# -ge 2 ] || die "$1 needs a value"
        case $1 in
        -n) rounds=$2 ;;
        --megabytes) megabytes=$2 ;;
        --many) many=$2 ;;
        --check) check=$2 ;;
        --audit) audit=$2 ;;
        *) die "unknown argument $1; see --help" ;;
        esac
        shift 2
    done
    need gcc rustc valgrind strace mtail rg conntrack nft pptpd
    if [ -z "$check" ]; then
        build_ours check_pptp_log
        check=$dynamic_binary
    fi
    if [ -z "$audit" ]; then
        build_ours check_pptp_host
        audit=$dynamic_binary
    fi
    mkdir -p "$scratch/programs" "$scratch/mtail"
    gcc -O2 -static -o "$scratch/programs/runstat" "$here/runstat.c" || die "runstat.c does not compile"
    rust "$scratch/generate" logs.rs
    logs_beside "RFC 3164" "$rounds" "$megabytes"
    logs_beside "RFC 3339" "$rounds" "$megabytes" --rfc3339
    logs_memory "$many"
    logs_nothing_new "$rounds"
    audit_crowd "$rounds"
}

# peak_of COMMAND...: peak memory of one run, in whole kB.
peak_of() { "$scratch/programs/runstat" -n 1 -w 0 run "$@" | cut -f5 | cut -d. -f1; }

# logs_beside STAMPS ROUNDS MEGABYTES [OPTION]: all count the same events of one
# log; only ours joins sessions. What it counts has to be what was written.
logs_beside() {
    local log=$scratch/log octets name count got
    "$scratch/generate" "$3" "${@:4}" >"$log" 2>"$scratch/truth"
    octets=$(stat -c %s "$log")
    $check --once --file "$log" -o json >"$scratch/json"
    while read -r name count; do
        got=$(grep -o "\"label\":\"$name\",\"value\":[0-9]*" "$scratch/json" | head -n 1 | sed 's/.*://')
        [ "$got" = "$count" ] || die "$name: $count written, ${got:-nothing} counted: $(cut -c1-400 "$scratch/json")"
    done <"$scratch/truth"
    local pattern='pptpd\[[0-9]+\]: CTRL: (Client [^ ]+ control connection (started|finished)$|Starting call )'
    pattern+='|pppd\[[0-9]+\]: (peer from calling number [^ ]+ authorized$|Peer [^ ]+ failed CHAP authentication$'
    pattern+='|LCP: timeout sending Config-Requests$|No response to [0-9]+ echo-requests$|MPPE [0-9]+-bit|remote IP address )'
    # shellcheck disable=SC2086
    LC_ALL=C "$scratch/programs/runstat" -n "$2" -w 1 \
        mtail mtail --one_shot --progs "$here/pptp.mtail" --logs "$log" --logtostderr=false --log_dir "$scratch/mtail" --poll_interval 0 \
        ::: "grep -cE" grep -cE "$pattern" "$log" \
        ::: "ripgrep -c" rg -j1 -c --no-config --no-unicode -e "$pattern" "$log" \
        ::: ours $check --once --file "$log" -o zabbix >"$scratch/rows" || die "runstat failed"
    rm -f "$log"
    awk -F'\t' '$2 != 0 { print $1 " ended with status " $2; bad = 1 } END { exit bad }' "$scratch/rows" ||
        die "a row that fails is not a measurement"
    echo
    echo "$1 time stamps, $((octets / 1000000)) MB, medians of $2 interleaved rounds"
    awk -F'\t' -v octets="$octets" -v stamps="$1" '
        BEGIN { printf "  %-12s %14s %10s %10s %12s\n", "", "MB/s of CPU", "MB/s", "peak kB", "x mtail" }
        { printf "  %-12s %14.0f %10.0f %10d %12.1f\n", $1, octets / 1e3 / $4, octets / 1e3 / $3, $5, 1 / $7; cpu[$1] = $4 }
        END {
            printf "  %-34s %8.1f  (at least 50: %s)\n", "ours / mtail", cpu["mtail"] / cpu["ours"], (cpu["mtail"] >= 50 * cpu["ours"]) ? "met" : "MISSED"
            printf "  %-34s %8.1f  (at least 2: %s)\n", "ours / ripgrep", cpu["ripgrep -c"] / cpu["ours"], (cpu["ripgrep -c"] >= 2 * cpu["ours"]) ? "met" : "MISSED"
        }' "$scratch/rows"
}

# logs_memory MEGABYTES: a large log in which nearly every caller is another one
# and fails.
logs_memory() {
    local log=$scratch/log peak bare
    "$scratch/generate" "$1" --users 1000000 --failing 90 >"$log" 2>"$scratch/truth"
    # shellcheck disable=SC2086
    peak=$(peak_of $check --once --file "$log" -o zabbix)
    # shellcheck disable=SC2086
    bare=$(peak_of $check -V)
    rm -f "$log"
    echo
    echo "$1 MB, $(awk '/^auth_failures / { print $2 }' "$scratch/truth") failed logins of up to a million users"
    printf '  %-34s %8d kB, of which %d a bare start  (at most 8192 beside it: %s)\n' "peak memory" "$peak" "$bare" \
        "$(verdict $((peak - bare)) 8192)"
}

# logs_nothing_new ROUNDS: what each minute costs on which nobody called. Nearly
# all of it is the kernel's, which starts a program.
logs_nothing_new() {
    local log=$scratch/log name ours bare
    "$scratch/generate" 5 >"$log" 2>"$scratch/truth"
    # shellcheck disable=SC2206
    local again=($check --file "$log" --state "$scratch/state" -o zabbix)
    "${again[@]}" >/dev/null
    echo "Jun 11 00:00:00 gateway CRON[1]: nothing" >>"$log"
    "${again[@]}" >/dev/null
    # A bare start shows its version, and ends with 3 as the convention has it.
    # shellcheck disable=SC2086
    "$scratch/programs/runstat" -n $(($1 * 40)) -w 10 bare $check -V ::: again "${again[@]}" >"$scratch/rows" ||
        die "runstat failed"
    : >"$scratch/counts"
    # shellcheck disable=SC2086
    count_instructions bare $check -V
    count_instructions again "${again[@]}"
    rm -f "$log"
    { read -r bare name && read -r ours name; } <"$scratch/counts"
    echo
    echo "nothing new in the log, medians of $(($1 * 40)) interleaved rounds"
    awk -F'\t' -v ours="$ours" -v bare="$bare" -v calls="$name" '
        { cpu[$1] = $4; ratio[$1] = $7 }
        END {
            printf "  %-34s %8.3f  (at most 1.2: %s), %.2f ms of CPU\n", "a run / a bare start", ratio["again"],
                (ratio["again"] <= 1.2) ? "met" : "MISSED", cpu["again"]
            printf "  %-34s %8.3f, %d of %d, and %d system calls\n", "user instructions", ours / bare, ours, bare, calls
        }' "$scratch/rows"
}

# audit_crowd ROUNDS: check_pptp_host where 100,000 connections are tracked, on
# the kernel itself and on what it collects there.
audit_crowd() {
    awk 'BEGIN {
        for (i = 0; i < 100000; i++) {
            from = sprintf("198.%d.%d.%d", 18 + int(i / 62500), int(i / 250) % 250, i % 250 + 1)
            printf "-A -s %s -d 10.77.0.2 -r 10.77.0.2 -q %s -t 600 ", from, from
            if (i % 20 == 0) printf "-p gre --orig-key-src %d --orig-key-dst %d --reply-key-src %d --reply-key-dst %d\n", i % 65536, i % 4096, i % 4096, i % 65536
            else printf "-p udp --orig-port-src %d --orig-port-dst 53 --reply-port-src 53 --reply-port-dst %d\n", 1024 + i % 60000, 1024 + i % 60000
        }
    }' >"$scratch/entries"
    printf '%s\n' 'table inet filter {' 'chain input {' 'type filter hook input priority 0; policy drop' \
        'ct state established,related accept' 'tcp dport 1723 accept' 'meta l4proto gre accept' '}' '}' >"$scratch/rules.nft"
    cat >"$scratch/inside" <<'SH'
conntrack --load-file "$1/entries" >/dev/null 2>&1
[ "$(cat /proc/sys/net/netfilter/nf_conntrack_count)" -ge 100000 ] || { echo "the table was not filled" >&2; exit 3; }
$3 --collect "$1/tree" >"$1/collected" || { cat "$1/collected" >&2; exit 3; }
"$1/programs/runstat" -n "$2" -w 2 live $3 -o zabbix ::: collected $3 --root "$1/tree" -o zabbix >"$1/rows"
SH
    "$here/../testbed/namespace-gateway" --rules "$scratch/rules.nft" sh "$scratch/inside" "$scratch" "$1" "$audit" || die "no crowd"
    echo
    echo "audit with 100,000 connections tracked, medians of $1 rounds"
    awk -F'\t' '{ printf "  %-34s %8.1f ms, %.1f ms of CPU, %d kB  (at most 50: %s)\n", $1, $3, $4, $5, ($3 <= 50) ? "met" : "MISSED" }' "$scratch/rows"
}
