#!/usr/bin/env python3
"""Writes the fuzz targets' seed corpus: small inputs that reach every branch worth starting from.

Usage: make_corpus.py [DIRECTORY]    default: corpus beside this file. The files are in the tree; this
program says what is in them.
"""

import gzip
import lzma
import struct
import sys
from pathlib import Path

CODE = b"\xfa\xf4\xeb\xfd"  # cli; hlt; jmp to hlt
MIB = 1 << 20


# ---- loaders: a byte of options, then the file ----

def elf32(body, entry, gpa=MIB):
    header = (b"\x7fELF\x01\x01\x01" + bytes(9)
              + struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, entry, 52, 0, 0, 52, 32, 1, 0, 0, 0))
    segment = struct.pack("<IIIIIIII", 1, 0x60, gpa, gpa, len(body), len(body) + 64, 7, 4096)
    return (header + segment).ljust(0x60, b"\0") + body


def elf64(body, entry, segments, gpa=MIB):
    """segments: (type, offset into body, bytes, alignment)."""
    offset = 64 + 56 * len(segments)
    file = (b"\x7fELF\x02\x01\x01" + bytes(9)
            + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, entry, 64, 0, 0, 64, 56, len(segments), 0, 0, 0))
    for kind, at, size, align in segments:
        file += struct.pack("<IIQQQQQQ", kind, 7, offset + at, gpa + at, gpa + at, size, size + 64,
                            align)
    return file + body


def pvh():
    note = struct.pack("<III", 4, 4, 18) + b"Xen\0" + struct.pack("<I", MIB)
    other = struct.pack("<III", 4, 2, 1) + b"GNU\0" + b"ab\0\0"
    body = CODE + other + note
    return elf64(body, MIB, [(1, 0, len(body), 4096), (4, 4, len(body) - 4, 4)])


def multiboot_header(flags, *addresses):
    return struct.pack("<III", 0x1BADB002, flags, -(0x1BADB002 + flags) & 0xFFFFFFFF) + struct.pack(
        f"<{len(addresses)}I", *addresses)


def multiboot_by_addresses():
    header = multiboot_header(0x10003, MIB, MIB, 0, MIB + 0x2000, MIB + 32)
    return header + CODE


def zstd_frame(data):
    """One raw block (RFC 8878, 3.1.1): single segment, content size of 2 bytes."""
    return (b"\x28\xb5\x2f\xfd\x60" + struct.pack("<H", len(data) - 256)
            + struct.pack("<I", len(data) << 3 | 1)[:3] + data)


