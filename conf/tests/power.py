"""The power button, resets, the date, and ACPI's tables."""

import re
import subprocess
import time
from collections import defaultdict
from typing import Dict

from jos.grade import Bench, check, check_match, check_that
from jos.platforms import ALL, PARALLEL, SVM

from .common import hos, nonce
from .guests import fine
from .many import detach

GUEST = "kept"
IASL_CLEAN = r"0 Errors, 0 Warnings"


def tables_in(text: str) -> Dict[str, bytes]:
    found: Dict[str, str] = defaultdict(str)
    for name, data in re.findall(r"(?m)^acpi: (\w{4}) ([0-9a-f]+)$", text):
        found[name] += data
    return {name: bytes.fromhex(data) for name, data in found.items()}


def iasl(*arguments: object) -> str:
    run = subprocess.run(["iasl", *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return run.stdout.decode()


@check("Power", 0, "a guest's ACPI tables are sound: iasl takes them apart, and puts them together without a warning", on=ALL)
def acpi_tables(bench: Bench) -> None:
    session = hos(bench)
    text = session.sh("vmm -k /vmm/guests/acpi")
    check_match(r"(?m)^acpi: ok$", text)
    tables = tables_in(text)
    check_that(set(tables) == {"RSDP", "XSDT", "FACP", "FACS", "DSDT", "APIC", "MCFG"}, "the tables of a PC", sorted(tables))
    folder = session.folder / f"acpi-{nonce()}"
    folder.mkdir()
    for name in ("XSDT", "FACP", "FACS", "DSDT", "APIC", "MCFG"):
        (folder / f"{name}.dat").write_bytes(tables[name])
        says = iasl("-d", folder / f"{name}.dat")
        check_that("Error" not in says and "Warning" not in says, f"{name} can be taken apart", says)
        listing = folder / f"{name}.dsl"
        check_that("Invalid" not in listing.read_text(), f"{name}: all fields are valid", listing.read_text())
        check_match(IASL_CLEAN, iasl("-we", listing))
        again = folder / f"{name}.aml"
        check_that(again.read_bytes()[36:] == tables[name][36:], f"{name} comes out of iasl as it went in", says)


@check("Power", 0, "ACPI's timer, event registers and the I/O APIC's inputs work, and its sleep register switches off", on=ALL)
def fixed_hardware(bench: Bench) -> None:
    session = hos(bench)
    text = session.sh("vmm -k /vmm/guests/pm -a off", 120)
    check_match(r"(?m)^pm: ok$", text)
    check_that(session.status() == 0, "status 0", text)
    fine(session, "ioapic")


@check("Power", 0, "vmm stop presses the power button: a kernel with ACPI gets its interrupt", on=ALL)
def button(bench: Bench) -> None:
    session, name = hos(bench), f"pm{nonce()[:4]}"
    session.sh(f"vmm -n {name} -k /vmm/guests/pm -a button >/tmp/{name} &")
    for _ in range(200):
        if "wait for the button" in session.sh(f"cat /tmp/{name}; echo"):
            break
    text = session.sh(f"vmm stop {name}; echo status $?", 60)
    check_match(r"(?m)^status 0$", text)
    check_match(r"(?m)^pm: ok$", session.sh(f"cat /tmp/{name}; rm /tmp/{name}"))
    check_that(name not in session.sh("vms"), "it has ended", text)


@check("Power", 0, "vmm stop: gOS writes everything and switches off; a guest without a button is left alone", on=PARALLEL)
def gos_obeys(bench: Bench) -> None:
    session, word = hos(bench), nonce()
    session.sh("vmm -n deaf -k /vmm/guests/cli-spin &")
    session.sh("vmm -n kept", 60, prompt="gOS$ ")
    session.sh(f"echo {word} >/kept", prompt="gOS$ ")
    detach(session, GUEST)
    text = session.sh("vmm stop deaf")
    check_match(r"vmm: guest deaf does not look at its power button", text)
    check_that(session.status() == 1, "status 1", text)
    text = session.sh("vmm stop kept; echo status $?; vms", 60)
    check_match(r"(?m)^status 0$", text)
    check_that("kept" not in text.split("status 0")[1], "it has ended", text)
    session.sh("vmm kill deaf")
    check_match(rf"(?m)^{word}$", session.sh("echo 'cat /kept; halt' | vmm -n kept", 60))
    session.sh("rm /vmm/kept.img")


@check("Power", 0, "halt lets guests switch off, ends those that do not, and loses nothing that gOS had written", on=PARALLEL)
def halt_stops(bench: Bench) -> None:
    session, word = hos(bench), nonce()
    session.sh("vmm -n deaf -k /vmm/guests/cli-spin &")
    session.sh("vmm -n kept", 60, prompt="gOS$ ")
    session.sh(f"echo {word} >/kept", prompt="gOS$ ")
    detach(session, GUEST)
    machine = session.ready()
    start = machine.console.pos
    machine.sendline("halt 9")
    check_that(machine.wait_off(60) == 9, "status 9", machine.console.text[start:])
    text = machine.console.text[start:]
    session.drop()
    check_match(rf"vmm: waiting for guest {GUEST} to switch off", text)
    check_that("waiting for guest deaf" not in text, "nobody waits for a guest without a button", text)


@check("Power", 0, "stop, log and attach do not wait for a monitor that does not answer, since it waits for a pipe; stop -a ends it", on=(SVM,))
def no_answer(bench: Bench) -> None:
    session = hos(bench)
    session.sh("sleep 100 | vmm -n stuck -k /vmm/guests/virtio-console >/tmp/stuck &")
    for _ in range(200):
        if "type a line" in session.sh("cat /tmp/stuck; echo"):
            break
    for word in ("stop", "log", "attach"):
        text = session.sh(f"vmm {word} stuck; echo status $?", 30)
        check_match(r"vmm: the monitor of guest stuck does not answer; vmm kill stuck ends it\nstatus 1\n", text)
    text = session.sh("vmm stop -a; vms", 30)
    check_match(r"vmm: guest stuck is ended: its monitor does not answer", text)
    check_that(not re.search(r"(?m)^stuck ", text), "it has ended", text)


@check("Power", 0, "-r: a guest that resets itself, or meets a triple fault, starts again, until it is killed", on=PARALLEL)
def starts_again(bench: Bench) -> None:
    session, free = hos(bench), []
    for _ in range(3):  # the first time fills caches
        machine = session.ready()
        machine.sendline(f"vmm -r -n {GUEST} -k /vmm/guests/triple-fault")
        for _ in range(2):
            machine.expect(f"vmm: {GUEST} starts again: triple fault", 60)
        detach(session, GUEST)
        session.sh(f"vmm kill {GUEST}; sync")
        free.append(session.free_pages())
    check_that(free[1] == free[2], "as many free pages after the third time as after the second", free)


@check("Power", 0, "date tells the build machine's time, in a guest, too", on=(SVM,))
def date(bench: Bench) -> None:
    session = hos(bench)
    for text in (session.sh("date"), session.sh("echo 'date; halt' | vmm", 60)):
        found = check_match(r"\w{3} (\w{3} [ \d]\d \d\d:\d\d:\d\d UTC \d{4})", text)
        then = time.mktime(time.strptime(found[1], "%b %d %H:%M:%S UTC %Y")) - time.timezone
        check_that(abs(then - time.time()) < 300, "the present time", text)
