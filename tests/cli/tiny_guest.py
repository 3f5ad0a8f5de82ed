"""A guest of a few dozen instructions, for tests that need a recording but no Linux.

A multiboot kernel (Multiboot Specification 0.6.96, 3.1) that reads the TSC and a random number, prints
on the first serial port, and ends by CLI, HLT or runs for ever.
"""

import struct

BASE = 0x100000
HEADERS = 0x60  # of the ELF file; the multiboot header and the code follow


def _print(text_address, length):
    return (b"\xbe" + struct.pack("<I", text_address)  # mov esi, text
            + b"\xb9" + struct.pack("<I", length)      # mov ecx, length
            + b"\x66\xba\xf8\x03"                      # mov dx, 0x3f8
            + b"\xac\xee\xe2\xfc")                     # again: lodsb; out dx, al; loop again


def tiny_guest(text, endless=False):
    """The bytes of an ELF file. endless: after the text it prints a dot now and then, for ever."""
    multiboot = struct.pack("<III", 0x1BADB002, 0, (-0x1BADB002) & 0xFFFFFFFF)
    tail = (b"\xb9\x00\x00\x08\x00"  # mov ecx, 0x80000
            b"\xe2\xfe"              # loop to itself
            b"\x66\xba\xf8\x03"      # mov dx, 0x3f8
            b"\xb0\x2e\xee"          # mov al, '.'; out dx, al
            b"\xeb\xf0")             # jmp to the first of these
    if not endless:
        tail = b"\xfa\xf4\xeb\xfd"   # cli; hlt; jmp to hlt
    ask = (b"\x0f\x31"               # rdtsc
           b"\x0f\xc7\xf3")          # rdrand ebx
    entry = BASE + HEADERS + len(multiboot)
    length = len(ask) + len(_print(0, 0)) + len(tail)
    code = ask + _print(entry + length, len(text)) + tail
    body = multiboot + code + text
    size = HEADERS + len(body)
    elf = (b"\x7fELF\x01\x01\x01" + bytes(9)
           + struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, entry, 52, 0, 0, 52, 32, 1, 0, 0, 0))
    segment = struct.pack("<IIIIIIII", 1, 0, BASE, BASE, size, size, 7, 4096)
    return (elf + segment).ljust(HEADERS, b"\0") + body
