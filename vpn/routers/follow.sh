#!/bin/sh
# Keeps this router's WireGuard tunnel as the VPN portal has it.
#
#   follow enrol          enrol; the portal's address and the token come on standard input
#   follow run DEVICE     one check-in: apply what changed, and go back to the former configuration if that fails
#   follow cron DEVICE    the same, after a short random time
#   follow end DEVICE     take the tunnel down and forget the router's keys
#
# Files of a tunnel, below DIR/DEVICE: portal, token, key, current, former, pending, refused. They are for root alone.
umask 077
VERSION=1
DIR=${VPN_PORTAL_DIR:-/etc/vpn-portal}
RUN=${VPN_PORTAL_RUN:-/run/vpn-portal}
ROLLBACK=${VPN_PORTAL_ROLLBACK_SECONDS:-120}
SCHEDULE=${VPN_PORTAL_SCHEDULE:-yes}
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
export PATH WG_ENDPOINT_RESOLUTION_RETRIES=3

log() {
    echo "vpn-portal: $*" >&2
    [ -n "${INVOCATION_ID:-}" ] || logger -t vpn-portal -- "$*" 2>/dev/null || :
}

stop() {
    log "$*"
    exit 1
}

# The first value of a word in a configuration, or all of them.
value() {
    sed -n "/^\[Peer\]/q; s/^$1 //p" "$2" 2>/dev/null | head -n 1
}

values() {
    sed -n "/^\[Peer\]/q; s/^$1 //p" "$2" 2>/dev/null
}

# --- What it says to the portal

# A text as JSON: printable ASCII alone, at most 200 characters.
json_text() {
    printf '"%s"' "$(printf '%s' "$1" | LC_ALL=C tr -cd '\040-\176' | cut -c 1-200 | sed 's/[\\"]/\\&/g')"
}

# Lines as a list in JSON, at most 50.
json_list() {
    head -n 50 | {
        list=""
        while read -r item; do list="$list${list:+,}$(json_text "$item")"; done
        printf '[%s]' "$list"
    }
}

# send PATH TOKEN_FILE BODY ANSWER: POST a file; STATUS is the answer's, or 000.
send() {
    portal=$(cat "$home/portal")
    STATUS=000
    if command -v curl >/dev/null 2>&1; then
        {
            printf 'header = "Authorization: Bearer %s"\n' "$(cat "$2")"
            [ ! -f "$home/ca.pem" ] || printf 'cacert = "%s"\n' "$home/ca.pem"
        } >"$home/ask"
        STATUS=$(curl --config "$home/ask" --silent --show-error --max-time 60 --proto "=${portal%%:*}" \
            --header 'Content-Type: application/json' --data-binary "@$3" --output "$4" \
            --write-out '%{http_code}' "$portal/api/v1/vpn/router/$1")
    else
        {
            printf 'header = Authorization: Bearer %s\n' "$(cat "$2")"
            [ ! -f "$home/ca.pem" ] || printf 'ca_certificate = %s\n' "$home/ca.pem"
        } >"$home/ask"
        wget --config="$home/ask" --no-verbose --server-response --content-on-error --max-redirect=0 --tries=1 \
            --timeout=60 --header='Content-Type: application/json' --post-file="$3" --output-document="$4" \
            "$portal/api/v1/vpn/router/$1" 2>"$home/heard"
        STATUS=$(sed -n 's/^ *HTTP\/[0-9.]* \([0-9]*\).*/\1/p' "$home/heard" | tail -n 1)
        [ -n "$STATUS" ] || cat "$home/heard" >&2
    fi
    STATUS=${STATUS:-000}
    rm -f "$home/ask" "$home/heard"
}

model() {
    for file in /sys/firmware/devicetree/base/model /sys/class/dmi/id/product_name; do
        [ -r "$file" ] && tr -d '\000' <"$file" && return
    done
    uname -m
}

