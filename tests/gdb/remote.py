"""A server over a recording and a client that speaks gdb's remote protocol, for the tests."""

import re
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tap import done, ok, same  # pylint: disable=wrong-import-position, unused-import


def check_twice(tool, folder):
    """Every recording in the folder replays straight, with saves and restores, and by seeks forwards and
    backwards with the same digests."""
    program = Path(tool).parents[1] / "tests" / "roundtrip" / "replay_twice"
    files = sorted(Path(folder).rglob("*.rpz"))
    ok(files, "there are recordings to replay")
    for file in files:
        result = subprocess.run([program, file, "-", "8", "2", "1"], capture_output=True, text=True, check=False)
        ok(result.returncode == 0 and "ok - with saves" in result.stdout and "ok - seeks" in result.stdout,
           f"{file.name}: replayed again and again", result.returncode, result.stdout, result.stderr)


class Server:
    """reprise serve on a Unix socket; ready when it says so."""

    def __init__(self, tool, file, *options):
        self.folder = tempfile.TemporaryDirectory(prefix="reprise-gdb-test-")
        self.socket = self.folder.name + "/socket"
        self.process = subprocess.Popen(
            [tool, "serve", file, "--listen", self.socket, "--quiet", *options],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        line = self.process.stdout.readline()
        if not line.startswith(b"listening"):
            raise RuntimeError("the server did not get ready")

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.process.terminate()
        self.status = self.process.wait(timeout=60)
        self.process.stdout.close()
        self.folder.cleanup()


class Client:
    def __init__(self, path, timeout=60):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.socket.settimeout(timeout)
        self.data = b""

    def close(self):
        self.socket.close()

    def send(self, packet):
        if isinstance(packet, str):
            packet = packet.encode("latin-1")
        self.socket.sendall(b"$%s#%02x" % (packet, sum(packet) & 255))

    def send_raw(self, data):
        self.socket.sendall(data)

    def receive(self):
        """The next packet's content, unescaped; None when the server has closed."""
        while True:
            match = re.search(rb"\$([^#]*)#[0-9a-f]{2}", self.data, re.S)
            if match:
                self.data = self.data[match.end():]
                text = re.sub(rb"}(.)", lambda m: bytes([m[1][0] ^ 0x20]), match[1], flags=re.S)
                return text.decode("latin-1")
            piece = self.socket.recv(65536)
            if not piece:
                return None
            self.data += piece

    def ask(self, packet):
        self.send(packet)
        return self.receive()

    def monitor(self, command):
        """A monitor command's output and its last reply."""
        self.send("qRcmd," + command.encode().hex())
        output = ""
        while (reply := self.receive()) and reply.startswith("O") and reply != "OK":
            output += bytes.fromhex(reply[1:]).decode()
        return output, reply
