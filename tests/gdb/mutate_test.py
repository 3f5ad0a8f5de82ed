"""Mutated packets never crash the server, half of them in either view.
Usage: mutate_test.py REPRISE GUEST-FOLDER SEGFAULT-PROGRAM [COUNT [SEED]]

With a server built with -Db_sanitize=address,undefined, any report ends it and the test fails."""

import random
import subprocess
import sys
import tempfile

from remote import Client, Server, check_twice, done, ok, same

# Of the machine view of the guest random, where process and thread are 1.
SEEDS = [
    b"qSupported:multiprocess+;swbreak+", b"?", b"g", b"p10", b"P10=00", b"m100000,40",
    b"M100000,2:0000", b"X100000,2:ab", b"c", b"s", b"bc", b"bs", b"vCont?", b"vCont;c",
    b"vCont;s:p1.1;c", b"vCont;r100000,100040:p1.1", b"vCont;S05:p1.-1",
    b"Z0,100010,1;X7,26000722001327", b"Z1,100020,1;X4,26000727X1,27;cmds:0,X1,27",
    b"Z2,1ff0,10", b"Z3,2000,1000", b"Z4,100000,8", b"z0,100010,1", b"z1,100020,1", b"z2,1ff0,10",
    b"z3,2000,1000", b"z4,100000,8", b"Hgp1.1", b"Hcp1.-1", b"Tp1.1", b"qC", b"qfThreadInfo",
    b"qGetTLSAddr:p1.1,1fb80,0", b"qXfer:features:read:target.xml:0,ffb", b"qXfer:threads:read::0,1000",
    b"qSearch:memory:100000;2000;abc", b"qRcmd,7768656e", b"qRcmd,7365656b2035303030",
    b"qRcmd,6576656e7473", b"qRcmd,6c6173742d77726974652030783130303030302034",
    b"qRcmd,636865636b706f696e74", b"QNonStop:0", b"x100000,20",
    b"qXfer:auxv:read::0,100", b"qXfer:exec-file:read:1:0,100", b"vFile:setfs:0",
    b"vFile:open:2f6574632f706173737764,0,0", b"vFile:pread:1,100,0", b"vFile:fstat:1", b"vFile:close:1",
    b"vFile:readlink:2f62696e", b"qGetTLSAddr:p1.1,8,0", b"bc", b"bs", b"qRcmd,636f6e736f6c65",
    b"qRcmd,7472616e736c6174652030783130303030", b"qRcmd,706879736963616c206f6e", b"qRcmd,7365656b20656e64",
    # Expressions with jumps, stack operations, reads of memory, division.
    b"Z0,100010,1;Xf,2200282b3233200000210003270a0b",
    b"Z0,100010,1;X10,24001000001a25000000000000000004",
]

# More of the process view, where a program's code and stack lie at other places.
PROCESS_SEEDS = [
    "m{pc:x},40", "m{sp:x},100", "x{sp:x},20", "vCont;r{pc:x},{end:x}:p{pid:x}.{pid:x}", "Hgp{pid:x}.{pid:x}",
    "Tp{pid:x}.{pid:x}", "qGetTLSAddr:p{pid:x}.{pid:x},0,0", "vCont;s:p{pid:x}.{pid:x};c", "Z0,{pc:x},1",
    "z0,{pc:x},1", "Z2,{sp:x},8", "z2,{sp:x},8", "Z3,{sp:x},1000", "z3,{sp:x},1000", "Z4,{sp:x},ffff",
    "z4,{sp:x},ffff", "Z1,{pc:x},1;X4,26000727X1,27", "qSearch:memory:{sp:x};2000;abc",
    "vFile:open:{maps},0,0", "qXfer:auxv:read::0,1000", "qXfer:exec-file:read:{pid:x}:0,100",
    "qRcmd,{last_write}", "qRcmd,{translate}", "qRcmd,7365656b207374617274",
]


