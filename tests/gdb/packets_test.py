"""Packet transcripts over a small guest's recording, without gdb. Usage: packets_test.py REPRISE GUEST-FOLDER"""

import re
import subprocess
import sys
import tempfile

from remote import Client, Server, check_twice, done, ok, same

# Each packet and what the whole answer must match.
TRANSCRIPT = [
    ("qSupported:multiprocess+;swbreak+;hwbreak+;vContSupported+",
     r"PacketSize=4000;.*ReverseStep\+;ReverseContinue\+.*qXfer:features:read\+.*"),
    ("vMustReplyEmpty", ""),
    ("QNonStop:0", "OK"),
    ("QNonStop:1", r"E\..+"),
    ("?", r"T05thread:p1\.1;"),
    ("qC", r"QCp1\.1"),
    ("qAttached:1", "1"),
    ("qfThreadInfo", r"mp1\.1"),
    ("qsThreadInfo", "l"),
    ("Tp1.1", "OK"),
    ("Tp1.7", "E01"),
    ("Tp2.1", "E01"),
    ("Hgp1.1", "OK"),
    ("Hgp0.0", "OK"),
    ("Hc-1", "OK"),
    ("Hx", "E01"),
    ("qXfer:threads:read::0,1000", r"l<\?xml.*<thread id=\"p1\.1\" core=\"0\" name=\"vCPU 0\">.*"),
    ("qXfer:features:read:target.xml:0,20", r"m<\?xml version=.*"),
    ("qXfer:features:read:target.xml:0,zz", "E01"),
    ("qXfer:features:read:other.xml:0,20", "E01"),
    ("qXfer:features:read:target.xml:ffffff,20", "E01"),
    ("p10", "[0-9a-f]{16}"),
    ("pffff", "E01"),
    ("p", "E01"),
    ("P10=0000000000000000", r"E\..*recording.*"),
    ("G00", r"E\..*recording.*"),
    ("m100000,10", "[0-9a-f]{32}"),
    ("m100000,0", ""),
    ("mffffffffff,10", "E0e"),
    ("m10", "E01"),
    ("mffffffffffffffffff,1", "E01"),
    ("M100000,1:00", r"E\..*recording.*"),
    ("X100000,0:", r"E\..*recording.*"),
    ("qSearch:memory:100000;1000;\x00", r"1,1000[0-9a-f]{2}|1,10[0-9a-f]+"),
    ("qSearch:memory:100000;100;no such thing here", "0"),
    ("qSearch:memory:100000;100", "E01"),
    ("vCont?", "vCont;c;C;s;S;r"),
    ("vCont;x", "E01"),
    ("vCont", ""),
    ("vCont;s:p1.9", "E01"),
    ("Z0,nonsense", "E01"),
    ("Z9,100000,1", "E01"),
    ("Z2,100000,0", "E01"),
    ("Z0,100000,1;X2,22", "E01"),
    ("z0,100000,1", "OK"),
    ("bs", r"T05replaylog:begin;thread:p1\.1;"),
    ("bc", r"T05replaylog:begin;thread:p1\.1;"),
    ("s", r"T05thread:p1\.1;"),
    ("c100", r"E\..*recording.*"),
    ("vCont;s:p1.1;c", r"T05thread:p1\.1;"),
    ("bs", r"T05thread:p1\.1;"),
    ("bs", r"T05thread:p1\.1;"),
    ("bs", r"T05replaylog:begin;thread:p1\.1;"),
    ("c", r"T05replaylog:end;thread:p1\.1;"),
    ("s", r"T05replaylog:end;thread:p1\.1;"),
    ("bs", r"T05thread:p1\.1;"),
    ("nosuchpacket", ""),
]

STOPS = 20
# Conditions in the agent's code (register 7: the stack pointer).
RSP_IS_RSP = "2600072600071327"
RSP_IS_0 = "26000722001327"

MONITOR = [
    ("when", r"icount \d+ of \d+, guest time .*", "OK"),
    ("help", r"(?s).*last-write.*", "OK"),
    ("", r"(?s).*last-write.*", "OK"),
    ("seek", r"usage: monitor seek N\n", "E01"),
    ("seek x", r".*wanted\n", "E01"),
    ("seek 1000", r"(?s)icount 1000 of .*", "OK"),
    ("checkpoint", r"checkpoint at 1000; \d+ in all.*", "OK"),
    ("events", r"(?s).*---- 1000 is here ----.*", "OK"),
    ("translate 0x100000", r"0x100000 is physical 0x100000\n", "OK"),
    ("last-write 1", r"usage: .*", "E01"),
    ("physical on", "", "OK"),
    ("physical maybe", r"on or off is wanted\n", "E01"),
    ("physical off", "", "OK"),
    ("dance", r"no such command; monitor help lists them\n", "E01"),
    ("seek end", r"(?s)icount (\d+) of \1,.*", "OK"),
    ("console", r"(?s).*time done\n", "OK"),
    ("console serial", r"(?s).*time done\n", "OK"),
    ("console parallel", r".*wanted\n", "E01"),
]


