"""What the hooks see of packets: an nft table that logs to NFLOG, and the reader of that."""
import select
import socket
import struct

from frames import parse_packet

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
  chain seen_out { type filter hook output priority -500; policy accept;
  %s "OUT"
  }
  chain seen_in { type filter hook input priority 500; policy accept;
  %s "IN"
%s
  }
  chain post { type filter hook postrouting priority 500; policy accept;
  %s "POST"
%s
  }
}
""" % (log, log, bits("IN"), log, bits("POST"))


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


DEVICES = {}


def device(index):
    if index not in DEVICES:
        try:
            DEVICES[index] = socket.if_indextoname(index)
        except OSError:
            return None
    return DEVICES[index]
