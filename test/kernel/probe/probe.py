#!/usr/bin/env python3
"""Sends real packets through a network namespace and tells how the kernel treated them.

Runs inside the namespace under test (`ip netns exec`), with the name of the peer namespace as its argument. Commands come
as JSON, one a line, on standard input; answers leave the same way. What the kernel did is seen by an nft table of its own,
at priorities before and after everything else, that logs to this program (NFLOG): the packet as it enters OUTPUT, as it
reaches the end of INPUT, as it leaves POSTROUTING.
"""
import collections
import errno
import json
import socket
import sys

from frames import frame, raw_message
from namespace import Namespace, run
from nflog import Log, probe_table
from sockets import NO_LINGER, bind, listener, opened, wires


class Bench:
    def __init__(self, peer):
        self.log = Log()
        self.namespace = Namespace()
        self.listeners = []
        self.earlier = collections.deque(maxlen=100)
        self.wires = wires(peer)
        self.macs = {}
        for name in self.wires:
            with open("/sys/class/net/%s/address" % name) as text:
                self.macs[name] = bytes.fromhex(text.read().strip().replace(":", ""))

    def listen(self, kind, address, port):
        self.listeners.append((kind, listener(kind, address, port)))

    def load(self, command):
        """What the kernel refuses is the answer; else the files, as they are without the hooks that see packets."""
        answer = self.namespace.load(command)
        if "files" in answer:
            code, _, problem = run("nft -f -", probe_table())
            if code != 0:
                raise RuntimeError(problem)
        return answer

    def drain(self):
        """Empties the listening sockets; true where a datagram had come."""
        datagram = False
        for kind, sock in self.listeners:
            try:
                while True:
                    if kind == "tcp":
                        taken, _ = sock.accept()
                        taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
                        taken.close()
                    else:
                        sock.recv(100)
                        datagram = True
            except OSError:
                pass
        return datagram

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
        """The error that the sender is told, and its socket, still open."""
        sock = opened(flow)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
        try:
            bind(sock, flow)
            if flow["protocol"] == "tcp":
                sock.connect((flow["dst"], flow["dport"]))
            elif flow["protocol"] == "udp":
                sock.sendto(b"mesh", (flow["dst"], flow["dport"]))
            else:
                sock.sendto(raw_message(flow), (flow["dst"], 0))
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
                return event["flags"] & 0x17 == 0x02
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
    """Answers commands until there are none; `more` knows those that are not of this program (None: not one of them)."""
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