def record(guests, path):
    subprocess.run([sys.argv[1], "record", "--kernel", guests + "/time.elf", "--mem", "32M", "--clock",
                    "virtual", "-o", path], stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)


def position(client):
    return int(re.match(r"icount (\d+)", client.monitor("when")[0])[1])


def pc(client):
    return int.from_bytes(bytes.fromhex(client.ask("p10")), "little")


def hits(client, packet, limit):
    """Positions of stops until an end of the recording."""
    found = []
    while len(found) < limit:
        reply = client.ask(packet)
        if "replaylog" in reply:
            break
        found.append(position(client))
    return found


def test_breakpoint(client):
    client.monitor("seek 20000")
    address = pc(client)
    client.monitor("seek 0")
    client.ask("qSupported:swbreak+;hwbreak+")
    same(client.ask(f"Z1,{address:x},1"), "OK", "a hardware breakpoint is set")
    same(client.ask("c"), "T05hwbreak:;thread:p1.1;", "it is met and told as one")
    client.ask(f"z1,{address:x},1")
    client.monitor("seek 0")
    same(client.ask(f"Z0,{address:x},1"), "OK", "a breakpoint is set")
    reply = client.ask("c")
    same(reply, "T05swbreak:;thread:p1.1;", "it is met")
    same(pc(client), address, "there")
    first = position(client)
    forward = [first] + hits(client, "c", 20)
    backward = hits(client, "bc", 1000)
    same(backward, forward[-2::-1], "backwards the same hits, in reverse")
    same(position(client), 0, "and then the start")
    same(client.ask("vCont;c:p1.-1"), "T05swbreak:;thread:p1.1;", "and forward again")
    same(position(client), first, "to the same hit")
    # The stack pointer (register 7) is never 0, always itself.
    client.ask(f"Z0,{address:x},1;X7,26000722001327")
    client.monitor("seek 0")
    ok("replaylog:end" in client.ask("c"), "a condition that never holds")
    client.ask(f"Z0,{address:x},1;X4,26000727")
    client.monitor("seek 0")
    ok("swbreak" in client.ask("c"), "one that holds")
    client.ask(f"Z0,{address:x},1;X1,ff")
    client.monitor("seek 0")
    ok("swbreak" in client.ask("c"), "one that cannot be evaluated stops")
    client.ask(f"z0,{address:x},1")


def test_watchpoint(client):
    client.monitor("seek 20000")
    stack = int.from_bytes(bytes.fromhex(client.ask("p7")), "little")
    address = stack & 0xffffffff
    same(client.ask(f"Z2,{address:x},10"), "OK", "a watchpoint is set")
    client.monitor("seek 0")
    forward = hits(client, "c", 5)
    ok(len(forward) == 5, "it is met", forward)
    ok(client.ask("bc").startswith("T05watch:"), "backwards too")
    same(position(client), forward[-1] - 1, "the position before the step that writes")
    same([forward[-1] - 1] + hits(client, "bc", 4), [n - 1 for n in forward[::-1]],
         "all of them")
    client.ask(f"z2,{address:x},10")
    client.monitor(f"seek {forward[2]}")
    text, _ = client.monitor(f"last-write 0x{address:x} 16")
    ok(f"icount {forward[2] - 1} of" in text, "last-write names the step", text)
    same(position(client), forward[2], "and stays where it was")


def first_stops(client, limit):
    """From the start: the position of each, and the general registers there."""
    client.monitor("seek 0")
    found = []
    while len(found) < limit and "replaylog" not in client.ask("c"):
        found.append((position(client), [client.ask(f"p{n:x}") for n in range(16)]))
    return found


