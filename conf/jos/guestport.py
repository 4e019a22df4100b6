"""A TCP port at which gdb reaches a guest (what `vmm -g` sends on COM3, and back) or the kernel (COM2).

An emulator connects the serial port to a listening socket of ours at its start; gdbs come and go. What the
machine sends while no gdb is there, or before it has said a word, is lost, as on a serial line that nobody listens to.
"""

import contextlib
import select
import socket
import threading
from typing import Iterator, Optional

from .machine import Config

CHUNK = 4096


class GuestPort:
    """Use as a context manager; a thread passes the bytes on. Port 0 is any free one."""

    def __init__(self, port: int = 0) -> None:
        try:
            self.gdb = socket.create_server(("127.0.0.1", port), backlog=1)
        except OSError as error:
            raise OSError(f"port {port} for gdb: {error.strerror}") from None
        self.port: int = self.gdb.getsockname()[1]
        self.machine = socket.create_server(("127.0.0.1", 0), backlog=1)
        self.machine_port: int = self.machine.getsockname()[1]  # for Config.serial2 or serial3
        self.wake, self.woken = socket.socketpair()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self) -> "GuestPort":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.wake.close()
        self.thread.join()

    def run(self) -> None:
        line: Optional[socket.socket] = None
        client: Optional[socket.socket] = None
        spoken = False  # the client has said something
        while True:
            watched = [self.woken, line or self.machine]
            if line:
                watched.append(client or self.gdb)
            ready, _, _ = select.select(watched, [], [])
            if self.woken in ready:
                break
            if self.machine in ready:
                line = accept(self.machine)
            if self.gdb in ready:
                client, spoken = accept(self.gdb), False
            if line and line in ready and not copy(line, client if spoken else None):
                line = close(line)
                client = close(client)
            if client and client in ready:
                spoken = True
                if not copy(client, line):
                    client = close(client)
        for end in (line, client, self.machine, self.gdb, self.woken):
            if end:
                end.close()


@contextlib.contextmanager
def gdb_ports(config: Config, kernel: Optional[int], guest: Optional[int]) -> Iterator[None]:
    """Let gdb reach the kernel's own stub, and a guest, at these ports, where they are given."""
    with contextlib.ExitStack() as stack:
        if kernel:
            config.serial2 = stack.enter_context(GuestPort(kernel)).machine_port
            config.word = "gdb"
        if guest:
            config.serial3 = stack.enter_context(GuestPort(guest)).machine_port
        yield


def close(end: Optional[socket.socket]) -> None:
    if end:
        end.close()


def accept(listener: socket.socket) -> socket.socket:
    end, _ = listener.accept()
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return end


def copy(source: socket.socket, target: Optional[socket.socket]) -> bool:
    """Pass on what is there. False: the source is closed. A target that is closed loses it."""
    try:
        data = source.recv(CHUNK)
    except OSError:
        return False
    try:
        if target and data:
            target.sendall(data)
    except OSError:
        pass
    return bool(data)
