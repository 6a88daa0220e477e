"""Packets, byte by byte: made and read."""
import ipaddress
import struct


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(">%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def message(flow, version, text=b"mesh"):
    """ICMP of any type, without its checksum."""
    kind = flow.get("type", 8 if version == 4 else 128)
    return struct.pack(">BBHHH", kind, flow.get("code", 0), 0, flow["sport"], 1) + text


def raw_message(flow, text=b"mesh"):
    """ICMP as a raw socket sends it: the checksum of ICMPv6 is the kernel's to make."""
    version = ipaddress.ip_address(flow["src"]).version
    body = message(flow, version, text)
    return sealed(1, body, 2, b"", b"", 4) if version == 4 else body


def transport(flow, src, dst, version):
    """TCP with any flags and numbers, of those not named a SYN's; UDP; ICMP of any type, and an error with what it quotes."""
    proto = {"tcp": 6, "udp": 17, "icmp": 1 if version == 4 else 58}[flow["protocol"]]
    text = flow.get("text", "" if proto == 6 else "mesh").encode()
    if proto == 6:
        ports = (flow["sport"], flow["dport"], flow.get("seq", 1000), flow.get("ack", 0))
        body, place = struct.pack(">HHIIBBHHH", *ports, 5 << 4, flow.get("flags", 2), 65535, 0, 0) + text, 16
    elif proto == 17:
        body, place = struct.pack(">HHHH", flow["sport"], flow["dport"], 8 + len(text), 0) + text, 6
    elif "quotes" in flow:
        # type 3 code 4 tells the next hop's MTU
        rest = 1400 if (flow["type"], flow["code"]) in ((3, 4), (2, 0)) else 0
        body, place = struct.pack(">BBHI", flow["type"], flow["code"], 0, rest) + bytes.fromhex(flow["quotes"]), 2
    else:
        body, place = message(flow, version, text), 2
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


def frame(flow, mac):
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
