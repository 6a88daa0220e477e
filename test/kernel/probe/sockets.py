"""Sockets of the namespace: who listens, and who sends."""
import ctypes
import ipaddress
import socket
import struct

LIBC = ctypes.CDLL("libc.so.6", use_errno=True)
CLONE_NEWNET = 0x40000000
IP_TRANSPARENT = 19
IPV6_TRANSPARENT = 75
# its end sends an RST, and waits for nobody
NO_LINGER = struct.pack("ii", 1, 0)


def family(address):
    return socket.AF_INET if ipaddress.ip_address(address).version == 4 else socket.AF_INET6


def listener(kind, address, port):
    sock = socket.socket(family(address), socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if sock.family == socket.AF_INET:
        sock.setsockopt(socket.SOL_IP, IP_TRANSPARENT, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_TRANSPARENT, 1)
    sock.bind((address, port))
    if kind == "tcp":
        sock.listen(4096)
    sock.setblocking(False)
    return sock


def opened(flow):
    """A socket as the flow's user opens it, with the flow's mark; it never waits."""
    own = family(flow["src"])
    LIBC.setfsgid(flow["gid"])
    LIBC.setfsuid(flow["uid"])
    try:
        if flow["protocol"] == "tcp":
            sock = socket.socket(own, socket.SOCK_STREAM)
        elif flow["protocol"] == "udp":
            sock = socket.socket(own, socket.SOCK_DGRAM)
        else:
            sock = socket.socket(own, socket.SOCK_RAW, 1 if own == socket.AF_INET else 58)
    finally:
        LIBC.setfsuid(0)
        LIBC.setfsgid(0)
    sock.setblocking(False)
    if flow["mark"]:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, struct.pack("I", flow["mark"]))
    return sock


def bind(sock, flow):
    """A raw socket has no port."""
    sock.bind((flow["src"], 0 if flow["protocol"] == "icmp" else flow["sport"]))


def wires(peer):
    """The far ends of eth0 and eth1, by these names: devices p0 and p1 of the namespace `peer`."""
    sockets = {}
    with open("/proc/self/ns/net") as own, open("/run/netns/" + peer) as other:
        if LIBC.setns(other.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        for number in (0, 1):
            wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            wire.bind(("p%d" % number, 0))
            sockets["eth%d" % number] = wire
        LIBC.setns(own.fileno(), CLONE_NEWNET)
    return sockets
