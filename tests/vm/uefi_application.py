#!/usr/bin/python3
"""Writes the smallest UEFI application (PE32+, x86-64) to FILE: `uefi_application.py FILE`.

It writes 0x2a to I/O port 0x501, where QEMU's `isa-debug-exit` ends the machine with status 85.
"""

import pathlib
import struct
import sys

CODE = bytes.fromhex("66ba0105" "b02a" "ee" "31c0" "c3")  # mov dx,0x501; mov al,0x2a; out; 0; ret
ALIGNMENT = 512
HEADERS, TEXT, AMD64, EFI_APPLICATION = ALIGNMENT, ALIGNMENT, 0x8664, 10
OPTIONAL_SIZE = 240

dos = b"MZ".ljust(60, b"\0") + struct.pack("<I", 64)
coff = b"PE\0\0" + struct.pack("<HHIIIHH", AMD64, 1, 0, 0, 0, OPTIONAL_SIZE, 0x22e)
optional = struct.pack(
    "<HBBIIIII QIIHHHHHHIIIIHHQQQQII",
    0x20b, 0, 0, ALIGNMENT, 0, 0, TEXT, TEXT,
    0, ALIGNMENT, ALIGNMENT, 0, 0, 0, 0, 0, 0, 0, HEADERS + ALIGNMENT, HEADERS, 0,
    EFI_APPLICATION, 0, 0, 0, 0, 0, 0, 16,
) + bytes(16 * 8)
assert len(optional) == OPTIONAL_SIZE
section = struct.pack("<8sIIIIIIHHI", b".text", ALIGNMENT, TEXT, ALIGNMENT, HEADERS, 0, 0, 0, 0,
                      0x60000020)
headers = (dos + coff + optional + section).ljust(HEADERS, b"\0")
pathlib.Path(sys.argv[1]).write_bytes(headers + CODE.ljust(ALIGNMENT, b"\0"))
