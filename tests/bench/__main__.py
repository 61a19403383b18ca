"""The figures that the product is judged by, measured page to packet with the portal's real processes."""

from __future__ import annotations

from tests.bench import (
    dns,
    figures,
    firewall,
    first_packets,
    fleet,
    footprint,
    openvpn,
    round_trips,
    scale,
    servers,
    throughput,
    transactions,
)


def main() -> None:
    """Measure and print everything."""
    figures.say_where()
    first_packets.main()
    footprint.main()
    openvpn.main()
    firewall.main()
    dns.main()
    throughput.main()
    transactions.main()
    servers.main()
    round_trips.main()
    scale.main(["postgresql", "sqlite"])
    fleet.main([50, 200, 500])


if __name__ == "__main__":
    main()
