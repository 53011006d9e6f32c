# shellcheck shell=bash disable=SC2154,SC1090
# Sourced by the init scripts that run as process 1 of a guest.  The guest's
# root is the host's own file system, read-only, through hostfs; everything a
# guest writes goes to tmpfs, except the state directory it shares with the
# host, mounted at /run/state.

export PATH=/usr/sbin:/usr/bin:/sbin:/bin
exec </dev/null >/dev/console 2>&1
bb() { busybox "$@"; }

guest_mounts() {
    mount -t proc proc /proc
    mount -t sysfs sysfs /sys
    mount -t devtmpfs devtmpfs /dev 2>/dev/null
    mkdir -p /dev/pts /dev/shm
    [ -e /dev/fd ] || ln -s /proc/self/fd /dev/fd
    mount -t devpts devpts /dev/pts
    mount -t tmpfs tmpfs /tmp
    # Whoever else may write there, logrotate does not touch it.
    for d in /run /var/log /etc/ppp; do mount -t tmpfs -o mode=755 tmpfs "$d"; done
    mkdir -p /run/state /run/lock /run/path
    mount -t hostfs hostfs /run/state -o "$tb_state"
    # shellcheck disable=SC1091
    . "/run/state/$tb_role.env"
    hostname "$tb_role"
    printf '127.0.0.1 localhost\n%s gateway\n%s client\n%s host\n' \
        "$GATEWAY" "$CLIENT" "$HOSTADDR" >/run/hosts
    mount --bind /run/hosts /etc/hosts
    : >/run/utmp
}

