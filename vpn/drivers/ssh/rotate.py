"""The program that gives a server a host key that it makes itself, sent over standard input.

It has to be understood by every Python 3. Both acts may be repeated.
"""

import os
import signal
import subprocess

KEY = "/etc/ssh/ssh_host_ed25519_key"
NEXT = KEY + ".vpn-portal"
PID = "/run/sshd.pid"


def make() -> str:
    """Make the next host key, unless it is there; return its type and base64 value."""
    if not os.path.exists(NEXT + ".pub"):
        if os.path.exists(NEXT):
            os.unlink(NEXT)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", NEXT], check=True)  # noqa: S603
    with open(NEXT + ".pub") as file:
        return " ".join(file.read().split()[:2])


def use() -> str:
    """Let the SSH server use the next host key. Connections go on."""
    if os.path.exists(NEXT):
        os.replace(NEXT, KEY)
    if os.path.exists(NEXT + ".pub"):
        os.replace(NEXT + ".pub", KEY + ".pub")
    if os.path.isdir("/run/systemd/system"):
        subprocess.run(["systemctl", "reload", "ssh"], check=True)
    else:
        with open(PID) as file:
            os.kill(int(file.read()), signal.SIGHUP)
    return "used"
