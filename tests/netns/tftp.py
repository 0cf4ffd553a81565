#!/usr/bin/python3
"""A TFTP server for small files (RFC 1350, 2347, 2349): `tftp.py NAME CONTENT [NAME CONTENT]...`.

It prints the name in every read request, and again when the client has the whole file. Whatever is
not NAME does not exist.
"""

import socket
import struct
import sys

READ, DATA, ACK, ERROR, OPTIONS = 1, 3, 4, 5, 6
NOT_FOUND = 1
BLOCK = 512

arguments = [text.encode() for text in sys.argv[1:]]
files = dict(zip(arguments[::2], arguments[1::2]))
assert files and all(len(content) < BLOCK for content in files.values()), "one block holds a file"

listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
listener.bind(("", 69))


def say(what, name):
    print(f"{what}: {name.decode(errors='replace')}", flush=True)


def answers(transfer, packet, number):
    """Sends `packet` to the client until it is acknowledged; a client may also just stop."""
    for _ in range(5):
        transfer.send(packet)
        try:
            if transfer.recv(1500)[:4] == struct.pack("!HH", ACK, number):
                return True
        except TimeoutError:
            continue
        except OSError:
            return False
        return False
    return False


while True:
    request, client = listener.recvfrom(1500)
    if request[:2] != struct.pack("!H", READ):
        continue
    wanted, _mode, *pairs = request[2:].split(b"\0")[:-1]
    say("wanted", wanted)
    # Every transfer has a port of its own; a lost request is sent again.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as transfer:
        transfer.settimeout(1)
        transfer.connect(client)
        content = files.get(wanted)
        if content is None:
            transfer.send(struct.pack("!HH", ERROR, NOT_FOUND) + b"no such file\0")
            continue
        asked = {key.lower() for key in pairs[::2]}
        if b"tsize" in asked:
            size = struct.pack("!H", OPTIONS) + b"tsize\0%d\0" % len(content)
            # Firmware asks for the size alone first, and ends the transfer there.
            if not answers(transfer, size, 0):
                continue
        if answers(transfer, struct.pack("!HH", DATA, 1) + content, 1):
            say("has", wanted)