def lz4_legacy(data):
    """One block of literals alone."""
    n = len(data) - 15
    block = b"\xf0" + b"\xff" * (n // 255) + bytes([n % 255]) + data
    return b"\x02\x21\x4c\x18" + struct.pack("<I", len(block)) + block


def bzimage(payload, with_size=True, unpacked=0):
    """Boot protocol 2.15, one setup sector, the payload right at the start of the code."""
    code = payload + (struct.pack("<I", unpacked) if with_size else b"")
    file = bytearray(1024)
    file[0x1f1] = 1
    struct.pack_into("<I", file, 0x1f4, (len(code) + 15) // 16)
    struct.pack_into("<H", file, 0x1fe, 0xAA55)
    file[0x201] = 0x6A
    file[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", file, 0x206, 0x20F)
    struct.pack_into("<I", file, 0x22c, 0x7FFFFFFF)
    file[0x234] = 1
    struct.pack_into("<H", file, 0x236, 1)
    struct.pack_into("<I", file, 0x238, 2047)
    struct.pack_into("<II", file, 0x248, 0, len(code))
    struct.pack_into("<Q", file, 0x258, MIB)
    struct.pack_into("<I", file, 0x260, 0x10000)
    return bytes(file) + code


def boot():
    kernel = elf64(CODE.ljust(300, b"\x90"), MIB, [(1, 0, 300, 4096)])
    multiboot = elf32(multiboot_header(3) + CODE, MIB + 12)
    size = len(kernel)
    return {
        "pvh": b"\x0f" + pvh(),
        "pvh-little-ram": b"\x10" + pvh(),
        "multiboot": b"\x0f" + multiboot,
        "multiboot-addresses": b"\x0d" + multiboot_by_addresses(),
        "bzimage-packed": b"\x07" + bzimage(CODE.ljust(600, b"\x90"), with_size=False),
        "bzimage-gzip": b"\x07" + bzimage(gzip.compress(kernel, mtime=0), with_size=False),
        "bzimage-xz": b"\x05" + bzimage(lzma.compress(kernel, check=lzma.CHECK_CRC32), True, size),
        "bzimage-lzma": b"\x00" + bzimage(lzma.compress(kernel, lzma.FORMAT_ALONE), True, size),
        "bzimage-zstd": b"\x00" + bzimage(zstd_frame(kernel), True, size),
        "bzimage-lz4": b"\x00" + bzimage(lz4_legacy(kernel), True, size),
        "empty": b"\x00",
    }


# ---- the log reader: a zero, then records that the target frames as chunks ----

def varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def difference(value):
    return varint(value << 1 if value >= 0 else (-value << 1) - 1)


def record(kind, items, first, span, content):
    return struct.pack("<BHBBH", kind, items, first, span, len(content)) + content


def events(*columns):
    """Columns by number; the others are empty."""
    table = dict(columns)
    pieces = [table.get(i, b"") for i in range(14)]
    return b"".join(struct.pack("<I", len(piece)) for piece in pieces) + b"".join(pieces)


def message(*fields):
    """Protobuf: (number, value) with numbers as varints and bytes as length-delimited."""
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        else:
            out += varint(number << 3 | 2) + varint(len(value)) + value
    return out


PAGES, RAM, EVENTS, ATTACHMENT, TRAILER, INDEX = 2, 3, 4, 5, 6, 7
PAGE = record(PAGES, 1, 0, 0, b"page")
TWO_INPUTS = events((0, b"\1\1"), (1, b"\0\5"), (2, b"\0\0"), (3, b"\6\x08\0"),
                    (4, difference(77) + difference(-5)))
ALL_KINDS = events(
    (0, bytes(range(1, 12))), (1, bytes(11)), (2, b"\0"), (3, b"\1\1" + varint(0x3F8)),
    (4, difference(97)), (5, difference(1000)), (6, difference(1 << 32)), (7, difference(0x5FF0)),
    (8, varint(4096 + 32)), (9, b"\0"), (10, bytes(32)), (11, bytes(6)), (12, bytes(6)),
    (13, bytes(24)))
END = record(TRAILER, 0, 0, 0, message((1, 9), (2, b"power-off"), (4, 2)))


def log():
    one = record(EVENTS, 2, 1, 5, TWO_INPUTS)
    return {
        "inputs": b"\0" + one + END,
        "two-chunks": b"\0" + one + record(EVENTS, 2, 6, 5, TWO_INPUTS) + END,
        "all-kinds": b"\0" + PAGE + PAGE + record(EVENTS, 11, 3, 0, ALL_KINDS),
        "ram": b"\0" + PAGE + record(RAM, 2, 0, 0, b"\2\0\0\1") + one,
        "attachment": b"\0" + PAGE + record(ATTACHMENT, 0, 0, 0, message(
            (1, b"name"), (2, b"id"), (3, 5000), (4, b"\0\1"))) + one + END,
        "attachment-without-pages": b"\0" + record(ATTACHMENT, 0, 0, 0, message(
            (1, b"name"), (3, 0))) + one + END,
        "header-again": b"\0" + record(1, 0, 0, 0, message((1, 1))),
        "magic": b"\1\x89RPZ\r\n\x1a\n\1\0\0\0\0\0\0\0RPZc\x10\0\0\0",
        "empty": b"\1",
    }


# ---- states: a zero, a count of changes, changes, what follows ----

def access(where, register, value, how):
    return struct.pack("<BBHB", where, register, value, how)


def platform():
    port_write, mmio_write, msr_write = 0x80, 0xC0, 0xA0
    timer = [access(port_write | 4, 3, 0x34, 0), access(port_write | 4, 0, 0x10, 0),
             access(port_write | 4, 0, 0, 0), access(4, 0, 0x7FFF, 0)]
    uart = [access(port_write | 0, 1, 15, 0), access(0, 5, 900, 0), access(0, 0, 900, 0)]
    virtio = [access(mmio_write | 2, 0x70, 3, 2), access(mmio_write | 2, 0x30, 0, 2),
              access(mmio_write | 2, 0x38, 8, 2), access(mmio_write | 2, 0x80, 0x40, 2),
              access(mmio_write | 2, 0x90, 0x400, 2), access(mmio_write | 2, 0xA0, 0x800, 2),
              access(mmio_write | 2, 0x44, 1, 2), access(mmio_write | 2, 0x50, 0, 2)]
    apic = [access(msr_write, 0xF, 0x1FF, 0), access(msr_write, 0x32, 0x20, 0),
            access(msr_write, 0x3E, 11, 0), access(msr_write, 0x38, 300, 0), access(0x20, 0x39, 9, 0)]
    return {
        "accesses": b"\0\0" + b"".join(timer + uart + apic),
        "virtio": b"\0\0" + b"".join(virtio),
        "changed": b"\0\2" + struct.pack("<HBHB", 5, 1, 300, 2) + b"".join(uart),
        "as-it-is": b"\1\x08\1\x10\5",
        "empty": b"",
    }


def state():
    real = b"\xb8\x34\x12\xe6\x60\xe4\x60\xcd\x10\xf4"
    long = b"\x48\x31\xc0\x48\xff\xc0\x50\x0f\xa2\x0f\xae\x04\x24\xf3\x48\xa5\xcc"
    return {
        "real": b"\0\0" + real,
        "long": b"\2\0" + long,
        "changed": b"\2\2" + struct.pack("<HBHB", 60, 1, 900, 1) + long,
        "as-it-is": b"\1" + bytes(40),
    }


def main():
    top = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "corpus"
    for target, make in (("boot", boot), ("log", log), ("platform", platform), ("state", state)):
        directory = top / target
        directory.mkdir(parents=True, exist_ok=True)
        for name, data in make().items():
            (directory / name).write_bytes(data)


main()
