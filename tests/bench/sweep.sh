# shellcheck shell=bash disable=SC2154
# The part `sweep` of the benchmarks; sourced by run.

sweep() {
    local rounds=5 targets=1000 many=10000 sessions=200 checks=''
    while [ $# -gt 0 ]; do
        [ $# -ge 2 ] || die "$1 needs a value"
        case $1 in
        -n) rounds=$2 ;;
        --targets) targets=$2 ;;
        --many) many=$2 ;;
        --sessions) sessions=$2 ;;
        --checks) checks=$2 ;;
        *) die "unknown argument $1; see --help" ;;
        esac
        shift 2
    done
    need gcc nmap ip sysctl
    if [ -z "$checks" ]; then
        echo "building check_pptp_control, check_pptp_auth and pptp-lab"
        (cd "$top" && cargo build --quiet --release --package pptp-plugins --bin check_pptp_control \
            --bin check_pptp_auth --bin pptp-lab) </dev/null || die "they do not build"
        checks=${CARGO_TARGET_DIR:-$top/target}/release
    fi
    mkdir -p "$scratch/programs"
    gcc -O2 -static -o "$scratch/programs/runstat" "$here/runstat.c" || die "runstat.c does not compile"
    gcc -O2 -Wall -o "$scratch/programs/responder" "$here/responder.c" || die "responder.c does not compile"
    # Of this namespace: room for as many connections at a time as anybody wants.
    sysctl -qw net.ipv4.ip_local_port_range="10000 65000" net.core.somaxconn=16384 \
        net.ipv4.tcp_max_syn_backlog=16384 || die "the namespace could not be set up"
    ulimit -n "$(ulimit -Hn)"
    # As many as there are processors: who is measured is not to wait for them.
    local number
    for number in $(seq "$(nproc)"); do
        "$scratch/programs/responder" 1723 >"$scratch/responder.$number" &
        own+=($!)
        for _ in $(seq 100); do
            grep -q ready "$scratch/responder.$number" && break
            sleep 0.05
        done
        grep -q ready "$scratch/responder.$number" || die "the responder does not listen"
    done
    addresses "$targets" >"$scratch/targets"
    addresses "$many" >"$scratch/many"
    sweep_beside "$rounds" "$targets"
    sweep_memory "$many"
    sweep_sessions "$sessions"
}

# addresses COUNT: of loopback, one a line.
addresses() {
    awk -v count="$1" 'BEGIN {
        for (i = 0; i < count; i++) printf "127.%d.%d.%d\n", 1 + int(i / 62500), int(i / 250) % 250, 1 + i % 250 }'
}

# sweep_beside ROUNDS COUNT: everybody has the same list, in turn.
sweep_beside() {
    local ours=("$checks/check_pptp_control" --targets "$scratch/targets")
    # To speak to none of them would be fast.
    "${ours[@]}" | grep -q "OK - $2 of $2 gateways ok" || die "not every gateway was well"
    local answers
    answers=$(nmap -n -Pn -sT -T5 --script pptp-version -p1723 -iL "$scratch/targets" 2>/dev/null |
        grep -c '^Service Info: Host: local')
    [ "$answers" = "$2" ] || die "nmap's script got $answers answers"
    "$scratch/programs/runstat" -n "$1" -w 1 \
        "nmap pptp-version" nmap -n -Pn -sT -T5 --script pptp-version -p1723 -iL "$scratch/targets" \
        ::: "nmap -sT" nmap -n -Pn -sT -T5 -p1723 -iL "$scratch/targets" \
        ::: "check_pptp_control" "${ours[@]}" >"$scratch/rows" || die "runstat failed"
    echo "$2 gateways, medians of $1 interleaved rounds"
    awk -F'\t' -v count="$2" '
        $2 != 0 { print $1 " ended with status " $2; exit 1 }
        NR == 1 { printf "%-20s %11s %13s %11s\n", "", "targets/s", "CPU us/target", "peak kB" }
        { printf "%-20s %11.0f %13.1f %11.0f\n", $1, count * 1000 / $3, $4 * 1000 / count, $5 }' \
        "$scratch/rows" || die "a row that fails is not a measurement"
    awk -F'\t' '{ wall[NR] = $3 } END { print wall[1] / wall[3], wall[2] / wall[3] }' "$scratch/rows" >"$scratch/times"
    local script bare
    read -r script bare <"$scratch/times"
    printf '%-34s %10.2f %10s  %s\n' "rate / nmap pptp-version" "$script" 7 "$(at_least "$script" 7)" \
        "rate / nmap -sT" "$bare" 1.2 "$(at_least "$bare" 1.2)"
}

# at_least MEASURED LIMIT: a word beside the figure.
at_least() { awk -v measured="$1" -v limit="$2" 'BEGIN { print (measured >= limit) ? "within" : "BELOW" }'; }

sweep_memory() {
    local format peak
    for format in nagios json prometheus zabbix influx; do
        "$scratch/programs/runstat" -n 1 -w 0 run "$checks/check_pptp_control" --targets "$scratch/many" \
            -o $format --max-series 1000000 >"$scratch/rows" || die "runstat failed"
        awk -F'\t' '{ exit $2 != 0 }' "$scratch/rows" || die "the run for $format failed"
        peak=$(cut -f5 "$scratch/rows")
        printf '%-34s %10.0f %10s  %s\n' "$1 targets, $format, peak kB" "$peak" 102400 "$(verdict "$peak" 102400)"
    done
}

# sweep_sessions COUNT: logins that all stand at once, since the gateway lets
# none of them in before it has seen the last one's call.
sweep_sessions() {
    local lab said count
    for count in $(seq "$1"); do echo "127.0.0.1 --name n$count"; done >"$scratch/logins"
    "$checks/pptp-lab" serve --port 1724 --control "$scratch/lab" >"$scratch/lab.out" 2>&1 &
    lab=$!
    own+=("$lab")
    for _ in $(seq 100); do
        "$checks/pptp-lab" ctl --control "$scratch/lab" sessions >/dev/null 2>&1 && break
        sleep 0.05
    done
    "$checks/pptp-lab" ctl --control "$scratch/lab" fault delay=ipcp:2000 >/dev/null || die "the lab does not run"
    PW=Pr0be-secret "$checks/check_pptp_auth" --targets "$scratch/logins" -p 1724 -u probe --password-env PW \
        >"$scratch/said" &
    local check=$! most=0
    for _ in $(seq 150); do
        count=$("$checks/pptp-lab" ctl --control "$scratch/lab" sessions | grep -c '127.0.0.1')
        [ "$count" -le "$most" ] || most=$count
        kill -0 $check 2>/dev/null || break
        sleep 0.02
    done
    wait $check
    said=$(head -n 1 "$scratch/said")
    echo "${said%%|*}"
    printf '%-34s %10d %10d  %s\n' "sessions that stood at once" "$most" "$1" "$(at_least "$most" "$1")"
}
