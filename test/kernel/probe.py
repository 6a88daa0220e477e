#!/usr/bin/env python3
"""Sends real packets through a network namespace and tells how the kernel treated them.

Runs inside the namespace under test (`ip netns exec`), with the name of the peer namespace as its argument. Commands come
as JSON, one a line, on standard input; answers leave the same way. What the kernel did is seen by an nft table of its own,
at priorities before and after everything else, that logs to this program (NFLOG): the packet as it enters OUTPUT, as it
reaches the end of INPUT, as it leaves POSTROUTING.
"""
import collections
import ctypes
import errno
import glob
import ipaddress
import json
import os
import select
import socket
import struct
import subprocess
import sys

LIBC = ctypes.CDLL("libc.so.6", use_errno=True)
GROUP = 77


def probe_table():
    """The marks of connections are not part of NFLOG everywhere: each bit that is set is logged on its own."""
    log = "log group %d queue-threshold 1 prefix" % GROUP

    def bits(hook):
        return "\n".join(
            '  ct mark & 0x%x == 0x%x %s "%s%d"' % (1 << bit, 1 << bit, log, hook, bit) for bit in range(32)
        )

    return """
table inet meshpath-probe {
  chain out { type filter hook output priority -500; policy accept;
  %s "OUT"
  }
  chain in { type filter hook input priority 500; policy accept;
  %s "IN"
%s
  }
  chain post { type filter hook postrouting priority 500; policy accept;
  %s "POST"
%s
  }
}
""" % (log, log, bits("IN"), log, bits("POST"))


IP_TRANSPARENT = 19
IPV6_TRANSPARENT = 75
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


CLEAR = """rule flush
rule add pref 0 lookup local
rule add pref 32766 lookup main
route flush table 100
route flush table 101
route flush table 102
route flush table main proto 99
route flush table local proto 99"""


FORWARDING = (
    ("ipv6/conf/*/force_forwarding", "0"),
    ("ipv6/conf/all/forwarding", "1"),
    ("ipv4/conf/*/forwarding", "1"),
)


def sysctls():
    """What `sysctl -a` prints of the settings that routing looks at, without reading the thousand others."""
    keys = ["ipv4/ip_forward", "ipv4/fwmark_reflect", "ipv6/fwmark_reflect", "ipv6/conf/all/forwarding"]
    for device_name in ("all", "default", "eth0", "eth1", "lo"):
        for key in ("accept_local", "forwarding", "route_localnet", "rp_filter", "send_redirects", "src_valid_mark",
                    "ignore_routes_with_linkdown"):
            keys.append("ipv4/conf/%s/%s" % (device_name, key))
    for device_name in ("all", "eth0", "eth1"):
        key = "ipv6/conf/%s/force_forwarding" % device_name
        if os.path.exists("/proc/sys/net/" + key):
            keys.append(key)
    lines = []
    for key in keys:
        with open("/proc/sys/net/" + key) as text:
                lines.append("net.%s = %s" % (key.replace("/", "."), text.read().strip()))
    return "\n".join(lines)


def run(command, text=None):
    done = subprocess.run(command, input=text, text=True, capture_output=True, shell=isinstance(command, str))
    return done.returncode, done.stdout, done.stderr


class Log:
    """The NFLOG group, read through netlink."""

    def __init__(self):
        self.sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
        self.sock.bind((0, 0))
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.config(socket.AF_UNSPEC, 1, struct.pack("B", 1))
        self.config(socket.AF_UNSPEC, 2, struct.pack(">IBB", 0xFFFF, 2, 0))
        self.sock.setblocking(False)

    def config(self, family, attribute, value):
        data = struct.pack("HH", 4 + len(value), attribute) + value
        data += b"\0" * (-len(data) % 4)
        body = struct.pack("BB", family, 0) + struct.pack(">H", GROUP) + data
        self.sock.send(struct.pack("IHHII", 16 + len(body), (4 << 8) | 1, 5, 1, 0) + body)
        kind, _, _, _, code = struct.unpack("=HHIIi", self.sock.recv(4096)[4:20])
        if kind == 2 and code != 0:
            raise OSError(-code, "nflog config %d" % attribute)

    def collect(self, first, quiet):
        """Events until nothing came for `quiet` seconds; waits `first` seconds for the first one."""
        events = []
        wait = first
        while select.select([self.sock], [], [], wait)[0]:
            data = self.sock.recv(1 << 17)
            at = 0
            while at + 16 <= len(data):
                length, kind = struct.unpack_from("IH", data, at)
                if length < 16:
                    break
                if kind == 4 << 8:
                    events.append(parse_event(data[at + 20 : at + length]))
                at += (length + 3) & ~3
            wait = quiet
        return fold([event for event in events if event is not None])


