#!/bin/sh
# Enrols this router with the portal. The token in it works once, for a day.
umask 077
PORTAL=@PORTAL@
TOKEN=@TOKEN@
HOME_DIR=${VPN_PORTAL_DIR:-/etc/vpn-portal}

stop() {
    echo "vpn-portal: $*" >&2
    exit 1
}

check_needs() {
    [ "$(id -u)" = 0 ] || stop "Run this line as root."
    for program in wg ip ping; do
        command -v "$program" >/dev/null 2>&1 ||
            stop "The program $program is missing. Install it (wg is in the package wireguard-tools), then run this line again."
    done
    command -v curl >/dev/null 2>&1 || wget --version 2>/dev/null | grep -q 'GNU Wget' ||
        stop "curl or GNU wget is missing: others do not check certificates, or take no header from a file. Install one, then run this line again."
    mkdir -p "$HOME_DIR" && chmod 700 "$HOME_DIR" || stop "The folder $HOME_DIR cannot be made."
}

write_follower() {
    cat >"$HOME_DIR/follow.new" <<'END_OF_FOLLOWER'
@FOLLOWER@
END_OF_FOLLOWER
    [ $? = 0 ] && mv "$HOME_DIR/follow.new" "$HOME_DIR/follow" || stop "The file $HOME_DIR/follow cannot be written."
}

# All of it is read before any of it runs.
main() {
    check_needs
    write_follower
    printf '%s\n%s\n' "$PORTAL" "$TOKEN" | VPN_PORTAL_DIR=$HOME_DIR sh "$HOME_DIR/follow" enrol
    exit $?
}

main
