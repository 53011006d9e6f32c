
OUT=${TMPDIR:-/tmp}/pptp-monitor.$$
mkdir "$OUT" || exit 1
trap 'rm -rf "$OUT"' EXIT
trap 'exit 1' HUP INT TERM
mkdir "$OUT/pptp-monitor"

unread() {
    printf 'unread %s: %s\n' "$1" "$2" >> "$OUT/$MANIFEST"
}

# What the awk programs below share: the quotes and comments of pppd.
pppd_options() {
    awk -v secrets="$SECRET_OPTIONS" '
    BEGIN { n = split(secrets, list, " "); for (i = 1; i <= n; i++) secret[list[i]] = 1 }
    {
        begun = quote; text = ""; open = 0
        for (i = 1; i <= length($0); i++) {
            c = substr($0, i, 1)
            if (c == "\\") { text = text substr($0, i, 2); open = (i == length($0)); i++; continue }
            if (quote != "") { if (c == quote) quote = "" }
            else if (c == "\"" || c == "\047") quote = c
            else if (c == "#") break
            text = text c
        }
        goes_on = (quote != "" || open)
        if (hidden) { print ""; hidden = goes_on; next }
        if (begun == "" && text ~ /^[ \t]*$/) { print ""; next }
        if (waits) { print "********"; waits = 0; hidden = goes_on; next }
        n = split(text, word, /[ \t]+/); shown = ""
        for (i = 1; i <= n; i++) {
            if (word[i] == "") continue
            name = word[i]; gsub(/["\047\\]/, "", name)
            shown = shown word[i] " "
            if (name in secret) {
                for (rest = i + 1; rest <= n && word[rest] == ""; rest++) ;
                if (rest <= n) { shown = shown "********"; hidden = goes_on } else waits = 1
                text = shown
                break
            }
        }
        print text
    }'
}

pptpd_conf() {
    sed 's/^[# 	].*//'
}

accel_ppp_conf() {
    awk '
    { line = $0; sub(/^[ \t]+/, "", line); sub(/[ \t]+$/, "", line) }
    line == "" || line ~ /^#/ { print ""; next }
    line ~ /^\$include/ { print line; next }
    line ~ /^\[/ {
        section = substr(line, 2); sub(/\].*/, "", section); depth = 0
        print "[" section "]"; next
    }
    line ~ /^[}]/ { if (depth > 0) depth--; print "}"; next }
    {
        name = line; sub(/[ \t=].*/, "", name)
        value = substr(line, length(name) + 1); sub(/^[ \t]+/, "", value)
        has = (value ~ /^[=,]/)
        if (has) { value = substr(value, 2); sub(/^[ \t]+/, "", value) }
        inner = depth > 0
        if (has && value ~ /[{]$/) depth++
        if (inner) { print (value ~ /[{]$/ ? "option={" : ""); next }
        if (!has) { print name; next }
        low = tolower(name); comma = index(value, ",")
        if (low ~ /secret|passw/ && !(section == "chap-secrets" && name == "chap-secrets"))
            value = "********"
        else if ((section == "radius" || section == "") && low ~ /server/ && comma)
            value = substr(value, 1, comma) "********"
        print name "=" value
    }'
}

gre_flows() {
    awk '$1 == "ipv4" && $3 == "gre"'
}

command_line() {
    tr '\0' '\n' | awk -v secrets="$SECRET_OPTIONS" '
    BEGIN { n = split(secrets, list, " "); for (i = 1; i <= n; i++) secret[list[i]] = 1 }
    { print (hide ? "********" : $0); hide = ($0 in secret) }' | tr '\n' '\0'
}

# take PATH FILTER: false where it was taken before, or cannot be.
take() {
    case "/$1/" in */../*) unread "$1" 'its path is not plain'; return 1;; esac
    if [ -e "$OUT/$1" ] || [ ! -e "$ROOT/$1" ]; then return 1; fi
    if [ ! -f "$ROOT/$1" ]; then unread "$1" 'this is no regular file'; return 1; fi
    if [ ! -r "$ROOT/$1" ]; then unread "$1" 'Permission denied'; return 1; fi
    mkdir -p "$OUT/${1%/*}"
    if "$2" 2> /dev/null < "$ROOT/$1" > "$OUT/$1"; then
        touch -r "$ROOT/$1" "$OUT/$1" 2> /dev/null
        return 0
    fi
    rm -f "$OUT/$1"
    unread "$1" 'it could not be read'
    return 1
}

take_pppd() {
    take "${1#/}" pppd_options || return 0
    for more in $(awk '{ for (i = 1; i < NF; i++) {
        if ($i == "file") print $(i + 1)
        if ($i == "call") print "/etc/ppp/peers/" $(i + 1)
    } }' "$OUT/${1#/}" | tr -d '"\047'); do take_pppd "$more"; done
}

take_pptpd() {
    take "${1#/}" pptpd_conf || return 0
    for more in $(awk '$1 == "option" { print $2 }' "$OUT/${1#/}"); do take_pppd "$more"; done
}

take_accel_ppp() {
    take "${1#/}" accel_ppp_conf || return 0
    for more in $(awk '$1 == "$include" { print $2 }' "$OUT/${1#/}"); do
        take_accel_ppp "$more"
    done
}

# words_behind PID WORD...: what stands behind these words of a command line.
words_behind() {
    tr '\0' '\n' < "$OUT/proc/$1/cmdline" | awk -v wanted=" $2 " '
    taken { print; taken = 0; next }
    { taken = index(wanted, " " $0 " ") }
    /^--(conf|config|option)=/ && index(wanted, " " substr($0, 1, index($0, "=") - 1) " ") {
        print substr($0, index($0, "=") + 1)
    }'
}

set +f
cd "$ROOT/" || exit 1
whole=$(for pattern in $WHOLE; do echo "$pattern"; done)
pids=$(for place in proc/[0-9]*; do echo "${place#proc/}"; done)
set -f
for path in $whole; do take "$path" cat; done
for path in $GRE; do take "$path" gre_flows; done
for pid in $pids; do
    line=$(cat "$ROOT/proc/$pid/stat" 2> /dev/null)
    for daemon in $DAEMONS; do
        case $line in "$pid ($daemon) "*) ;; *) continue;; esac
        for name in $OF_PROCESS; do
            case $name in
                cmdline) take "proc/$pid/$name" command_line;;
                *) take "proc/$pid/$name" cat;;
            esac
        done
        [ -e "$OUT/proc/$pid/cmdline" ] || continue
        case $daemon in
            pptpd)
                for path in $(words_behind "$pid" '-c --conf'); do take_pptpd "$path"; done
                for path in $(words_behind "$pid" '-o --option'); do take_pppd "$path"; done;;
            pppd)
                for path in $(words_behind "$pid" file); do take_pppd "$path"; done
                for path in $(words_behind "$pid" call); do
                    take_pppd "/etc/ppp/peers/$path"
                done;;
            accel-pppd)
                for path in $(words_behind "$pid" '-c --config'); do
                    take_accel_ppp "$path"
                done;;
        esac
    done
done
for path in $PPTPD; do take_pptpd "$path"; done
for path in $PPPD; do take_pppd "$path"; done
for path in $ACCEL_PPP; do take_accel_ppp "$path"; done

# Kernels without the table in /proc.
if [ -z "$ROOT" ] && [ ! -e "/$GRE" ] && [ -e /proc/sys/net/netfilter/nf_conntrack_count ]; then
    mkdir -p "$OUT/${GRE%/*}"
    conntrack -L -p gre -o extended > "$OUT/$GRE" 2> /dev/null || {
        rm -f "$OUT/$GRE"
        unread "$GRE" 'conntrack(8) is not installed, or this was not root'
    }
fi

for path in $SECRET_FILES $(cat "$OUT/etc/accel-ppp.conf" 2> /dev/null |
    awk -F = '/^\[/ { section = $0 } section == "[chap-secrets]" && $1 == "chap-secrets" { print $2 }'); do
    path=${path#/}
    [ -f "$ROOT/$path" ] || continue
    ls -lnL "$ROOT/$path" | awk -v path="/$path" '{ print substr($1, 1, 10), $3, path }'
done > "$OUT/$SECRETS_LIST"

# Asking would load a module that is not there.
has_nft() {
    [ -e "/lib/modules/$RELEASE/modules.builtin" ] || return 0
    grep -q '^nf_tables ' /proc/modules || grep -q '/nf_tables.ko' "/lib/modules/$RELEASE/modules.builtin"
}

# ask nft|legacy FILE 'PROGRAM...' ARGUMENT...
ask() {
    [ -z "$ROOT" ] || return 0
    kind=$1; file=$2; programs=$3
    shift 3
    if [ "$kind" = nft ]; then
        has_nft || return 0
        case $programs in
            iptables*) grep -q '"xt"' "$OUT/pptp-monitor/nft.txt" 2> /dev/null || return 0;;
        esac
    elif [ -r /proc/net/ip_tables_names ]; then
        [ -n "$(cat /proc/net/ip_tables_names)" ] || return 0
    elif [ -e /proc/net/ip_tables_names ]; then
        unread "$file" 'Permission denied'
        return 0
    else
        return 0
    fi
    for program in $programs; do
        command -v "$program" > /dev/null || continue
        if ! "$program" "$@" > "$OUT/$file" 2> "$OUT/why" < /dev/null; then
            rm -f "$OUT/$file"
            case $kind$(head -n 1 "$OUT/why") in
                # What a kernel without nf_tables says.
                nft*'Invalid argument'*) : > "$OUT/$file";;
                *) unread "$file" "$program: $(head -n 1 "$OUT/why")";;
            esac
        fi
        rm -f "$OUT/why"
        return 0
    done
    unread "$file" "${programs%% *} is not installed"
}

finish() {
    {
        echo "collected $(date -u +%Y-%m-%dT%H:%M:%SZ)"
        echo "kernel $RELEASE"
        echo "uid $(id -u)"
        echo "files $(find "$OUT" -type f | wc -l)"
        cat "$OUT/$MANIFEST" 2> /dev/null
    } > "$OUT/pptp-monitor/all"
    mv "$OUT/pptp-monitor/all" "$OUT/$MANIFEST"
    tar -cf - -C "$OUT" .
}