def fold(events):
    """Adds the bits of the connection's mark to the event that they follow."""
    folded = []
    for event in events:
        hook = event["hook"].rstrip("0123456789")
        bit = event["hook"][len(hook) :]
        if bit == "":
            folded.append(event)
        elif folded and folded[-1]["hook"] == hook:
            folded[-1]["connmark"] |= 1 << int(bit)
    return folded


def attributes(data):
    at = 0
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("HH", data, at)
        if length < 4:
            return
        yield kind & 0x3FFF, data[at + 4 : at + length]
        at += (length + 3) & ~3


def parse_event(data):
    event = {"mark": 0, "connmark": 0, "oif": None, "iif": None, "uid": None, "gid": None}
    payload = b""
    for kind, value in attributes(data):
        if kind == 2:
            event["mark"] = struct.unpack(">I", value)[0]
        elif kind == 4:
            event["iif"] = device(struct.unpack(">I", value)[0])
        elif kind == 5:
            event["oif"] = device(struct.unpack(">I", value)[0])
        elif kind == 9:
            payload = value
        elif kind == 10:
            event["hook"] = value.rstrip(b"\0").decode()
        elif kind in (11, 14):
            event["uid" if kind == 11 else "gid"] = struct.unpack(">I", value)[0]
    if not payload:
        return None
    event.update(parse_packet(payload), raw=payload)
    return event


def parse_packet(data):
    """The addresses, ports and flags of an IP packet; of an ICMP error also the packet that it quotes."""
    if data[0] >> 4 == 4:
        offset = (data[0] & 15) * 4
        proto, src, dst = data[9], ipaddress.ip_address(data[12:16]), ipaddress.ip_address(data[16:20])
    else:
        offset = 40
        proto, src, dst = data[6], ipaddress.ip_address(data[8:24]), ipaddress.ip_address(data[24:40])
    packet = {"proto": proto, "src": str(src), "dst": str(dst), "sport": 0, "dport": 0, "flags": 0, "type": None}
    body = data[offset:]
    if proto in (6, 17) and len(body) >= 4:
        packet["sport"], packet["dport"] = struct.unpack(">HH", body[:4])
        if proto == 6 and len(body) >= 14:
            packet["flags"] = body[13]
    elif proto in (1, 58) and len(body) >= 8:
        packet["type"] = body[0]
        if body[0] == (3 if proto == 1 else 1) and len(body) >= (28 if proto == 1 else 48):
            packet["quoted"] = parse_packet(body[8:])
    return packet


DEVICES = {}


def device(index):
    if index not in DEVICES:
        try:
            DEVICES[index] = socket.if_indextoname(index)
        except OSError:
            return None
    return DEVICES[index]


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(">%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def message(flow, version):
    """ICMP of any type, without its checksum."""
    kind = flow.get("type", 8 if version == 4 else 128)
    return struct.pack(">BBHHH", kind, flow.get("code", 0), 0, flow["sport"], 1) + b"mesh"


def transport(flow, src, dst, version):
    proto = {"tcp": 6, "udp": 17, "icmp": 1 if version == 4 else 58}[flow["protocol"]]
    if proto == 6:
        flags = 0x10 if flow.get("tcpFlags") == "ACK" else 0x02
        body = struct.pack(">HHIIBBHHH", flow["sport"], flow["dport"], 1000, 0, 5 << 4, flags, 65535, 0, 0)
        place = 16
    elif proto == 17:
        body = struct.pack(">HHHH", flow["sport"], flow["dport"], 12, 0) + b"mesh"
        place = 6
    else:
        body = message(flow, version)
        place = 2
    return proto, sealed(proto, body, place, src, dst, version)


def sealed(proto, body, place, src, dst, version):
    """The body with its checksum at `place`."""
    if proto == 1:
        pseudo = b""
    elif version == 4:
        pseudo = src + dst + struct.pack(">BBH", 0, proto, len(body))
    else:
        pseudo = src + dst + struct.pack(">IHBB", len(body), 0, 0, proto)
    value = checksum(pseudo + body)
    return body[:place] + struct.pack(">H", value) + body[place + 2 :]


def frame(flow, mac, transport=transport):
    source, target = ipaddress.ip_address(flow["src"]), ipaddress.ip_address(flow["dst"])
    src, dst = source.packed, target.packed
    proto, body = transport(flow, src, dst, source.version)
    if source.version == 4:
        head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 1, 0x4000, 64, proto, 0, src, dst)
        head = head[:10] + struct.pack(">H", checksum(head)) + head[12:]
        kind = 0x0800
    else:
        head = struct.pack(">IHBB16s16s", 6 << 28, len(body), proto, 64, src, dst)
        kind = 0x86DD
    return mac + b"\x02\x00\x00\x00\x00\x99" + struct.pack(">H", kind) + head + body