# No kmod in the guest: resolve modules.dep by hand.  A line there reads
# "module: dep1 dep2 ..." with the last dependency to be loaded first.
guest_modules() {
    local root=/usr/lib/uml/modules line want file deps list i rc=0
    root+=/$(uname -r)
    for want; do
        deps=
        while read -r line; do
            case ${line%%:*} in */"$want".ko) deps=${line/:/ }; break ;; esac
        done <"$root/modules.dep"
        [ -n "$deps" ] || { echo "no module $want"; rc=1; continue; }
        read -ra list <<<"$deps"
        for ((i = ${#list[@]} - 1; i >= 0; i--)); do
            file=${list[i]##*/}
            file=${file%.ko}
            [ ! -d "/sys/module/${file//-/_}" ] || continue
            case $file in ifb) file+=.ko\ numifbs=0 ;; *) file+=.ko ;; esac
            # shellcheck disable=SC2086
            ( cd "$root/${list[i]%/*}" && bb insmod $file ) ||
                { sleep 0.2 && cd "$root/${list[i]%/*}" && bb insmod $file; } ||
                { echo "module $want: $file does not load"; rc=1; }
            cd /
        done
    done
    return $rc
}

# syslog_rules DIRECTORY: rsyslog writes each line twice: in the traditional
# format and with RFC 3339 time stamps (the default of Debian 12).
syslog_rules() {
    cat <<CONF
global(workDirectory="/run")
template(name="trad" type="string" string="%timegenerated% %HOSTNAME% %syslogtag%%msg:::sp-if-no-1st-sp%%msg:::drop-last-lf%\n")
*.* action(type="omfile" file="$1.log" template="trad")
*.* action(type="omfile" file="$1.rfc3339.log" template="RSYSLOG_FileFormat")
CONF
}

guest_syslog() {
    {
        echo 'module(load="imuxsock" SysSock.UseSpecialParser="on")'
        syslog_rules "/run/state/$tb_role"
    } >/run/rsyslog.conf
    if command -v rsyslogd >/dev/null; then
        rsyslogd -f /run/rsyslog.conf -i /run/rsyslogd.pid
    else
        bb syslogd -O "/run/state/$tb_role.log"
    fi
}

# guest_journal: as in Debian, journald takes what is logged and hands it on to
# rsyslog. That writes to /var/log too, where it can be rotated, in RFC 5424's
# format as well. journald wants a control group hierarchy and a machine's number,
# but no systemd.
guest_journal() {
    mount -t cgroup2 cgroup2 /sys/fs/cgroup || return
    # journald does not wait: what rsyslog has no room for is lost to it.
    echo 1024 >/proc/sys/net/unix/max_dgram_qlen
    # The host's own may be empty.
    echo 5b1c2ae05f8e4a9b9f6d1f4f3c2d1e0a >/run/machine-id
    mount --bind /run/machine-id /etc/machine-id || return
    mkdir -p /run/systemd/journal /run/systemd/journald.conf.d
    printf '[Journal]\n%s\n' ForwardToSyslog=yes ReadKMsg=no RateLimitIntervalSec=0 RuntimeMaxUse=16M \
        >/run/systemd/journald.conf.d/bed.conf
    {
        echo 'module(load="imuxsock" SysSock.Name="/run/systemd/journal/syslog" SysSock.UseSpecialParser="on")'
        echo 'module(load="builtin:omfile" fileGroup="adm" fileCreateMode="0640")'
        syslog_rules "/run/state/$tb_role"
        syslog_rules /var/log/gateway | grep action
        echo '*.* action(type="omfile" file="/var/log/gateway.rfc5424.log" template="RSYSLOG_SyslogProtocol23Format")'
    } >/run/rsyslog.conf
    rsyslogd -f /run/rsyslog.conf -i /run/rsyslogd.pid
    setsid /lib/systemd/systemd-journald </dev/null >/dev/console 2>&1 &
    wait_until test -S /run/systemd/journal/dev-log || return
    ln -s /run/systemd/journal/dev-log /dev/log
}

guest_network() {
    ip link set lo up
    ip addr add "$1/24" dev vec0
    ip link set vec0 up
}

# Filters sit in tc, below the IP stack, so that neither the guest's own
# sockets nor its connection tracking notice that a packet was dropped.
clsact() {
    guest_modules sch_ingress cls_u32 act_gact
    tc qdisc show dev vec0 | grep -q clsact || tc qdisc add dev vec0 clsact
}

# path_condition NAME OUT IN: delay in milliseconds, loss in per cent or rate in
# kbit/s of what this guest sends and receives, the latter through an ifb device;
# 0 is none.  They are one netem queue a direction, so the others are kept.
path_condition() {
    local condition unit out in sends='' receives=''
    [ -d /sys/module/sch_netem ] || [ "$2$3" != 00 ] || return 0
    echo "$2 $3" >"/run/path/$1"
    for condition in delay:ms loss:% rate:kbit; do
        unit=${condition#*:} condition=${condition%:*}
        { read -r out in <"/run/path/$condition"; } 2>/dev/null || continue
        [ "$out" = 0 ] || sends+=" $condition $out$unit"
        [ "$in" = 0 ] || receives+=" $condition $in$unit"
    done
    guest_modules sch_netem
    tc qdisc del dev vec0 root 2>/dev/null
    tc filter del dev vec0 ingress pref 90 2>/dev/null
    # shellcheck disable=SC2086
    [ -z "$sends" ] || tc qdisc add dev vec0 root netem $sends limit 10000 || return
    [ -n "$receives" ] || return 0
    guest_modules ifb cls_matchall act_mirred
    clsact
    ip link show ifb0 >/dev/null 2>&1 || ip link add ifb0 type ifb
    ip link set ifb0 up
    tc filter add dev vec0 ingress pref 90 matchall action mirred egress redirect dev ifb0
    # shellcheck disable=SC2086
    tc qdisc replace dev ifb0 root netem $receives limit 10000
}

# drop PREF WHAT MATCH...: drop what matches (a tc classifier and its words), WHAT
# being in, out, both or off.
drop() {
    local pref=$1 what=$2 hook
    shift 2
    case $what in
    in) what=ingress ;;
    out) what=egress ;;
    both) what='ingress egress' ;;
    off) what= ;;
    *) echo "in, out, both or off"; return 2 ;;
    esac
    clsact
    for hook in ingress egress; do tc filter del dev vec0 "$hook" pref "$pref" 2>/dev/null; done
    for hook in $what; do
        tc filter add dev vec0 "$hook" pref "$pref" protocol ip "$@" action drop
    done
}
block_gre() { drop 10 "$1" u32 match ip protocol 47 0xff; }
# The gateway's port is the destination of what comes in, the source of what
# goes out: one filter for each.
block_tcp() {
    local in=off out=off
    case $1 in
    in) in=in ;;
    out) out=out ;;
    both) in=in out=out ;;
    off) ;;
    *) echo "in, out, both or off"; return 2 ;;
    esac
    drop 20 "$in" u32 match ip protocol 6 0xff match ip dport 1723 0xffff
    drop 21 "$out" u32 match ip protocol 6 0xff match ip sport 1723 0xffff
}

# nap SECONDS: without the fork that sleep would cost.
nap() {
    [ -n "${nap_fd:-}" ] || exec {nap_fd}<> <(:)
    read -rt "$1" -u "$nap_fd" || :
}

# wait_until COMMAND...: up to 5 s.
wait_until() {
    local t
    for ((t = 0; t < 250; t++)); do
        "$@" && return
        nap 0.02
    done
    return 1
}

# The command channel: a CGI program that runs the posted script.
guest_agent() {
    mkdir -p /run/agent/cgi-bin
    cat >/run/agent/cgi-bin/run <<'CGI'
#!/bin/bash
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
printf 'Content-Type: text/plain\r\n\r\n'
f=$(mktemp /run/agent/cmd.XXXXXX)
head -c "${CONTENT_LENGTH:-0}" >"$f"
. /run/agent/env
. /run/agent/functions
( . "$f" ) </dev/null 2>&1
printf '\n#rc=%d\n' $?
rm -f "$f"
CGI
    chmod +x /run/agent/cgi-bin/run
    declare -f >/run/agent/functions
    cp "/run/state/$tb_role.env" /run/agent/env
    bb httpd -p "$1:8079" -h /run/agent
}

# A guest that lacks something does not become ready; up shows its console.
guest_fail() {
    echo "guest: $*"
    sleep 1
    poweroff -f
    busybox poweroff -f
}

guest_idle() {
    : >"/run/state/$tb_role.ready"
    while :; do sleep 3600 & wait $!; done
}