# The networks on this router's own interfaces, but those on the way to the internet.
subnets() {
    away=$({ ip -4 route show default; ip -6 route show default; } 2>/dev/null |
        sed -n 's/.* dev \([^ ]*\).*/\1/p' | sort -u)
    { ip -4 route show proto kernel; ip -6 route show proto kernel; } 2>/dev/null |
        while read -r network rest; do
            device=$(echo "$rest " | sed -n 's/.*dev \([^ ]*\) .*/\1/p')
            case $network in */*) ;; *) continue ;; esac
            case $network in fe80:* | ff* | 127.* | 169.254.*) continue ;; esac
            case $device in lo | vpn_*) continue ;; esac
            case " $(echo $away) " in *" $device "*) continue ;; esac
            echo "$network"
        done | sort -u
}

addresses() {
    ip -o address show scope global 2>/dev/null | while read -r _ device _ address _; do
        case $device in vpn_*) ;; *) echo "${address%/*}" ;; esac
    done | head -n 20
}

# Seconds since 1970 of the last handshake; 0 for none.
handshake() {
    wg show "$device" latest-handshakes 2>/dev/null | { read -r _ at && echo "$at" || echo 0; }
}

# --- Applying

# The lines that make a session: a change of them needs a new one.
session_of() {
    sed -n '/^\[Peer\]/,$p' "$1" 2>/dev/null | grep -E '^(PublicKey|PresharedKey|Endpoint) ='
}

# Make what the kernel has as the file says. What the file does not name goes.
apply() {
    made=""
    if ! ip link show dev "$device" >/dev/null 2>&1; then
        ip link add dev "$device" type wireguard 2>/dev/null || wireguard-go "$device" || return 1
        made=yes
    fi
    {
        echo "[Interface]"
        printf 'PrivateKey = %s\n' "$(cat "$home/key")"
        sed -n '/^\[Peer\]/,$p' "$1"
    } >"$RUN/$device.conf"
    if [ "$(session_of "$1")" != "$(session_of "$home/applied")" ]; then
        # A new session at once, so that a broken one shows at once.
        for key in $(wg show "$device" peers); do wg set "$device" peer "$key" remove; done
    fi
    wg syncconf "$device" "$RUN/$device.conf" || return 1
    rm -f "$RUN/$device.conf"
    forward
    ip link set dev "$device" mtu "$(value mtu "$1")" up || return 1
    set_addresses "$1" && set_routes "$1" || return 1
    cp "$1" "$home/applied"
    [ -z "$made" ] || log "The tunnel $device is up."
}

# A router that forwards IPv6 keeps a default route of router advertisements only if accept_ra is 2.
forward() {
    [ "$(cat /proc/sys/net/ipv4/ip_forward)" = 1 ] || echo 1 >/proc/sys/net/ipv4/ip_forward
    [ -e /proc/sys/net/ipv6/conf/all/forwarding ] || return 0
    [ "$(cat /proc/sys/net/ipv6/conf/all/forwarding)" = 0 ] || return 0
    for file in /proc/sys/net/ipv6/conf/*/accept_ra; do
        [ "$(cat "$file")" != 1 ] || echo 2 >"$file"
    done
    echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
}

set_addresses() {
    wanted=$(values address "$1")
    for address in $wanted; do
        ip address show dev "$device" | grep -qF " $address " || ip address add "$address" dev "$device" || return 1
    done
    ip -o address show dev "$device" scope global | while read -r _ _ _ address _; do
        echo "$wanted" | grep -qxF "$address" || ip address del "$address" dev "$device"
    done
}

set_routes() {
    wanted=$(values route "$1")
    metric=$(value metric "$1")
    for network in $wanted; do
        ip "$(family "$network")" route replace "$network" dev "$device" metric "$metric" || return 1
    done
    drop_routes -4 32
    drop_routes -6 128
}

family() {
    case $1 in *:*) echo -6 ;; *) echo -4 ;; esac
}