def choose(stops):
    """A condition in the agent's code that holds at some of the stops, and their positions. The stack pointer is
    preferred: what pushes changes it too."""
    for number in (7, *range(16)):
        values = [registers[number] for _, registers in stops]
        wanted = values[len(values) // 2]
        if values.count(wanted) <= len(values) // 2:
            code = f"26{number:04x}25{bytes.fromhex(wanted)[::-1].hex()}1327"
            return code, [at for (at, _), value in zip(stops, values) if value == wanted]
    raise RuntimeError("no register tells some stops from the others")


def test_conditions(client, point, ahead):
    """With c and with bc, which stops so many steps ahead of where c does. A condition sees what is behind
    an access in both directions."""
    client.ask("Z" + point)
    stops = first_stops(client, STOPS)
    client.ask("z" + point)
    same(len(stops), STOPS, f"Z{point}: stops to choose from")
    code, chosen = choose(stops)
    last = stops[-1][0]
    for name, condition, expected in (("at times", code, chosen), ("always", RSP_IS_RSP, [at for at, _ in stops])):
        client.ask(f"Z{point};X{len(condition) // 2:x},{condition}")
        client.monitor("seek 0")
        same(hits(client, "c", len(expected)), expected, f"Z{point}, true {name}: c")
        client.monitor(f"seek {last}")
        same(hits(client, "bc", STOPS), [at - ahead for at in expected[::-1] if at - ahead < last],
             f"Z{point}, true {name}: bc")
    client.ask(f"Z{point};X{len(RSP_IS_0) // 2:x},{RSP_IS_0}")
    client.monitor("seek 0")
    same(client.ask("c"), "T05replaylog:end;thread:p1.1;", f"Z{point}, never true: c")
    client.monitor("seek end")
    same(client.ask("bc"), "T05replaylog:begin;thread:p1.1;", f"Z{point}, never true: bc")
    client.ask("z" + point)


def test_all_conditions(client):
    client.monitor("seek 20000")
    address = pc(client)
    stack = int.from_bytes(bytes.fromhex(client.ask("p7")), "little") & 0xffffffff
    for kind in (0, 1):
        test_conditions(client, f"{kind},{address:x},1", 0)
    for kind in (2, 3, 4):
        test_conditions(client, f"{kind},{stack:x},10", 1)


def test_framing(server):
    client = Client(server.socket)
    client.send_raw(b"$qC#00")
    same(client.socket.recv(1), b"-", "a wrong checksum is refused")
    client.send_raw(b"noise$qC#b4")
    same(client.receive(), "QCp1.1", "noise before a packet is skipped")
    same(client.ask("QStartNoAckMode"), "OK", "no acknowledgements")
    client.data = b""
    client.send("?")
    same(client.socket.recv(1), b"$", "from then on")
    client.close()
    client = Client(server.socket)
    client.send_raw(b"$" + b"A" * 100000 + b"#00")
    same(client.ask("qC"), "QCp1.1", "a packet that is too long is survived")
    client.send("m1")
    client.close()
    client = Client(server.socket)
    same(client.ask("D"), "OK", "detach")
    client.close()


def test_interrupt(server):
    client = Client(server.socket)
    client.monitor("seek 0")
    client.send_raw(b"$vCont;r0,ffffffff:p1.1#%02x\x03" % (sum(b"vCont;r0,ffffffff:p1.1") & 255))
    reply = client.receive()
    ok(reply.startswith("T02"), "^C ends steps through a range", reply)
    ok(position(client) < 100000, "soon", position(client))
    client.monitor("seek 0")
    client.send_raw(b"$c#63\x03")
    reply = client.receive()
    ok(reply.startswith("T02"), "^C ends a continue, though it came with it", reply)
    client.close()


def test_refusal(client):
    client.monitor("seek 1000")
    client.ask("M100000,1:00")
    client.send("s")
    text = client.receive()
    ok(text.startswith("O") and b"nothing was written at 0x100000" in bytes.fromhex(text[1:]),
       "the stop behind a refused write says why", text)
    same(client.receive(), "T05thread:p1.1;", "and then tells the stop")
    client.ask("X100000,0:")
    same(client.ask("s"), "T05thread:p1.1;", "once; a question for the packet is no write")


def test_consoles(folder):
    """A virtio console is shown where it comes in between."""
    file = folder + "/console.rpz"
    subprocess.run([sys.argv[1], "record", "--kernel", sys.argv[2] + "/console.elf", "--mem", "32M", "--console",
                    "virtio", "-o", file], input=b"world\n", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                   check=True)
    with Server(sys.argv[1], file) as server:
        client = Client(server.socket)
        same(client.monitor("console")[0], "serial\nhello, hvc0\nworld\nserial again\nconsole done\n",
             "monitor console: all consoles")
        same(client.monitor("console serial")[0], "serial\nserial again\n",
             "monitor console serial: one of them")
        client.close()


def main():
    with tempfile.TemporaryDirectory() as folder:
        file = folder + "/time.rpz"
        record(sys.argv[2], file)
        with Server(sys.argv[1], file, "--at", "start") as server:
            client = Client(server.socket)
            for packet, expected in TRANSCRIPT:
                reply = client.ask(packet)
                while reply.startswith("O") and reply != "OK":  # the reason for what was refused
                    reply = client.receive()
                ok(re.fullmatch(expected, reply, re.S), f"{packet!r}", reply)
            for command, expected, status in MONITOR:
                output, reply = client.monitor(command)
                ok(re.match(expected, output) and reply == status, f"monitor {command}", output,
                   reply)
            test_breakpoint(client)
            test_watchpoint(client)
            test_all_conditions(client)
            test_refusal(client)
            client.close()
            test_framing(server)
            test_interrupt(server)
            client = Client(server.socket)
            client.send("k")
            same(client.receive(), None, "kill closes the connection")
            server.process.wait(timeout=60)
            same(server.process.returncode, 0, "and ends the server")
        test_consoles(folder)
        check_twice(sys.argv[1], folder)
    done()


main()
