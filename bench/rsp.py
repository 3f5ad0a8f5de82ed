"""A client of gdb's remote protocol: just enough to measure servers with. Every wait has a limit."""
import re
import socket
import time


class NoAnswer(Exception):
    """The server did not answer in time, or closed the connection."""


class Client:
    def __init__(self, path, limit_s):
        """Connects to a Unix socket, which may take until the limit to be there."""
        self.data = b""
        self.limit_s = limit_s
        self.socket = socket.socket(socket.AF_UNIX)
        end = time.monotonic() + limit_s
        while True:
            try:
                self.socket.connect(path)
                return
            except OSError as failure:
                if time.monotonic() > end:
                    raise NoAnswer(f"cannot connect: {failure}") from failure
                time.sleep(0.02)

    def close(self):
        self.socket.close()

    def send(self, text):
        packet = text.encode("latin-1")
        try:
            self.socket.sendall(b"$%s#%02x" % (packet, sum(packet) & 255))
        except OSError as failure:
            raise NoAnswer(str(failure)) from failure

    def receive(self, limit_s=None):
        end = time.monotonic() + (limit_s or self.limit_s)
        while True:
            found = re.search(rb"\$([^#]*)#[0-9a-f]{2}", self.data, re.S)
            if found:
                self.data = self.data[found.end():]
                self.socket.sendall(b"+")
                return found[1].decode("latin-1")
            self.socket.settimeout(max(end - time.monotonic(), 0.001))
            try:
                piece = self.socket.recv(65536)
            except OSError as failure:
                raise NoAnswer("no answer in time") from failure
            if not piece:
                raise NoAnswer("the server closed the connection")
            self.data += piece

    def ask(self, text, limit_s=None):
        """The answer to a packet; of one that moves, its stop reply."""
        self.send(text)
        answer = self.receive(limit_s)
        while answer.startswith("O") and answer != "OK":
            answer = self.receive(limit_s)
        return answer

    def monitor(self, command, limit_s=None):
        """What a monitor command prints."""
        self.send("qRcmd," + command.encode().hex())
        text = ""
        while True:
            answer = self.receive(limit_s)
            if not answer.startswith("O") or answer == "OK":
                return text
            text += bytes.fromhex(answer[1:]).decode(errors="replace")

    def timed(self, text, limit_s=None):
        """Seconds until the answer, and the answer."""
        begin = time.monotonic()
        answer = self.ask(text, limit_s)
        return time.monotonic() - begin, answer
