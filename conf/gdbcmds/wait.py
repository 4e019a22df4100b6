"""`make gdb-guest` may come before `vmm -g`: it says so, and waits for the guest.

As long as no monitor answers, what is sent to the serial port COM3 stays there or is lost. So this asks, again and
again, what every stub answers; gdb itself connects when an answer has come and all answers are read.
"""

import socket

import gdb

QUESTION = b"$?#3f"  # why has it stopped?
PATIENCE = 2  # s until the question is asked again
QUIET = 0.5  # s without an answer: there is none left


def answers(line: socket.socket, seconds: float) -> bool:
    """Does something come in this time? Raises OSError when the other end is closed."""
    line.settimeout(seconds)
    try:
        if not line.recv(4096):
            raise ConnectionResetError("the machine has ended")
    except socket.timeout:
        return False
    return True


def wait(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as line:
        line.sendall(QUESTION)
        if not answers(line, PATIENCE):
            print("gdb-guest: no guest answers yet: type `vmm -g` at hOS's prompt; Ctrl-C ends this", flush=True)
            line.sendall(QUESTION)
            while not answers(line, PATIENCE):
                line.sendall(QUESTION)
        while answers(line, QUIET):
            pass


def for_guest(port: int) -> None:
    """Return when a guest's stub answers at this port; end gdb with words when there is no machine."""
    try:
        wait(port)
    except OSError as error:
        print(f"gdb-guest: port {port}: {error.strerror or error}; first start a machine, in another terminal: "
              "`make bochs-nox-guestgdb` or `make qemu-nox-guestgdb`", flush=True)
        gdb.execute("quit 1")
    except KeyboardInterrupt:
        gdb.execute("quit 130")
