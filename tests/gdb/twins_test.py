"""Two processes at the same addresses, in two threads each: what is met counts in the process of the view only, and is
told for its thread. With packets; and steps of the chosen thread with a real gdb. Usage: twins_test.py REPRISE"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from remote import Client, Server, check_twice, done, ok, same
from run_gdb import gdb_command, run, take_checks

HERE = Path(__file__).resolve().parent
SESSION = HERE / "twins_session.py"
ROUNDS = 4
RDI = 5  # its number for gdb


def record(folder):
    """Not position-independent: the addresses are those of the file."""
    program, file = f"{folder}/twins", f"{folder}/twins.rpz"
    subprocess.run(["cc", "-g", "-O0", "-no-pie", "-pthread", "-o", program, HERE / "programs/twins.c"], check=True)
    result = subprocess.run([sys.argv[1], "run", "-q", "-o", file, "--", program], stdin=subprocess.DEVNULL,
                            capture_output=True, check=False)
    same(result.returncode, 0, "the program is recorded")
    return program, file


def symbols(program):
    lines = subprocess.run(["nm", program], capture_output=True, text=True, check=True).stdout.splitlines()
    return {line.split()[-1]: int(line.split()[0], 16) for line in lines if len(line.split()) == 3}


def register(client, number):
    return int.from_bytes(bytes.fromhex(client.ask(f"p{number:x}")), "little")


def position(client):
    return int(re.match(r"icount (\d+)", client.monitor("when")[0])[1])


def is_there(client, thread):
    """Of the process that is looked at."""
    process = re.match(r"QCp([0-9a-f]+)", client.ask("qC"))[1]
    return client.ask(f"Tp{process}.{thread}") == "OK"


def hits(client, packet):
    """Position, thread and first argument of each stop on the way to an end."""
    found = []
    while "replaylog" not in (reply := client.ask(packet)):
        stop = re.fullmatch(r"T05swbreak:;thread:p[0-9a-f]+\.([0-9a-f]+);", reply)
        if not stop or not is_there(client, stop[1]) or len(found) > 4 * ROUNDS:
            ok(False, f"stops of {packet}", reply, found)
            break
        found.append((position(client), int(stop[1], 16), register(client, RDI)))
    return found


def there_and_back(client, point, expected, name):
    same(client.ask("Z" + point), "OK", f"{name}: is set")
    client.monitor("seek start")
    same(hits(client, "c"), expected, f"{name}: c")
    same(hits(client, "bc"), expected[::-1], f"{name}: bc")
    same(client.ask("z" + point.split(";")[0]), "OK", f"{name}: is removed")


def take_all(client, address):
    client.ask(f"Z0,{address:x},1")
    client.monitor("seek start")
    found = hits(client, "c")
    client.ask(f"z0,{address:x},1")
    return found


def is_own(found, process, base, name):
    """Every turn of the process once, in the order of each thread, and none of the other's."""
    same(sorted(number for _, _, number in found),
         sorted(base + 10 * n + unit for n in range(ROUNDS) for unit in (1, 2)), f"{name}: its turns")
    first = [(tid, number) for _, tid, number in found if number % 10 == 1]
    second = [(tid, number) for _, tid, number in found if number % 10 == 2]
    same(first, [(process, base + 10 * n + 1) for n in range(ROUNDS)], f"{name}: the first thread's")
    other = second[0][0] if second else 0
    same(second, [(other, base + 10 * n + 2) for n in range(ROUNDS)], f"{name}: the second thread's")
    ok(other not in (0, process), f"{name}: they are two", other, process)


def condition(code):
    return f";X{len(code) // 2:x},{code}"


def equals(what, value):
    """In the agent's code."""
    return condition(f"{what}25{value:016x}1327")


def conditions(client, names, found):
    """On a register and on memory, which the other process has a page of its own for."""
    point = f"0,{names['meet']:x},1"
    of_register, of_memory = f"26{RDI:04x}", f"25{names['met']:016x}19"
    for number in (121, 122):
        there_and_back(client, point + equals(of_register, number), [hit for hit in found if hit[2] == number],
                       f"if the argument is {number}")
        behind = [after for before, after in zip(found, found[1:]) if before[2] == number]
        there_and_back(client, point + equals(of_memory, number), behind, f"if the last one was {number}")
    there_and_back(client, point + equals(of_register, 221), [], "if the argument is one of the other process's")
    there_and_back(client, point + equals(of_memory, 221), [], "if the last one was the other process's")


