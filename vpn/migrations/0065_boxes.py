from django.db import migrations, models

PLATFORMS = [
    ("routeros7", "MikroTik RouterOS 7"),
    ("routeros6", "MikroTik RouterOS 6"),
    ("openwrt", "OpenWrt"),
    ("vyos", "VyOS"),
    ("opnsense", "OPNsense"),
    ("pfsense", "pfSense"),
    ("linux", "Linux"),
    ("unifi", "UniFi"),
    ("fritzbox", "FRITZ!Box"),
    ("glinet", "GL.iNet"),
    ("teltonika", "Teltonika RutOS"),
    ("asus", "ASUS"),
    ("synology", "Synology DSM"),
    ("other", "Other"),
]


class Migration(migrations.Migration):

    dependencies = [("vpn", "0064_use_seen")]

    operations = [
        migrations.AlterField(
            "site", "platform", models.CharField(choices=PLATFORMS, default="routeros7", max_length=12)
        ),
    ]
