"""The rules, routes and settings of the namespace: loading them, and reading them back as the tools print them."""
import glob
import os
import subprocess

DUMP = r"""
for tool in iptables ip6tables; do echo "@@ $tool-save.txt"; $tool-nft-save 2>/dev/null; done
echo "@@ nft-ruleset.json"; nft -j list ruleset
echo "@@ ipset-save.txt"; ipset save
echo "@@ ip-rule.json"; ip -j rule; echo
echo "@@ ip6-rule.json"; ip -6 -j rule; echo
echo "@@ ip-route.json"; ip -j route show table all; echo
echo "@@ ip6-route.json"; ip -6 -j route show table all; echo
echo "@@ ip-address.json"; ip -j -d address; echo
echo "@@ sockets.txt"; ss -Hltnp; ss -Hlunp
"""


# a set is let go a moment after the rules that name it
CLEAR = """
nft flush ruleset
ipset flush
for n in 1 2 3 4; do ipset destroy 2>/dev/null && break; sleep 0.02; done
conntrack -F 2>/dev/null
for v in -4 -6; do ip $v -force -batch - 2>/dev/null <<E
rule flush
rule add pref 0 lookup local
rule add pref 32766 lookup main
route flush table 100
route flush table 101
route flush table 102
route flush table main proto 99
route flush table local proto 99
E
done
ip rule add pref 32767 lookup default
"""


FORWARDING = (
    ("ipv6/conf/*/force_forwarding", "0"),
    ("ipv6/conf/all/forwarding", "1"),
    ("ipv4/conf/*/forwarding", "1"),
)


SETTINGS = (
    "accept_local",
    "forwarding",
    "route_localnet",
    "rp_filter",
    "send_redirects",
    "src_valid_mark",
    "ignore_routes_with_linkdown",
)


def settings():
    """The settings that routing looks at, as places under /proc/sys/net, each with its value."""
    keys = ["ipv4/ip_forward", "ipv4/fwmark_reflect", "ipv6/fwmark_reflect", "ipv6/conf/all/forwarding"]
    for device_name in ("all", "default", "eth0", "eth1", "lo"):
        keys += ["ipv4/conf/%s/%s" % (device_name, key) for key in SETTINGS]
    for device_name in ("all", "eth0", "eth1"):
        key = "ipv6/conf/%s/force_forwarding" % device_name
        if os.path.exists("/proc/sys/net/" + key):
            keys.append(key)
    values = {}
    for key in keys:
        with open("/proc/sys/net/" + key) as text:
            values[key] = text.read().strip()
    return values


def sysctls():
    """What `sysctl -a` prints of them, without reading the thousand others."""
    return "\n".join("net.%s = %s" % (key.replace("/", "."), value) for key, value in settings().items())


def run(command, text=None):
    """Bytes that are no text (iptables 1.8.7 prints some for `-o +`) become U+FFFD."""
    done = subprocess.run(
        command, input=text, text=True, errors="replace", capture_output=True, shell=isinstance(command, str)
    )
    return done.returncode, done.stdout, done.stderr


def dump():
    """The text of each file of a snapshot."""
    _, text, _ = run(DUMP)
    files = {}
    name = None
    for line in text.split("\n"):
        if line.startswith("@@ "):
            name = line[3:]
            files[name] = []
        elif name is not None:
            files[name].append(line)
    return {**{name: "\n".join(lines) for name, lines in files.items()}, "sysctl.txt": sysctls()}


class Namespace:
    """What one load left is undone by the next."""

    def __init__(self):
        self.added = []
        self.forwarding = False
        self.settings = settings()
        self.changed = False

    def load(self, command):
        """Clears the namespace, loads what the command brings; what the kernel refuses is the answer."""
        for line in self.added:
            run(line.replace(" add ", " del ").replace(" nodad", "").replace(" preferred_lft 0", ""))
        if self.forwarding:
            for key, value in FORWARDING:
                for name in glob.glob("/proc/sys/net/" + key):
                    with open(name, "w") as text:
                        text.write(value)
        if self.changed:
            for key, value in settings().items():
                if value != self.settings[key]:
                    with open("/proc/sys/net/" + key, "w") as text:
                        text.write(self.settings[key])
        shell = command.get("shell") or ""
        self.forwarding = "forwarding" in shell
        self.changed = "sysctl" in shell
        self.added = [line for line in shell.split("\n") if " addr add " in line]
        run(CLEAR)
        for tool, text in (
            ("ipset restore", command.get("ipset")),
            ("iptables-nft-restore", command.get("iptables")),
            ("ip6tables-nft-restore", command.get("ip6tables")),
            ("nft -f -", command.get("nft")),
            ("nft -j -f -", command.get("nftJson")),
            ("sh -e", command.get("shell")),
        ):
            if text:
                code, _, problem = run(tool, text)
                if code != 0:
                    return {"refused": "%s: %s" % (tool, problem[:400])}
        return {"files": dump()}