def chosen_thread(client, found):
    """gdb names no thread for a step back: it is the one that it asked about last, or asked for the list as."""
    place, tid, _ = found[len(found) // 2]
    other = next(thread for _, thread, _ in found if thread != tid)
    process = int(re.match(r"QCp([0-9a-f]+)", client.ask("qC"))[1], 16)
    for first, then, expected in ((tid, other, other), (other, tid, tid)):
        client.monitor(f"seek {place}")
        client.ask(f"Tp{process:x}.{first:x}")
        client.ask(f"Tp{process:x}.{then:x}")
        same(client.ask("bs"), f"T05thread:p{process:x}.{expected:x};", "a step back is that of the last one asked for")
        client.monitor(f"seek {place}")
        client.ask(f"Tp{process:x}.{first:x}")
        client.ask(f"Hgp{process:x}.{then:x}")
        client.ask("qXfer:threads:read::0,1000")
        same(client.ask("bs"), f"T05thread:p{process:x}.{expected:x};",
             "or of the one in whose name the list was asked for")


def in_machine(file, meet):
    """The positions at which any process is there, and the kernel's entry for system calls."""
    with Server(sys.argv[1], file) as server:
        client = Client(server.socket, timeout=600)
        found = take_all_positions(client, meet)
        document = client.ask("qXfer:features:read:target.xml:0,3fff")
        names = re.findall(r'<reg name="(\w+)"', document)
        entry = register(client, names.index("lstar"))
        client.ask(f"Z0,{entry:x},1")
        client.monitor("seek start")
        ok("swbreak" in client.ask("c"), "the kernel is at its entry for system calls", hex(entry))
        client.close()
    return found, entry


def take_all_positions(client, address):
    client.ask("qSupported:swbreak+")
    client.ask(f"Z0,{address:x},1")
    client.monitor("seek start")
    found = []
    while "swbreak" in client.ask("c"):
        found.append(position(client))
    client.ask(f"z0,{address:x},1")
    return found


def packets(program, file):
    names = symbols(program)
    everybody, entry = in_machine(file, names["meet"])
    with Server(sys.argv[1], file, "--process", "twins") as server:
        client = Client(server.socket, timeout=600)
        client.ask("qSupported:swbreak+")
        process = int(re.match(r"QCp([0-9a-f]+)", client.ask("qC"))[1], 16)
        client.monitor("seek end")
        child = int.from_bytes(bytes.fromhex(client.ask(f"m{names['child']:x},4")), "little")
        mine = take_all(client, names["meet"])
        is_own(mine, process, 100, "the parent")
        there_and_back(client, f"0,{names['meet']:x},1", mine, "a breakpoint")
        there_and_back(client, f"0,{entry:x},1", [], "a breakpoint where only the kernel is")
        conditions(client, names, mine)
        chosen_thread(client, mine)
        client.close()
    with Server(sys.argv[1], file, "--process", str(child)) as server:
        client = Client(server.socket, timeout=600)
        client.ask("qSupported:swbreak+")
        its = take_all(client, names["meet"])
        is_own(its, child, 200, "the child")
        client.close()
    places = [{place for place, _, _ in found} for found in (mine, its)]
    ok(places[0] | places[1] <= set(everybody) and not places[0] & places[1],
       "each is at the address when the other is not", places, everybody)
    ok(any(min(places[0]) < place < max(places[0]) for place in places[1]), "one between the turns of the other",
       places)


def main():
    with tempfile.TemporaryDirectory() as folder:
        program, file = record(folder)
        packets(program, file)
        take_checks(run([sys.argv[1], "gdb", "-q", "--process", "twins", "--at", "start", file, "--", "-nx", "-q",
                         "-batch", "-ex", "set $by_reprise = 1", "-x", SESSION]), "reprise gdb")
        with Server(sys.argv[1], file, "--process", "twins", "--at", "start") as server:
            take_checks(run([*gdb_command(server.socket), "-ex", "set scheduler-locking step", "-x", SESSION]),
                        "scheduler-locking step")
        check_twice(sys.argv[1], folder)
    done()


main()
