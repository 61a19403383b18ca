"""A terminal of VyOS to paste commands in: the commands are bash's own functions here, and the configuration a file of
paths, one a line, as `cli-shell-api` sees them."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

Tree = set[tuple[str, ...]]

# A path ends its words with a tab, so that one is found below another and never below its beginning.
_TERMINAL = r"""
path() { printf '%s\t' "$@"; }
configure() { :; }
commit() { :; }
save() { :; }
set() { local p; p=$(path "$@"); grep -qxF "$p" "$TREE" || printf '%s\n' "$p" >> "$TREE"; }
holds() { P=$1 awk 'index($0, ENVIRON["P"]) == 1 { found = 1 } END { exit !found }' "$2"; }
delete() {
    P=$(path "$@") awk 'index($0, ENVIRON["P"]) != 1' "$TREE" > "$TREE.new"
    cmp -s "$TREE" "$TREE.new" && echo "Nothing to delete"
    # A route stays, without anything in it, when its last next hop is deleted.
    case $# in 6)
        local route; route=$(path "${@:1:4}")
        holds "$route" "$TREE.new" || printf '%s\n' "$route" >> "$TREE.new"
    esac
    mv "$TREE.new" "$TREE"
}
cli-shell-api() {
    local how=$1 p; shift; p=$(path "$@")
    if [ "$how" = exists ]; then holds "$p" "$TREE"; return; fi
    P=$p awk 'index($0, ENVIRON["P"]) == 1 {
        split(substr($0, length(ENVIRON["P"]) + 1), words, "\t"); if (words[1] != "") print words[1]
    }' "$TREE" | sort -u | sed "s/.*/'&'/" | paste -sd ' ' -
}
"""


def paste(text: str, directory: Path, tree: Tree) -> Tree:
    """The configuration after the commands were pasted, all of which have to be known."""
    file = directory / "tree"
    file.write_text("".join("\t".join(path) + "\t\n" for path in sorted(tree)))
    # `exit` leaves configuration mode, not the terminal. What comes after it is about files.
    inside, _, _ = text.partition("\nexit\n")
    commands = f"{_TERMINAL}\nTREE={shlex.quote(str(file))}\n{inside}\n"
    done = subprocess.run(["bash", "-c", commands], capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
    return {tuple(line.removesuffix("\t").split("\t")) for line in file.read_text().splitlines()}