def process_seeds(client):
    """The seeds for where the process stands now."""
    pid = int(client.ask("qC")[3:].split(".")[0], 16)
    pc, sp = (int.from_bytes(bytes.fromhex(client.ask(packet)), "little") for packet in ("p10", "p7"))
    return SEEDS + [seed.format(pid=pid, pc=pc, end=pc + 64, sp=sp, maps=f"/proc/{pid}/maps".encode().hex(),
                                last_write=f"last-write {sp:#x} 8".encode().hex(),
                                translate=f"translate {sp:#x}".encode().hex()).encode()
                    for seed in PROCESS_SEEDS]


def mutate(packet, seeds):
    data = bytearray(packet)
    for _ in range(random.choice((0, 1, 1, 2, 3, 8))):
        kind = random.randrange(6)
        at = random.randrange(len(data) + 1)
        if kind == 0 and data:
            data[at - 1] = random.randrange(256)
        elif kind == 1:
            data.insert(at, random.choice(b"0123456789abcdef,;:.-pX"))
        elif kind == 2 and data:
            del data[at - 1]
        elif kind == 3:
            data[at:at] = random.choice(seeds)[:random.randrange(20)]
        elif kind == 4:
            del data[at:]
        else:
            data[at:at] = bytes(random.choice(b"0f8") for _ in range(random.choice((1, 8, 17, 400))))
    return bytes(data[:15000])


def frame(packet):
    escaped = b"".join(bytes([0x7d, c ^ 0x20]) if c in b"#$}*" else bytes([c]) for c in packet)
    return b"$%s#%02x" % (escaped, sum(escaped) & 255)


def ends_connection(packet):
    return packet[:1] in (b"D", b"k") or packet.startswith(b"vKill;")


def record(path, *command):
    subprocess.run([sys.argv[1], *command[:1], "-o", path, *command[1:]], stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def receive(client):
    """The next packet; what runs for long, as stepping through all there is, ends by a ^C."""
    client.socket.settimeout(0.2)
    try:
        return client.receive()
    except TimeoutError:
        client.socket.settimeout(600)
        client.send_raw(b"\x03")
        return client.receive()


def send_mutations(client, seeds, count):
    """Returns how many were answered, and the last that was sent."""
    answered, packet = 0, b""
    while answered < count:
        packet = mutate(random.choice(seeds), seeds)
        if ends_connection(packet):
            continue
        client.send_raw(frame(packet))
        reply = receive(client)
        while reply and reply.startswith("O") and reply != "OK":
            reply = receive(client)
        if reply is None:
            break
        answered += 1
    return answered, packet


def test_view(name, count, make_seeds, file, *options):
    with Server(sys.argv[1], file, *options) as server:
        client = Client(server.socket, timeout=600)
        answered, last = send_mutations(client, make_seeds(client), count)
        same(answered, count, f"{name}: mutated packets are answered")
        ok(answered == count, f"{name}: the last one sent", last)
        client.close()
        client = Client(server.socket, timeout=600)
        ok(client.ask("qC").startswith("QCp"), f"{name}: and the server serves on")
        client.close()
    ok(server.status in (0, -15), f"{name}: it ends in good order", server.status)


def main():
    count = int(sys.argv[4]) if len(sys.argv) > 4 else 3000
    random.seed(int(sys.argv[5]) if len(sys.argv) > 5 else 1)
    with tempfile.TemporaryDirectory() as folder:
        machine, process = folder + "/random.rpz", folder + "/segfault.rpz"
        record(machine, "record", "--kernel", sys.argv[2] + "/random.elf", "--mem", "16M", "--clock", "virtual")
        record(process, "run", "--", sys.argv[3])
        test_view("machine", count // 2, lambda client: SEEDS, machine, "--at", "start")
        test_view("process", count - count // 2, process_seeds, process, "--process", "segfault", "--at", "crash")
        check_twice(sys.argv[1], folder)
    done()


main()
