"""A router that is only memory: it runs scripts and holds the configuration that they make.

    router = Router((7, 17))
    router.run(text)
    router.rows("/interface wireguard")

Raises ScriptError for a menu, command, property or value that this version does not know, for a reference to what is
not there, and for what a router would not have twice. Like `/import`, it stops there.
"""

from __future__ import annotations

import base64
import itertools
import re
from ipaddress import ip_interface, ip_network

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.routeros import schema
from tests.routeros.language import Binary, Command, Expression, Literal, Parser, Property, ScriptError
from tests.routeros.schema import MENUS, Menu, Version

Row = dict[str, str]
Value = str | int | bool | list[Row]

PEM = re.compile(r"-----BEGIN ([A-Z ]+)-----\n.+?-----END \1-----\n", re.DOTALL)
BUILT_IN = ("ether1", "bridge")
VERBS = ("add", "set", "remove", "find", "import", "print")


class Router:
    """A router of one version, empty but for the interfaces ether1 and bridge."""

    def __init__(self, version: Version) -> None:
        self.version = version
        self.menus: dict[str, list[Row]] = {name: [] for name in MENUS}
        self._ids = itertools.count(1)

    def rows(self, menu: str) -> list[Row]:
        """The objects of a menu, without what tells nothing but their history."""
        return [{name: value for name, value in row.items() if name != ".id"} for row in self.menus[menu]]

    def configuration(self) -> dict[str, list[Row]]:
        """Every menu that holds something."""
        return {menu: self.rows(menu) for menu in MENUS if self.menus[menu]}

    def run(self, script: str) -> None:
        """Import a script."""
        for command in Parser(script).script():
            self.execute(command)

    def execute(self, command: Command) -> Value:
        name = command.words[0]
        if name == ":if":
            return self.choose(command)
        if name == ":delay":
            if not re.fullmatch(r"[0-9]+s", " ".join(command.words[1:])):
                raise ScriptError("a delay in seconds expected")
            return ""
        if name in {":len", ":pick"}:
            return self.function(name, command)
        verb = next((word for word in command.words if word in VERBS), None)
        if verb is None:
            raise ScriptError(f"{' '.join(command.words)} is no command")
        path, flags = command.words[: command.words.index(verb)], command.words[command.words.index(verb) + 1 :]
        name, menu = self.menu(" ".join(path))
        if verb != "find" and verb not in menu.verbs:
            raise ScriptError(f"{name} has no {verb}")
        if set(flags) - (set(menu.flags) if verb == "add" else set()):
            raise ScriptError(f"{name} {verb} does not know {flags}")
        handler = {
            "add": self.add,
            "set": self.change,
            "remove": self.remove,
            "find": self.find,
            "import": self.import_certificate,
            "print": self.print_file,
        }[verb]
        return handler(name, menu, command)

    def choose(self, command: Command) -> Value:
        wanted = "do" if self.evaluate(command.arguments[0]) is True else "else"
        for block, commands in command.blocks:
            if block == wanted:
                for inner in commands:
                    self.execute(inner)
        return ""

    def menu(self, name: str) -> tuple[str, Menu]:
        found = MENUS.get(name)
        if found is None or self.version < found.since:
            raise ScriptError(f"{name} is no menu of {self.version}")
        return name, found

    def function(self, name: str, command: Command) -> Value:
        values = [self.evaluate(argument) for argument in command.arguments]
        first = values[0]
        if not isinstance(first, list):
            raise ScriptError(f"{name} of what is no list")
        return len(first) if name == ":len" else [first[int(str(values[1]))]]

    def find(self, name: str, menu: Menu, command: Command) -> list[Row]:
        if command.where is None or command.properties or command.arguments:
            raise ScriptError("find where ... expected")
        return [row for row in self.menus[name] if self.evaluate(command.where, name, row) is True]

    def add(self, name: str, menu: Menu, command: Command) -> Value:
        values = self.properties(name, menu, command)
        if command.arguments:
            raise ScriptError("add makes an object of its own")
        before = values.pop("place-before", None)
        row = {".id": f"*{next(self._ids):X}", "dynamic": "no"} | {key: str(value) for key, value in values.items()}
        row |= {flag: "yes" for flag in menu.flags if flag in command.words}
        missing = [key for key in menu.required if key not in row]
        if missing:
            raise ScriptError(f"{name} add needs {missing}")
        self.check(name, menu, row)
        rows = self.menus[name]
        place = rows.index(before[0]) if isinstance(before, list) else len(rows)
        rows.insert(place, row)
        return row[".id"]

    def change(self, name: str, menu: Menu, command: Command) -> Value:
        values = {key: str(value) for key, value in self.properties(name, menu, command).items()}
        if "place-before" in values:
            raise ScriptError("place-before belongs to add")
        for row in self.selected(command):
            changed = row | values
            self.check(name, menu, changed)
            row.update(values)
        return ""

    def remove(self, name: str, menu: Menu, command: Command) -> Value:
        for row in self.selected(command):
            self.menus[name].remove(row)
        return ""

    def selected(self, command: Command) -> list[Row]:
        if len(command.arguments) != 1:
            raise ScriptError("which objects?")
        rows = self.evaluate(command.arguments[0])
        if not isinstance(rows, list):
            raise ScriptError("objects expected")
        return list(rows)

    def properties(self, name: str, menu: Menu, command: Command) -> dict[str, Value]:
        values: dict[str, Value] = {}
        for key, expression in command.properties:
            since = menu.properties.get(key)
            if since is None or self.version < since:
                raise ScriptError(f"{name} has no {key} in {self.version}")
            values[key] = self.evaluate(expression)
        return values

    # What a value may be.

    def check(self, name: str, menu: Menu, row: Row) -> None:
        for key, value in row.items():
            if key in menu.values and value not in menu.values[key]:
                raise ScriptError(f"{name}: {key} cannot be {value}")
        others = [other for other in self.menus[name] if other[".id"] != row[".id"]]
        if name.endswith(" address") and any(other["address"] == row["address"] for other in others):
            raise ScriptError("already have such address")
        if menu.interface and row.get("name") in {*BUILT_IN, *self.interfaces(without=row[".id"])}:
            raise ScriptError("already have an interface with such name")
        self._check_references(name, row)
        if name.endswith((" filter", " nat")) and ("jump-target" in row) != (row["action"] == "jump"):
            raise ScriptError(f"{name}: jump and jump-target belong together")
        if name.startswith("/interface wireguard"):
            self._check_keys(row)
        if name == "/interface ovpn-client":
            self._check_client(row)

    def _check_references(self, name: str, row: Row) -> None:
        for key in ("interface", "in-interface", "out-interface", "gateway"):
            if key in row and row[key] not in self.interfaces():
                raise ScriptError(f"{name}: there is no interface {row[key]}")
        for key in ("address", "dst-address", "src-address"):
            if key in row:
                (ip_interface if key == "address" else ip_network)(row[key])
        tables = {"main", *(table["name"] for table in self.menus["/routing table"])}
        if not {row.get("table", "main"), row.get("routing-table", "main")} <= tables:
            raise ScriptError("there is no such routing table")

    def _check_keys(self, row: Row) -> None:
        for key in ("private-key", "public-key", "preshared-key"):
            if row.get(key) and len(base64.b64decode(row[key], validate=True)) != 32:
                raise ScriptError(f"{key} is no key")
        for network in filter(None, row.get("allowed-address", "").split(",")):
            ip_network(network)
        if not re.fullmatch(r"([0-9]+s)?", row.get("persistent-keepalive", "")):
            raise ScriptError("persistent-keepalive is a time")

    def _check_client(self, row: Row) -> None:
        if row.get("cipher", "null") not in schema.ciphers(self.version):
            raise ScriptError(f"cipher cannot be {row['cipher']}")
        if row.get("auth", "null") not in schema.digests(self.version):
            raise ScriptError(f"auth cannot be {row['auth']}")
        names = {certificate["name"] for certificate in self.menus["/certificate"]}
        if row.get("certificate", "none") not in names | {"none"}:
            raise ScriptError(f"there is no certificate {row['certificate']}")

    def interfaces(self, without: str = "") -> set[str]:
        """The names of all interfaces."""
        ours = [row for menu in MENUS if MENUS[menu].interface for row in self.menus[menu]]
        return {*BUILT_IN, *(row["name"] for row in ours if row[".id"] != without)}

    # Files and certificates.

    def print_file(self, name: str, menu: Menu, command: Command) -> Value:
        if name != "/file" or [key for key, _ in command.properties] != ["file"]:
            raise ScriptError("print file=NAME expected")
        file = str(self.evaluate(command.properties[0][1])) + ".txt"
        row = {".id": f"*{next(self._ids):X}", "dynamic": "no", "name": file, "contents": "# a listing"}
        self.menus[name] = [*(row for row in self.menus[name] if row["name"] != file), row]
        return ""

    def import_certificate(self, name: str, menu: Menu, command: Command) -> Value:
        values = {}
        for key, expression in command.properties:
            if self.version < schema.IMPORT.get(key, (99,)):
                raise ScriptError(f"import has no {key} in {self.version}")
            values[key] = str(self.evaluate(expression))
        file = next((row for row in self.menus["/file"] if row["name"] == values["file-name"]), None)
        if file is None:
            raise ScriptError(f"there is no file {values['file-name']}")
        number = itertools.count()
        for block in PEM.finditer(file["contents"]):
            if block[1] == "CERTIFICATE":
                self._add_certificate(f"{file['name']}_{next(number)}", block[0])
            else:
                self._add_key(block[0], values["passphrase"])
        return ""

    def _add_certificate(self, name: str, pem: str) -> None:
        x509.load_pem_x509_certificate(pem.encode())
        rows = self.menus["/certificate"]
        if any(row["pem"] == pem for row in rows):
            return  # one that is there already is not imported again, whatever its name
        rows.append({".id": f"*{next(self._ids):X}", "dynamic": "no", "name": name, "pem": pem, "trusted": "no"})

    def _add_key(self, pem: str, passphrase: str) -> None:
        key = load_pem_private_key(pem.encode(), passphrase.encode() or None)
        assert isinstance(key, EllipticCurvePrivateKey)
        for row in self.menus["/certificate"]:
            if x509.load_pem_x509_certificate(row["pem"].encode()).public_key() == key.public_key():
                row["private-key"] = pem

    # Values.

    def evaluate(self, expression: Expression, menu: str = "", row: Row | None = None) -> Value:
        if isinstance(expression, Literal):
            return expression.text
        if isinstance(expression, Command):
            return self.execute(expression)
        if isinstance(expression, Property):
            if row is None or expression.name not in {*MENUS[menu].properties, "dynamic", "name"}:
                raise ScriptError(f"{menu} has no {expression.name}")
            return row.get(expression.name, "")
        return self.compare(expression, menu, row)

    def compare(self, expression: Binary, menu: str, row: Row | None) -> bool:
        left = self.evaluate(expression.left, menu, row)
        if expression.operator in {"and", "or"}:
            right = self.evaluate(expression.right, menu, row)
            return (left and right) is True if expression.operator == "and" else (left or right) is True
        right = self.evaluate(expression.right, menu, row)
        if expression.operator == "~":
            return re.search(str(right), str(left)) is not None
        if expression.operator == "=":
            return str(left) == str(right)
        if expression.operator == ">":
            return int(str(left)) > int(str(right))
        raise ScriptError(f"unknown operator {expression.operator}")
