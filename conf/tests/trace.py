"""What is told about exits: counts, traces, reports of ended guests, and the picture made of them."""

import json
import re
import xml.dom.minidom

from jos.grade import Bench, check, check_match, check_that
from jos.machine import Machine
from jos.platforms import BOTH
from jos.session import GOS, HOS

from .common import TOP, hos, host, own_machine

GUESTS = "/vmm/guests"
RING = 7
TRIES = 50
DETACH_KEY = "\x1d"  # Ctrl-]


@check("Traces", 0, "vmstat counts a guest's exits, and names their reasons", on=BOTH)
def counts(bench: Bench) -> None:
    session = hos(bench)
    text = session.sh(f"vmm -s -k {GUESTS}/triple-fault")
    exits = int(check_match(r"vmm: (\d+) exits", text).group(1))
    parts = [int(n) for n in re.findall(r"^  \w+ ?[\w/ ]* {2,}(\d+)$", text.split("exits\n")[1], re.M)]
    check_that(exits > 0 and parts, "exits by reason", text)
    last = check_match(r"last exit: (.*); exits: (.*) \(vmm -t", text)
    check_that(last.group(1) == "triple fault", "the last exit's reason, triple fault", text)
    total = sum(int(n) for n in re.findall(r"[A-Z_]+ (\d+)", last.group(2)))
    check_that(total == exits, f"reasons that add up to {exits}", text)
    check_match("no guests", session.sh("vmstat -1"))
    check_match("no guest named nobody", session.sh("vmstat -1 nobody"))


@check("Traces", 0, "a traced guest that is ended shows its last exits and where it was", on=BOTH)
def ended(bench: Bench) -> None:
    session = hos(bench)
    text = session.sh(f"vmm -T {RING} -k {GUESTS}/triple-fault")
    lines = re.findall(r"^ +(\d+) +\d+ [0-9a-f]{16} (.*)$", text, re.M)
    numbers = [int(number) for number, _ in lines]
    check_that(len(lines) == RING, f"{RING} exits", text)
    check_that(numbers == list(range(numbers[0], numbers[0] + RING)), "numbers in a row", text)
    check_match(r"triple fault; ends, \d+ ticks", lines[-1][1])
    check_match(r"I/O instruction: out port 0x3f8, 1 byte: 0xa; goes on after it", text)
    rip = check_match(r"triple fault at rip 0x([0-9a-f]+)", text).group(1)
    check_match(rf"#0 +0*{rip}\n +#1 +[0-9a-f]+", text)
    check_match("a trace keeps 1 to", session.sh("vmm -T 0"))


@check("Traces", 0, "vmtrace tells gOS's exits in words and in JSON, which exitplot draws", on=BOTH)
def plotted(bench: Bench) -> None:
    session = hos(bench)
    session.sh("vmm -t -n traced", 60, GOS)
    session.ready().send(DETACH_KEY)
    check_match("traced goes on in the background", session.until("hOS$ ", 30))
    try:
        text = session.sh("vmtrace traced", 60)
        check_match(r"CPUID instruction: leaf 0x40000000", text)
        check_match(r"hypercall: MBMAP", text)
        check_match(r"second-stage page fault: write at gpa 0x[0-9a-f]+, not mapped; goes on at the same", text)
        check_match(r"traced: \d+ exits, last: ", session.sh("vmstat -1 traced"))
        log = session.sh("vmtrace -json traced", 60)
    finally:
        session.sh("vmm kill traced", 60)
    trace = json.loads(check_match(r"(\{\"guest\".*\]\})", log.replace("\r", "")).group(1))
    check_that(trace["exits"][0]["n"] == 0 and len(trace["exits"]) > 20, "all exits from 0 on", log)
    written = bench.folder / f"trace-{bench.platform.key}.log"
    drawn = written.with_suffix(".svg")
    written.write_text(log)
    result = host(["conf/exitplot", written, "-o", drawn])
    check_that(result.returncode == 0, "a picture", result.stdout)
    svg = drawn.read_text()
    xml.dom.minidom.parseString(svg)
    for name in {item["name"] for item in trace["exits"]}:
        check_that(f">{name}</text>" in svg, f"the reason {name} in the picture", svg)
    result = host(["conf/exitplot", "README.md"])
    check_that(result.returncode == 1, "status 1 for a file without a trace", result.stdout)
    check_match("README.md: no trace in it", result.stdout)
    check_match("no guest named nobody", session.sh("vmtrace nobody"))


def both_run(machine: Machine) -> None:
    """Wait until two guests are loaded: one that was never entered has nothing to tell."""
    for _ in range(TRIES):
        start = machine.console.pos
        machine.sendline("vms")
        machine.expect("MONITOR", 60)
        end = machine.expect(HOS, 60).start()
        if machine.console.text[start:end].count(" running ") == 2:
            return
    check_that(False, "two guests that run", machine.console.text)


@check("Traces", 0, "gOS that ends inside its kernel, and a guest that is killed, tell functions and lines with their trace", on=BOTH)
def inside(bench: Bench) -> None:
    session = hos(bench)
    session.sh("vmm -T 6 -a crashtest", 60, GOS)
    text = session.sh("crash triple", 60)
    source = (TOP / "kern/crash.c").read_text().split("\n")
    line = next(number for number, words in enumerate(source, 1) if 'asm volatile("ud2")' in words)
    frames = rf"#0 +\w+ sys_crash\+0x\w+ \(crash\.c:{line}\)\n +#1 +\w+ syscall_entry\+0x\w+ \(trapentry\.S:\d+\)\n"
    check_match(rf"guest ended: triple fault .*\n +{frames}(?: +\d+ +\d+ \w{{16}} .*\n){{5}}.* triple fault; ends", text)
    session.sh("vmm -T 3 -n idle", 60, GOS)
    session.ready().send(DETACH_KEY)
    session.until(HOS, 30)
    text = session.sh("vmm kill idle", 60)
    check_match(r"#0 +\w+ idle\+0x\w+ \(sched\.c:\d+\)\n.* HLT instruction; sleeps until", text)
    check_that(len(re.findall(r"^ +\d+ +\d+ \w{16} ", text, re.M)) == 3, "three exits", text)
    with own_machine(bench, "kill-2cpus", cpus=2) as machine:
        for name in ("spin", "paused"):
            machine.expect(HOS, 60)
            machine.sendline(f"vmm -T 3 -n {name} -k {GUESTS}/cli-spin &")
        machine.expect(HOS, 60)
        both_run(machine)
        machine.sendline("vmm pause paused; vmm kill spin; vmm kill paused; vms; halt 7")
        start = machine.console.pos
        check_that(machine.wait_off(60) == 7, "the machine goes on", machine.console.text)
        text = machine.console.text[start:]
    check_that(len(re.findall(r"^ +#0 +\w{16}$", text, re.M)) == 2, "both tell where they were", text)
