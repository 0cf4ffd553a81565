#!/usr/bin/python3
"""A TFTP server for a few small files (RFC 1350, 2347 to 2349): `tftp.py FILE...`.

It prints the name in every read request. Whatever is not the name of a FILE does not exist.
"""

import pathlib
import socket
import struct
import sys

READ, DATA, ACKNOWLEDGE, ERROR, OPTIONS = 1, 3, 4, 5, 6
NOT_FOUND = 1
PATIENCE = 1.0  # seconds; then the packet is sent once more

files = {path.name.encode(): path.read_bytes() for path in map(pathlib.Path, sys.argv[1:])}


def transfer(channel, client, content, wishes):
    block_size = int(wishes.get(b"blksize", b"512"))
    agreed = {b"blksize": b"%d" % block_size, b"tsize": b"%d" % len(content)}
    agreed = {name: value for name, value in agreed.items() if name in wishes}
    if agreed:
        words = b"".join(word + b"\0" for pair in agreed.items() for word in pair)
        if not deliver(channel, client, struct.pack("!H", OPTIONS) + words, 0):
            return
    for block in range(len(content) // block_size + 1):
        part = content[block * block_size:(block + 1) * block_size]
        if not deliver(channel, client, struct.pack("!HH", DATA, block + 1) + part, block + 1):
            return


def deliver(channel, client, packet, block):
    """Sends until the block is acknowledged; False if the client will have no more."""
    for _ in range(5):
        channel.sendto(packet, client)
        try:
            while True:
                answer = channel.recv(1500)
                kind, number = struct.unpack("!HH", answer[:4])
                if kind != ACKNOWLEDGE:
                    return False
                if number == block:
                    return True
        except TimeoutError:
            continue
    return False


# One socket for both families: IPv4 comes as ::ffff:0:0/96.
listener = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
listener.bind(("::", 69))
while True:
    request, client = listener.recvfrom(1500)
    if request[:2] != struct.pack("!H", READ):
        continue
    wanted, _, *words = request[2:].rstrip(b"\0").split(b"\0")
    print("wanted:", wanted.decode(errors="replace"), flush=True)
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as channel:
        channel.settimeout(PATIENCE)
        if wanted in files:
            transfer(channel, client, files[wanted],
                     dict(zip((word.lower() for word in words[::2]), words[1::2])))
        else:
            channel.sendto(struct.pack("!HH", ERROR, NOT_FOUND) + b"no such file\0", client)
