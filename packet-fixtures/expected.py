"""What a template of networks/ says to one VM, encoded by scapy and not by leasehold.

It reads the TOML itself and knows the defaults from the documentation alone. Values that scapy has
no encoder for (162, 125, boot rules) are left out: what is not here is not compared.
"""

import ipaddress
import tomllib

from craft import HERE
from scapy.layers.dhcp import DHCPOptions, DHCPOptionsField

FIELD = DHCPOptionsField("options", [])

# What `[ipv4.options]` calls an option: its code.
NAMES = {
    "time-offset": 2, "log-server": 7, "root-path": 17, "ip-forward-enable": 19, "policy-filter": 21,
    "default-ttl": 23, "router-discovery": 31, "arp-cache-timeout": 35,
    "vendor-encapsulated-options": 43, "netbios-name-server": 44, "netbios-node-type": 46,
    "vendor-class-identifier": 60, "tftp-server": 66, "bootfile-name": 67, "tftp-server-address": 150,
    "path-prefix": 210, "wpad": 252,
}
# What the rules of [boot] set; which rule fits is not asked here.
BOOT = {60, 66, 67, 97, 150, 210}
# RFC 2131, table 3: not in the answer to an INFORM.
LEASE = {51, 58, 59}


def templates():
    """Every template by its name."""
    read = [tomllib.loads(path.read_text()) for path in sorted(HERE.glob("networks/*.toml"))]
    return {template["name"]: template for template in read}


class Vm:
    """One VM in one template."""

    def __init__(self, template, case):
        self.template, self.case = template, case
        self.name = case.get("vm", "demo/web-1")
        self.entry = next((vm for vm in template.get("vm", []) if vm["id"] == self.name), {})

    def own(self, key):
        """The VM's value, else the network's."""
        return self.entry.get(key, self.template.get(key))

    def holds(self, address, family):
        """Tells whether this may be its address: the reserved one, else one of the ranges."""
        reserved = self.entry.get(family) or self.case.get(family)
        if reserved:
            return address in ([reserved] if isinstance(reserved, str) else reserved[:1])
        number = int(ipaddress.ip_address(address))
        return any(low <= number <= high for low, high in (
            [int(ipaddress.ip_address(end)) for end in text.split("-")]
            for text in self.template[family].get("ranges", [])))

    def server(self):
        section = self.template["ipv4"]
        return section.get("server-id", section.get("gateway"))

    def addresses(self, key, version):
        listed = [ipaddress.ip_address(address) for address in self.own(key) or []]
        return [str(address) for address in listed if address.version == version]

    def search(self):
        return self.own("search") or [name for name in [self.own("domain")] if name]

    def search4(self):
        by_name = self.template["ipv4"].get("options", {}).get("domain_search_list")
        return by_name or self.search()

    def options4(self):
        """Code to bytes, of all that DHCPv4 may tell it."""
        section = self.template["ipv4"]
        subnet, gateway = ipaddress.ip_network(section["subnet"]), section.get("gateway")
        host = section.get("mask") == "host"
        lease = seconds(section.get("lease-time", "1h"))
        endless = lease == 0xffffffff
        said = {
            1: scapy("subnet_mask", "255.255.255.255" if host else str(subnet.netmask)),
            3: scapy("router", gateway),
            6: scapy("name_server", *self.addresses("dns", 4)),
            12: scapy("hostname", self.entry.get("hostname", self.name.split("/")[-1])),
            15: scapy("domain", self.own("domain")),
            26: scapy("interface-mtu", self.own("mtu")),
            28: None if host else scapy("broadcast_address", str(subnet.broadcast_address)),
            42: scapy("NTP_server", *self.addresses("ntp", 4)),
            51: scapy("lease_time", lease),
            54: scapy("server_id", self.server()),
            58: None if endless else scapy("renewal_time", lease // 2),
            59: None if endless else scapy("rebinding_time", lease * 7 // 8),
            114: scapy("default-url", self.own("captive-portal")),
            116: scapy("auto-config", number(section.get("auto-configure"))),
            121: self.routes(section, gateway, host),
        }
        said[249] = said[121]
        if "ipv6-only-wait" in section:
            said[108] = seconds(section["ipv6-only-wait"]).to_bytes(4, "big")
        for name, value in {**section.get("options", {}),
                            **self.entry.get("ipv4-options", {})}.items():
            name = name.replace("_", "-")
            if name == "ms-classless-static-route":
                said[249] = classless(value)
            elif name in NAMES:
                said[NAMES[name]] = named(NAMES[name], value)
        for option in self.template.get("option", []) + self.entry.get("option", []):
            if option["family"] == 4:
                code = option.get("code") or NAMES[option["name"]]
                given = option.get("hex") and bytes.fromhex(option["hex"])
                said[code] = given or (option.get("text") or option["value"]).encode()
        if self.template.get("boot"):
            said = {code: value for code, value in said.items() if code not in BOOT}
        return {code: value for code, value in said.items() if value}

    def routes(self, section, gateway, host):
        routes = list(self.entry.get("routes", section.get("routes", [])))
        if gateway and (routes or host):
            before = [{"to": f"{gateway}/32", "via": "0.0.0.0"}] if host else []
            routes = before + [{"to": "0.0.0.0/0", "via": gateway}] + routes
        return classless(routes) if routes else None


def scapy(name, *values):
    """The bytes of one option by scapy's own encoder; None without a value."""
    if not values or values[0] is None:
        return None
    values = [value.encode() if name in ("hostname", "domain", "default-url") else value
              for value in values]
    return FIELD.i2m(None, [(name, *values)])[2:]


def classless(routes):
    return scapy("classless_static_routes", [f"{route['to']}:{route['via']}" for route in routes])


def named(code, value):
    """By the type that scapy knows the code under."""
    known = DHCPOptions.get(code)
    values = value if isinstance(value, list) else [value]
    if code == 43:
        return bytes.fromhex(value)
    if known is None or isinstance(known, str) or type(known).__name__ == "StrField":
        return value.encode()
    # Scapy has no signed time offset.
    values = [item % 2**32 if code == 2 else number(item) for item in values]
    return FIELD.i2m(None, [(known.name, *values)])[2:]


def number(value):
    return int(value) if isinstance(value, bool) else value


def seconds(text):
    if text == "infinite":
        return 0xffffffff
    return int(text[:-1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[text[-1]]
