"""Runs a command on a terminal of its own, 80 columns wide, and does what its standard input says.

argv: the command. Lines in: `type CTRL-C`, `signal NUMBER`. Lines out, as JSON: {"out": text}, at the end {"exit": status or
null, "signal": number or null, "restored": whether the terminal is as it was}.
"""

import fcntl
import json
import os
import pty
import select
import struct
import sys
import termios


def say(**event):
    print(json.dumps(event), flush=True)


master, slave = pty.openpty()
fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
before = termios.tcgetattr(slave)
pid = os.fork()
if pid == 0:
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for fd in (0, 1, 2):
        os.dup2(slave, fd)
    os.closerange(3, 256)
    os.execvp(sys.argv[1], sys.argv[1:])

status = None
listening = True
while True:
    ready = select.select([master] + ([0] if listening else []), [], [], 0.1)[0]
    if master in ready:
        say(out=os.read(master, 65536).decode("utf-8", "replace"))
    if 0 in ready:
        line = os.read(0, 4096).decode()
        listening = line != ""
        for word in line.splitlines():
            if word == "type CTRL-C":
                os.write(master, b"\x03")
            elif word.startswith("signal "):
                os.kill(pid, int(word.split()[1]))
    # all that it has written is read before its end is told
    if status is not None and master not in ready:
        break
    if status is None:
        ended, code = os.waitpid(pid, os.WNOHANG)
        if ended == pid:
            status = code
say(
    exit=os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
    signal=os.WTERMSIG(status) if os.WIFSIGNALED(status) else None,
    restored=termios.tcgetattr(slave) == before,
)