class Bench:
    def __init__(self, peer):
        self.log = Log()
        self.listeners = []
        self.added = []
        self.forwarding = False
        self.earlier = collections.deque(maxlen=100)
        with open("/proc/self/ns/net") as own, open("/run/netns/" + peer) as other:
            if LIBC.setns(other.fileno(), 0x40000000) != 0:
                raise OSError(ctypes.get_errno(), "setns")
            self.wires = {}
            for number in (0, 1):
                wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
                wire.bind(("p%d" % number, 0))
                self.wires["eth%d" % number] = wire
            LIBC.setns(own.fileno(), 0x40000000)
        self.macs = {}
        for name in self.wires:
            with open("/sys/class/net/%s/address" % name) as text:
                self.macs[name] = bytes.fromhex(text.read().strip().replace(":", ""))

    def listen(self, kind, address, port):
        ip = ipaddress.ip_address(address)
        family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
        sock = socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if ip.version == 4:
            sock.setsockopt(socket.SOL_IP, IP_TRANSPARENT, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            sock.setsockopt(socket.IPPROTO_IPV6, IPV6_TRANSPARENT, 1)
        sock.bind((address, port))
        if kind == "tcp":
            sock.listen(4096)
        sock.setblocking(False)
        self.listeners.append((kind, sock))

    def drain(self):
        """Empties the listening sockets; true where a datagram had come."""
        datagram = False
        for kind, sock in self.listeners:
            try:
                while True:
                    if kind == "tcp":
                        taken, _ = sock.accept()
                        taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        taken.close()
                    else:
                        sock.recv(100)
                        datagram = True
            except OSError:
                pass
        return datagram

    def load(self, command):
        """Clears the namespace, loads what the command brings; what the kernel refuses is the answer."""
        for line in self.added:
            run(line.replace(" add ", " del ").replace(" nodad", "").replace(" preferred_lft 0", ""))
        if self.forwarding:
            for key, value in FORWARDING:
                for name in glob.glob("/proc/sys/net/" + key):
                    with open(name, "w") as text:
                        text.write(value)
        shell = command.get("shell") or ""
        self.forwarding = "forwarding" in shell
        self.added = [line for line in shell.split("\n") if " addr add " in line]
        run("nft flush ruleset; ipset flush; for n in 1 2 3 4; do ipset destroy 2>/dev/null && break; sleep 0.02; done; conntrack -F 2>/dev/null; for v in -4 -6; do ip $v -force -batch - 2>/dev/null <<E\n%s\nE\ndone\n"
            "ip rule add pref 32767 lookup default" % CLEAR)
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
        _, text, _ = run(DUMP)
        files = {}
        name = None
        for line in text.split("\n"):
            if line.startswith("@@ "):
                name = line[3:]
                files[name] = []
            elif name is not None:
                files[name].append(line)
        files["sysctl.txt"] = [sysctls()]
        code, _, problem = run("nft -f -", probe_table())
        if code != 0:
            raise RuntimeError(problem)
        return {"files": {name: "\n".join(lines) for name, lines in files.items()}}

    def send(self, flow):
        self.log.collect(0, 0)
        while flow["sport"] in self.earlier:
            self.earlier.remove(flow["sport"])
        slow = flow.get("slow", False)
        problem, open_socket = None, None
        if flow["direction"] == "in":
            self.wires[flow["iif"]].send(frame(flow, self.macs[flow["iif"]]))
        else:
            problem, open_socket = self.send_local(flow)
        events = self.log.collect(0.06 if slow else 0.004, 0.03 if slow else 0.0015)
        if open_socket is not None:
            open_socket.close()
        answer = self.judge(flow, events, problem, self.drain())
        self.earlier.append(flow["sport"])
        return answer

    def send_local(self, flow):
        version = ipaddress.ip_address(flow["src"]).version
        family = socket.AF_INET if version == 4 else socket.AF_INET6
        LIBC.setfsgid(flow["gid"])
        LIBC.setfsuid(flow["uid"])
        try:
            if flow["protocol"] == "tcp":
                sock = socket.socket(family, socket.SOCK_STREAM)
            elif flow["protocol"] == "udp":
                sock = socket.socket(family, socket.SOCK_DGRAM)
            else:
                sock = socket.socket(family, socket.SOCK_RAW, 1 if version == 4 else 58)
        finally:
            LIBC.setfsuid(0)
            LIBC.setfsgid(0)
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if flow["mark"]:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, struct.pack("I", flow["mark"]))
        try:
            if flow["protocol"] == "icmp":
                sock.bind((flow["src"], 0))
                body = message(flow, version)
                if version == 4:
                    body = body[:2] + struct.pack(">H", checksum(body)) + body[4:]
                sock.sendto(body, (flow["dst"], 0))
            else:
                sock.bind((flow["src"], flow["sport"]))
                if flow["protocol"] == "tcp":
                    sock.connect((flow["dst"], flow["dport"]))
                else:
                    sock.sendto(b"mesh", (flow["dst"], flow["dport"]))
        except BlockingIOError:
            pass
        except OSError as error:
            return error.errno, sock
        return None, sock

    def judge(self, flow, events, problem, datagram):
        number = {"tcp": (6,), "udp": (17,), "icmp": (1, 58)}[flow["protocol"]]

        def asks(event):
            if event["proto"] not in number:
                return False
            if event["proto"] == 6:
                return event["flags"] & 0x17 == (0x10 if flow.get("tcpFlags") == "ACK" else 0x02)
            return event["proto"] == 17 or event["type"] == flow.get("type", 8 if event["proto"] == 1 else 128)

        def refuses(event):
            if event["hook"] != "OUT":
                return False
            if event["proto"] == 6:
                # an RST to where an earlier packet came from ends that one's connection
                return bool(event["flags"] & 4) and event["dport"] not in self.earlier
            # a rule may refuse what the kernel itself sends (a redirect, an RST): that says nothing of this packet
            return "quoted" in event and asks(event["quoted"])

        mine = [event for event in events if asks(event)]
        errors = [event for event in events if refuses(event)]
        inside = [event for event in mine if event["hook"] == "IN"]
        outside = [event for event in mine if event["hook"] == "POST" and event["oif"] != "lo"]
        if inside:
            # nobody answers from an address that only a route makes local: neither RST nor ICMP error proves a refusal
            answered = any(event["hook"] == "OUT" and event["flags"] & 0x12 == 0x12 for event in events)
            taken = {"tcp": answered, "udp": datagram, "icmp": True}[flow["protocol"]]
            last, verdict = inside[-1], "delivered" if taken else "refused"
            if flow["protocol"] == "tcp" and not answered and not errors:
                # neither SYN-ACK nor RST found a way out: it was taken in, by whom cannot be seen
                verdict = "inside"
        elif outside:
            last, verdict = outside[-1], "forwarded" if flow["direction"] == "in" else "sent"
        else:
            unreachable = problem in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES)
            stopped = errors or (unreachable and not mine)
            return {"verdict": "rejected" if stopped else "dropped", "errno": problem}
        return {
            "verdict": verdict,
            "src": [last["src"], last["sport"]],
            "dst": [last["dst"], last["dport"]],
            "oif": last["oif"] if verdict in ("forwarded", "sent") else None,
            "mark": last["mark"],
            "connmark": last["connmark"],
            "errno": problem,
        }


def serve(bench, more):
    """Answers commands until there are none; `more` knows those that are not of this program (null: not one of them)."""
    for line in sys.stdin:
        command = json.loads(line)
        if "listen" in command:
            for kind, address, port in command["listen"]:
                bench.listen(kind, address, port)
            answer = {"listening": len(bench.listeners)}
        elif "flows" in command:
            answer = {"observed": [bench.send(flow) for flow in command["flows"]]}
        else:
            answer = more(command) or bench.load(command)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve(Bench(sys.argv[1]), lambda command: None)
