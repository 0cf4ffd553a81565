#!/usr/bin/python3
"""A TFTP server for one small file (RFC 1350): `tftp.py NAME CONTENT`.

It prints the name in every read request. Whatever is not NAME does not exist.
"""

import socket
import struct
import sys

name, content = (text.encode() for text in sys.argv[1:3])
assert len(content) < 512, "one block holds the file"
READ, DATA, ERROR, NOT_FOUND = 1, 3, 5, 1

listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
listener.bind(("", 69))
while True:
    request, client = listener.recvfrom(1500)
    if request[:2] != struct.pack("!H", READ):
        continue
    wanted = request[2:].split(b"\0")[0]
    print("wanted:", wanted.decode(errors="replace"), flush=True)
    # Every transfer has a port of its own; a lost block is asked for again by a new request.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as transfer:
        if wanted == name:
            transfer.sendto(struct.pack("!HH", DATA, 1) + content, client)
        else:
            transfer.sendto(struct.pack("!HH", ERROR, NOT_FOUND) + b"no such file\0", client)
