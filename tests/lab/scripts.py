"""Programs that machines of a laboratory run: Python's standard library alone, given to `python -c`."""

from __future__ import annotations

from typing import Final

GET: Final = (
    "import sys, urllib.request as r\n"
    "opener = r.build_opener(r.ProxyHandler({}))\n"
    "sys.stdout.write(opener.open(sys.argv[1], timeout=float(sys.argv[2])).read().decode())\n"
)
CONNECT: Final = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), float(sys.argv[3]))"
INJECT: Final = """
import ipaddress, socket, struct, sys
device, source, destination = sys.argv[1], ipaddress.ip_address(sys.argv[2]), ipaddress.ip_address(sys.argv[3])
def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF or 0xFFFF
udp = struct.pack("!HHHH", 40000, 9, 12, 0) + b"ping"
addresses = source.packed + destination.packed
udp = udp[:6] + struct.pack("!H", checksum(addresses + struct.pack("!II", len(udp), 17) + udp)) + udp[8:]
if source.version == 4:
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0) + addresses
    header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
else:
    header = struct.pack("!IHBB", 6 << 28, len(udp), 17, 64) + addresses
kind = 0x0800 if source.version == 4 else 0x86DD
with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM) as door:
    door.sendto(header + udp, (device, kind))
"""
SERVE: Final = """
import http.server, socket, socketserver, sys
body = sys.argv[3].encode()
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass
class Server(socketserver.ThreadingTCPServer):
    # Not http.server's, which asks the DNS for its own name.
    address_family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
    allow_reuse_address = True
    daemon_threads = True
server = Server((sys.argv[1], int(sys.argv[2])), Handler)
print("ready", flush=True)
server.serve_forever()
"""
