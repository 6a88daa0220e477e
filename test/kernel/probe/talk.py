#!/usr/bin/env python3
"""Leads conversations through a network namespace, packet after packet, and tells how the kernel treated each.

Knows the commands of probe.py, and two more. `{"begin": true}` forgets all connections and sockets of the conversation
before. `{"say": …}` makes one packet: `way` is "wire" (a frame that arrives on `iif`), "open" (a local socket sends the
first packet), "more" (the same socket sends again), "answer" (the socket that took the last packet sends), "close" (that
socket, or without one the first, ends its side). The answer holds what the hooks saw of this packet and of all that the
kernel made because of it, who took data or a connection, and the list of connections afterwards.
"""
import socket
import struct
import sys

from frames import frame, parse_packet, raw_message
from namespace import run
from probe import Bench, serve
from sockets import NO_LINGER, bind, opened

IP_PKTINFO = 8
IPV6_RECVPKTINFO = 49
IPV6_PKTINFO = 50


def details(event):
    """What tells one packet of a conversation from the others, whatever was translated: numbers and text."""
    raw = event.pop("raw")
    body = raw[(raw[0] & 15) * 4 if raw[0] >> 4 == 4 else 40 :]
    event["raw"] = raw.hex()
    event.update(numbers(event, body))
    errors = (3, 4, 5, 11, 12) if event["proto"] == 1 else (1, 2, 3, 4)
    if event["proto"] in (1, 58) and event["type"] in errors and len(body) >= 28:
        event["quoted"] = parse_packet(body[8:])
    if "quoted" in event:
        inner = body[8:]
        event["quoted"].update(numbers(event["quoted"], inner[(inner[0] & 15) * 4 if inner[0] >> 4 == 4 else 40 :]))
    return event


def numbers(packet, body):
    if packet["proto"] == 6 and len(body) >= 20:
        seq, ack = struct.unpack(">II", body[4:12])
        return {"seq": seq, "ack": ack, "length": len(body) - (body[12] >> 4) * 4}
    if packet["proto"] == 17 and len(body) >= 8:
        return {"text": body[8:].decode("latin1")}
    if packet["proto"] in (1, 58) and len(body) >= 8:
        return {"code": body[1], "id": struct.unpack(">H", body[4:6])[0], "text": body[8:16].decode("latin1")}
    return {}


class Talk(Bench):
    def __init__(self, peer):
        super().__init__(peer)
        self.client = None
        self.flow = None
        self.children = []
        self.asker = None

    def listen(self, kind, address, port):
        super().listen(kind, address, port)
        sock = self.listeners[-1][1]
        if kind == "udp":
            sock.setsockopt(socket.SOL_IP, IP_PKTINFO, 1)
            if sock.family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)

    def begin(self):
        for sock in [self.client, *self.children]:
            if sock is not None:
                if sock.type == socket.SOCK_STREAM:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
                sock.close()
        self.client, self.flow, self.children, self.asker = None, None, [], None
        self.drain()
        self.log.collect(0.001, 0.001)
        run(["conntrack", "-F"])
        return {"begun": True}

    def take(self):
        """Who has got something: listeners by their address, the client's own socket, an accepted one."""
        taken = []
        for kind, sock in self.listeners:
            name = "%s %s %d" % (kind, sock.getsockname()[0], sock.getsockname()[1])
            try:
                while True:
                    if kind == "tcp":
                        child, _ = sock.accept()
                        child.setblocking(False)
                        self.children.append(child)
                    else:
                        _, control, _, sender = sock.recvmsg(200, 200)
                        self.asker = (sock, control, sender)
                    taken.append(name)
            except OSError:
                pass
        for name, sock in [("client", self.client)] + [("child", child) for child in self.children]:
            try:
                while sock is not None and sock.recv(200):
                    taken.append(name)
            except OSError:
                pass
        return taken

    def say(self, packet):
        slow = packet.get("slow", False)
        self.log.collect(0, 0)
        problem = None
        try:
            self.make(packet)
        except BlockingIOError:
            pass
        except OSError as error:
            problem = error.errno
        events = self.log.collect(0.03 if slow else 0.005, 0.015 if slow else 0.002)
        taken = self.take()
        # what taking it made the kernel send
        events += self.log.collect(0, 0)
        _, lines, _ = run(["conntrack", "-L", "-o", "extended"])
        connections = [line.strip() for line in lines.split("\n") if line.strip() != ""]
        return {"events": [details(event) for event in events], "taken": taken, "errno": problem, "connections": connections}

    def make(self, packet):
        way, text = packet["way"], packet.get("text", "").encode()
        if way == "wire":
            self.wires[packet["iif"]].send(frame(packet, self.macs[packet["iif"]]))
        elif way == "open":
            self.open(packet, text)
        elif way == "more":
            self.send_again(text)
        elif way == "close":
            closing = self.children[-1] if self.children else self.client
            if closing is not None:
                closing.shutdown(socket.SHUT_WR)
        elif self.children:
            self.children[-1].send(text)
        elif self.asker is not None:
            self.answer_datagram(text)

    def answer_datagram(self, text):
        """As servers do: from the address that the datagram came to."""
        sock, control, sender = self.asker
        ancillary = []
        for level, kind, data in control:
            if kind == IP_PKTINFO and level == socket.SOL_IP:
                ancillary.append((level, kind, struct.pack("i4s4s", 0, data[8:12], b"\0" * 4)))
            elif kind == IPV6_PKTINFO and level == socket.IPPROTO_IPV6:
                ancillary.append((level, kind, data[:16] + struct.pack("i", 0)))
        if any(level == socket.IPPROTO_IPV6 for level, _, _ in ancillary):
            ancillary = [one for one in ancillary if one[0] == socket.IPPROTO_IPV6]
        sock.sendmsg([text], ancillary, 0, sender)

    def open(self, flow, text):
        self.client, self.flow = opened(flow), flow
        bind(self.client, flow)
        if flow["protocol"] == "tcp" or (flow["protocol"] == "udp" and flow.get("connects")):
            self.client.connect((flow["dst"], flow["dport"]))
        if flow["protocol"] != "tcp":
            self.send_again(text)

    def send_again(self, text):
        flow = self.flow
        if self.client is None:
            return
        if flow["protocol"] == "icmp":
            self.client.sendto(raw_message(flow, text), (flow["dst"], 0))
        elif flow["protocol"] == "tcp" or flow.get("connects"):
            self.client.send(text)
        else:
            self.client.sendto(text, (flow["dst"], flow["dport"]))


def main():
    bench = Talk(sys.argv[1])

    def more(command):
        if "begin" in command:
            return bench.begin()
        return bench.say(command["say"]) if "say" in command else None

    serve(bench, more)


main()