# Withdrawn routes go. ip(8) shows a single address without its prefix length.
drop_routes() {
    ip "$1" route show dev "$device" 2>/dev/null | while read -r network rest; do
        case $rest in *"proto kernel"*) continue ;; esac
        case $network in */*) full=$network ;; *) full=$network/$2 ;; esac
        echo "$wanted" | grep -qxF "$full" || ip "$1" route del "$network" dev "$device"
    done
    return 0
}

# Wait for the hub's answer; else go back to the former configuration.
settle() {
    read -r since fingerprint <"$home/pending" || since=$(date +%s)
    waited=0
    while [ "$waited" -lt "$ROLLBACK" ]; do
        if [ "$(handshake)" -ge "$since" ] ||
            ping -c 1 -W 1 -I "$device" "$(value hub "$home/current")" >/dev/null 2>&1; then
            rm -f "$home/pending" "$home/former"
            return
        fi
        sleep 1
        waited=$((waited + 1))
    done
    if [ -f "$home/former" ]; then
        go_back no-handshake
    else
        rm -f "$home/pending"
        log "There was no handshake with the hub in $ROLLBACK seconds. The tunnel goes on trying."
    fi
}

go_back() {
    echo "$(value fingerprint "$home/current") $1" >"$home/refused"
    mv "$home/former" "$home/current"
    rm -f "$home/pending"
    log "The new configuration failed ($1): back to the former one."
    apply "$home/current" || {
        # The next run tries again.
        rm -f "$home/applied"
        log "The former configuration could not be applied."
    }
}

# --- Following

# The token of an answer, in place of the former one; the rest is its configuration.
take_token() {
    sed '/^token /d' "$1" >"$home/new" && is_whole "$home/new" || return 1
    if [ -n "$(value token "$1")" ]; then
        value token "$1" >"$home/token.new" && [ "$(cat "$home/token.new")" = "$(value token "$1")" ] || return 1
        # On the disk before it takes the former one's place.
        sync
        mv "$home/token.new" "$home/token"
    fi
}

is_whole() {
    [ "$(head -n 1 "$1" 2>/dev/null)" = "# vpn-portal 1" ] && [ "$(tail -n 1 "$1")" = "# end" ]
}

take() {
    is_whole "$home/answer" || { log "The portal's answer cannot be read."; return 1; }
    take_token "$home/answer" || { log "The portal's answer cannot be stored in $home."; return 1; }
    # Without a fingerprint it was a new token alone.
    case $(value fingerprint "$home/new") in "" | "$(value fingerprint "$home/current")") return 1 ;; esac
    before=$(value interval "$home/current")
    if ! cp "$home/current" "$home/former.new" || ! mv "$home/former.new" "$home/former" ||
        ! echo "$(date +%s) $(value fingerprint "$home/new")" >"$home/pending"; then
        rm -f "$home/former.new" "$home/former" "$home/pending"
        log "The former configuration cannot be kept in $home, so the new one waits."
        return 1
    fi
    mv "$home/new" "$home/current"
    if ! apply "$home/current"; then
        go_back not-applied
        return 0
    fi
    log "A new configuration is in use."
    [ "$before" = "$(value interval "$home/current")" ] || schedule
    settle
}

report() {
    at=$(handshake)
    age=null
    [ "$at" -gt 0 ] && age=$(($(date +%s) - at))
    [ "$age" = null ] || [ "$age" -ge 0 ] || age=0
    # A handshake from before the clock was set.
    [ "$age" = null ] || [ "$age" -lt 1000000000 ] || age=null
    printf '{"version": %s, "applied": %s, "handshake_age": %s, "addresses": %s' "$VERSION" \
        "$(json_text "$(value fingerprint "$home/applied")")" "$age" "$(addresses | json_list)"
    if [ -f "$home/refused" ]; then
        read -r fingerprint why <"$home/refused"
        printf ', "rolled_back": {"fingerprint": %s, "why": %s}' "$(json_text "$fingerprint")" "$(json_text "$why")"
    fi
    printf '}\n'
}

# One question. True if something changed, which the portal should hear at once.
check_in() {
    report >"$home/report"
    rm -f "$home/answer"
    send check-in "$home/token" "$home/report" "$home/answer"
    date +%s >"$RUN/$device.asked"
    changed=1
    case $STATUS in
        304) rm -f "$home/refused" ;;
        200)
            rm -f "$home/refused"
            take && changed=0
            ;;
        410)
            log "The portal has ended this router: its tunnel goes down."
            end
            exit 0
            ;;
        401) log "The portal does not know this router's token. The tunnel stays as it is; enrol again." ;;
        *) log "The portal did not answer as expected ($STATUS). The tunnel stays as it is." ;;
    esac
    rm -f "$home/answer" "$home/report" "$home/new" "$home/token.new"
    return $changed
}

# One run at a time for each tunnel.
lock() {
    mkdir -p "$RUN" || stop "The folder $RUN cannot be made."
    if ! mkdir "$RUN/$device.lock" 2>/dev/null; then
        # Another program may have the number of a run that was killed.
        grep -qs follow "/proc/$(cat "$RUN/$device.lock/pid" 2>/dev/null)/cmdline" && exit 0
    fi
    echo $$ >"$RUN/$device.lock/pid"
    trap 'rm -rf "$RUN/$device.lock"' EXIT
    trap 'exit 1' INT TERM HUP
}

run() {
    [ -f "$home/current" ] || stop "There is no tunnel $device here."
    lock
    ip link show dev "$device" >/dev/null 2>&1 || rm -f "$home/applied"
    if [ "$(value fingerprint "$home/applied")" != "$(value fingerprint "$home/current")" ]; then
        apply "$home/current" || log "The tunnel $device could not be made."
    elif [ $(($(date +%s) - $(handshake))) -gt 150 ]; then
        # The hub's name may have another address by now.
        peer=$(sed -n 's/^PublicKey = //p' "$home/current")
        wg set "$device" peer "$peer" endpoint "$(sed -n 's/^Endpoint = //p' "$home/current")" 2>/dev/null
    fi
    [ ! -f "$home/pending" ] || settle
    ! check_in || check_in || :
}

# cron runs once a minute: wait up to ten seconds, and leave out runs of a longer interval.
run_by_cron() {
    asked=$(cat "$RUN/$device.asked" 2>/dev/null || echo 0)
    interval=$(value interval "$home/current")
    [ $(($(date +%s) - asked + 30)) -ge "${interval:-60}" ] || exit 0
    random=$(od -An -N1 -tu1 /dev/urandom 2>/dev/null)
    sleep $((${random:-0} % 10))
    run
}

# --- The schedule

schedule() {
    [ "$SCHEDULE" = yes ] || return 0
    interval=$(value interval "$home/current")
    if [ -d /run/systemd/system ]; then
        units=/etc/systemd/system
        cat >"$units/vpn-portal-$device.service" <<END_OF_UNIT
[Unit]
Description=Follow the VPN portal ($device)
After=network-online.target
Wants=network-online.target

[Service]
Type=oneshot
ExecStart=/bin/sh $DIR/follow run $device
END_OF_UNIT
        cat >"$units/vpn-portal-$device.timer" <<END_OF_UNIT
[Unit]
Description=Follow the VPN portal ($device)

[Timer]
OnBootSec=5
OnUnitActiveSec=$interval
RandomizedDelaySec=$((interval / 6))
AccuracySec=1

[Install]
WantedBy=timers.target
END_OF_UNIT
        systemctl daemon-reload && systemctl enable --quiet --now "vpn-portal-$device.timer" &&
            systemctl restart "vpn-portal-$device.timer"
    elif [ -d /etc/cron.d ]; then
        echo "* * * * * root /bin/sh $DIR/follow cron $device" >"/etc/cron.d/vpn-portal-$device"
        chmod 644 "/etc/cron.d/vpn-portal-$device"
    elif command -v crontab >/dev/null 2>&1; then
        { crontab -l 2>/dev/null | grep -v "follow cron $device\$"
            echo "* * * * * /bin/sh $DIR/follow cron $device"; } | crontab -
    else
        log "Neither systemd nor cron is here: run “sh $DIR/follow run $device” once a minute."
    fi
}

unschedule() {
    [ "$SCHEDULE" = yes ] || return 0
    rm -f "/etc/cron.d/vpn-portal-$device"
    if [ -f "/etc/systemd/system/vpn-portal-$device.timer" ]; then
        systemctl disable --quiet "vpn-portal-$device.timer"
        systemctl stop "vpn-portal-$device.timer"
        rm -f "/etc/systemd/system/vpn-portal-$device.timer" "/etc/systemd/system/vpn-portal-$device.service"
        systemctl daemon-reload
    elif command -v crontab >/dev/null 2>&1 && crontab -l 2>/dev/null | grep -q "follow cron $device\$"; then
        crontab -l | grep -v "follow cron $device\$" | crontab -
    fi
}

end() {
    ip link delete dev "$device" 2>/dev/null
    unschedule
    rm -rf "$home"
}

# --- Enrolling

# A certificate authority of the portal's own, which curl was told, is kept.
keep_authority() {
    file=${CURL_CA_BUNDLE:-${SSL_CERT_FILE:-}}
    [ -z "$file" ] || cp "$file" "$home/ca.pem" || stop "The file $file cannot be read."
}

enrol() {
    home=$(mktemp -d "$DIR/new.XXXXXX") || stop "No folder can be made in $DIR."
    trap 'rm -rf "$home"' EXIT
    trap 'exit 1' INT TERM HUP
    read -r portal && printf '%s\n' "$portal" >"$home/portal"
    read -r token && printf '%s\n' "$token" >"$home/token"
    mkdir -p "$RUN" || stop "The folder $RUN cannot be made."
    keep_authority
    if ip link add dev vpn_probe type wireguard 2>/dev/null; then
        ip link delete dev vpn_probe
    else
        command -v wireguard-go >/dev/null 2>&1 || stop "This kernel has no WireGuard, and wireguard-go is not here."
    fi
    wg genkey >"$home/key" || stop "No key can be made."
    system=$(sed -n 's/^PRETTY_NAME="\{0,1\}\([^"]*\).*/\1/p' /etc/os-release 2>/dev/null | head -n 1)
    printf '{"public_key": %s, "model": %s, "version": %s, "identity": %s, "subnets": %s}\n' \
        "$(json_text "$(wg pubkey <"$home/key")")" "$(json_text "$(model)")" \
        "$(json_text "${system:-Linux} ($(uname -r))")" "$(json_text "$(uname -n)")" "$(subnets | json_list)" \
        >"$home/report"
    send enrol "$home/token" "$home/report" "$home/answer"
    [ "$STATUS" = 200 ] || stop "The portal refused this router ($STATUS): $(cut -c 1-400 "$home/answer" 2>/dev/null)"
    is_whole "$home/answer" || stop "The portal's answer cannot be read."
    take_token "$home/answer" || stop "The portal's answer cannot be stored in $home."
    mv "$home/new" "$home/current"
    rm -f "$home/answer" "$home/report"
    settle_in
}

# Put the files in their place, in place of those of an earlier enrolment.
settle_in() {
    device=$(value device "$home/current")
    is_tunnel "$device" || stop "The portal's answer cannot be read."
    rm -rf "${DIR:?}/$device"
    mv "$home" "$DIR/$device" || stop "The folder $DIR/$device cannot be made."
    home=$DIR/$device
    trap - EXIT
    ip link delete dev "$device" 2>/dev/null
    echo "$(date +%s) -" >"$home/pending"
    schedule
    log "This router is enrolled. Its tunnel is $device, its files are in $home."
    run
}

# A tunnel of the portal, and so a folder of its own.
is_tunnel() {
    case $1 in vpn_*[!a-z0-9_]*) return 1 ;; vpn_?*) return 0 ;; *) return 1 ;; esac
}

device=${2:-}
home=$DIR/$device
case ${1:-} in
    run | cron | end) is_tunnel "$device" || stop "Name a tunnel: follow $1 vpn_…" ;;
esac
case ${1:-} in
    enrol) enrol ;;
    run) run ;;
    cron) run_by_cron ;;
    end) end ;;
    *) stop "Use: follow enrol, or follow run, cron or end with the name of a tunnel." ;;
esac
