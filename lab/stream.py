#!/usr/bin/env python3
"""Keeps traffic with a guest going until it is told to end (SIGTERM), and says how that went.

    stream.py ping SOURCE GUEST     `answered COUNT, longest gap MS ms`
    stream.py tcp SOURCE GUEST      `whole`, or what was wrong: lines that the guest echoes on port 7

The first answer is said, too: `answered`. Each sends every 20 ms.
"""

import select
import signal
import socket
import struct
import sys
import time

INTERVAL = 0.02
# How long the last lines may take: TCP waits longer and longer before it sends anew.
REST = 180
ended = False


def end(*_):
    global ended
    ended = True


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def echo_request(sequence):
    header = struct.pack("!BBHHH", 8, 0, 0, 7, sequence & 0xFFFF)
    return header[:2] + struct.pack("!H", checksum(header)) + header[4:]


def ping(source, guest):
    icmp = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    icmp.bind((source, 0))
    icmp.connect((guest, 0))
    answered, sequence, last, longest = 0, 0, None, 0.0
    following = time.monotonic()
    while not ended:
        if time.monotonic() >= following:
            try:
                icmp.send(echo_request(sequence))
            except OSError:
                pass  # An ICMP error that came meanwhile, or nobody there just now.
            sequence += 1
            following += INTERVAL
        if not select.select([icmp], [], [], max(0, following - time.monotonic()))[0]:
            continue
        try:
            packet = icmp.recv(2048)
        except OSError:
            continue
        # An echo reply, behind an IPv4 header.
        if packet[(packet[0] & 15) * 4] == 0:
            now = time.monotonic()
            if last is None:
                print("answered", flush=True)
            else:
                longest = max(longest, now - last)
            last = now
            answered += 1
    # The guest may be silent to the end.
    if last is not None:
        longest = max(longest, time.monotonic() - last)
    print(f"answered {answered}, longest gap {longest * 1000:.0f} ms", flush=True)


def tcp(source, guest):
    connection = socket.create_connection((guest, 7), timeout=REST, source_address=(source, 0))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sent, seen, number = b"", b"", 0
    limit = None
    while limit is None or len(seen) < len(sent):
        if ended and limit is None:
            limit = time.monotonic() + REST
        if limit is not None and time.monotonic() > limit:
            print(f"{len(sent) - len(seen)} of {len(sent)} bytes did not come back", flush=True)
            return
        if limit is None:
            line = f"{number}\n".encode()
            connection.sendall(line)
            sent += line
            number += 1
        following = time.monotonic() + INTERVAL
        while (rest := following - time.monotonic()) > 0:
            if select.select([connection], [], [], rest)[0]:
                data = connection.recv(65536)
                if not data:
                    print(f"closed after {len(seen)} bytes", flush=True)
                    return
                if not seen:
                    print("answered", flush=True)
                seen += data
    print("whole" if seen == sent else "other bytes came back than were sent", flush=True)


signal.signal(signal.SIGTERM, end)
try:
    {"ping": ping, "tcp": tcp}[sys.argv[1]](*sys.argv[2:])
except OSError as error:
    print(f"{sys.argv[1]}: {error}", flush=True)
