"""Many guests on many CPUs: names, consoles, pausing, shared images, and an end that leaks nothing."""

import re
from typing import Dict, List

from jos.grade import Bench, Mismatch, check, check_match, check_that
from jos.limits import Patience
from jos.platforms import BOTH, VTX
from jos.session import GOS, HOS, Session
from jos.trace import read_trace

from .common import hos, nonce, passes

GUESTS = 8
KILLS = 12  # make check-long has the long form
DETACH_KEY = "\x1d"  # Ctrl-]
KEY_TICKS = 40_000
KEYS = 30
KEYS_A_LINE = 10
CTRL_U = "\x15"
LOG_BYTES = 16384  # that a monitor keeps
BUSY = ("cli-spin", "io-spin", "irq-flood", "storm")  # guests that spin, keep their monitors busy, flood, fault
SPINNER = "-k /vmm/guests/cli-spin"
COUNTS = r"seed: \d+|CPUs started: .*|guests started: .*|kills: .*|free pages: .*|envs: .*|free disk .*"


def four(bench: Bench) -> Session:
    """hOS on four CPUs with 1 GiB of memory."""
    return hos(bench, "4-cpus", cpus=4, mem=1024)


def two(bench: Bench) -> Session:
    """The same on two."""
    return hos(bench, "2-cpus", cpus=2, mem=1024)


def vms(session: Session) -> Dict[str, List[str]]:
    """What vms says: by name, the other columns."""
    lines = [line.split() for line in session.sh("vms").splitlines()[1:]]
    return {words[0]: words[1:] for words in lines}


def listed(session: Session, count: int) -> Dict[str, List[str]]:
    """Wait until vms lists so many guests, all loaded."""
    patience = Patience(60, session.ready().spent)
    while not patience.is_over():
        guests = vms(session)
        if len(guests) == count and all(words[0] != "loading" for words in guests.values()):
            return guests
        session.sh("sleep 1")
    raise Mismatch(f"expected {count} guests; saw {guests}")


def start(session: Session, *names: str, options: str = "") -> None:
    """Start guests in the background, beside none."""
    for name in names:
        session.sh(f"vmm -n {name} {options} &")
    listed(session, len(names))


def attach(session: Session, name: str) -> str:
    return session.sh(f"vmm attach {name}", 60, GOS)


def detach(session: Session, name: str) -> None:
    session.ready().send(DETACH_KEY)
    check_match(rf"{name} goes on in the background", session.until(HOS, 30))


def end(session: Session, *names: str) -> None:
    """Kill guests; no other is there."""
    for name in names:
        session.sh(f"vmm kill {name}")
    check_that(vms(session) == {}, "no guest left")
    session.sh("rm " + " ".join(f"/vmm/{name}.img" for name in names))


def killed_at_random(session: Session, cpus: int, kills: int, limit: float = 120) -> str:
    """test-guests passes on so many CPUs. Returns its counts."""
    text = passes(session, f"test-guests {kills}", limit)
    check_match(rf"CPUs started: {cpus}\nguests started: {kills} .*\nkills: {kills} ", text)
    return "\n".join(re.findall(COUNTS, text))


@check("Many guests", 0, "1 CPU: guests killed at random moments give back pages, envs and blocks", on=BOTH)
def kills_on_one(bench: Bench) -> str:
    return killed_at_random(hos(bench), 1, KILLS)


@check("Many guests", 0, "2 CPUs: the same", on=BOTH)
def kills_on_two(bench: Bench) -> str:
    session = two(bench)
    counts = killed_at_random(session, 2, KILLS)
    session.drop()
    return counts


@check("Many guests", 0, "1 and 2 CPUs: what a monitor writes into the shared page harms nobody", on=BOTH)
def shared_page(bench: Bench) -> None:
    passes(hos(bench), "test-monitor")
    passes(two(bench), "test-monitor")


@check("Many guests", 0, "1 and 2 CPUs: after guests have run, no program sees selectors of another", on=BOTH)
def selectors(bench: Bench) -> None:
    for session in (hos(bench), two(bench)):
        start(session, "seg", options=SPINNER)
        passes(session, "test-selectors", 120)
        end(session, "seg")


@check("Many guests", 0, f"a keystroke reaches hOS's shell within {KEY_TICKS:,} ticks, whatever guests do", on=(VTX,))
def keystrokes(bench: Bench) -> str:
    """By Bochs' log: from the byte's arrival at the UART to its echo, at 20 million ticks a second."""
    session = hos(bench, "keys", trace=True)
    machine, waits = session.ready(), []
    for name in BUSY:
        session.sh(f"vmm -n {name} -k /vmm/guests/{name} &")
    session.sh("sleep 1")
    for number in range(KEYS):
        if number % KEYS_A_LINE == 0:
            machine.send(CTRL_U)  # a longer line asks for the terminal's width, which keeps the next key waiting
            session.sh("")
        machine.send("x")
        machine.expect("x")
    trace = read_trace(machine.work / "bochs.log")
    session.drop()
    for number in range(KEYS):
        arrived = trace.typed("x", number - KEYS)
        waits.append(trace.shown("x", arrived) - arrived)
    check_that(max(waits) <= KEY_TICKS, f"echoes within {KEY_TICKS} ticks", waits)
    return f"    {KEYS} keys, beside {', '.join(BUSY)}: {min(waits)} to {max(waits)} ticks"


@check("Many guests", 0, "a guest that spins with interrupts off gets its share of the CPU and no more", on=BOTH)
def shares(bench: Bench) -> None:
    session = hos(bench)
    start(session, "s1", options=SPINNER)
    session.sh("sleep 1; vmm pause s1")  # so that the other one can say its words soon
    session.sh(f"vmm -n s2 {SPINNER} &")
    session.sh("sleep 1; vmm resume s1")
    before = vms(session)
    session.sh("sleep 3")
    after = vms(session)
    times = [int(after[name][1]) - int(before[name][1]) for name in ("s1", "s2")]
    check_that(min(times) > 0.6 * max(times), "two equal shares", times)
    check_that(sum(times) < 1.2 * 3500, "no more than the time that went by, ms", times)
    session.open_guest("vmm", 90)
    check_match("README", session.guest("ls /"))
    session.close_guest()
    end(session, "s1", "s2")


@check("Many guests", 0, "a guest starts without copying its disk, keeps what it wrote, and leaves the base alone", on=BOTH)
def overlay(bench: Bench) -> None:
    session, word = hos(bench), nonce()

    def blocks() -> int:
        session.sh("sync")
        return int(check_match(r"disk\D*\d+ blocks\D*\d*\D*, (\d+) free", session.sh("free -d")).group(1))

    before = blocks()
    session.open_guest("vmm -n kept")
    session.guest(f"echo {word} > /{word}; cp /bin/sh /sh")
    session.close_guest()
    used = before - blocks()
    check_that(0 < used < 200, "few blocks taken", used)
    session.open_guest("vmm -n kept")
    check_match(word, session.guest(f"cat /{word}"))
    check_match(word, session.guest(f"/sh -c 'echo {word}'"))
    session.close_guest()
    session.open_guest("vmm -n fresh")
    check_that(word not in session.guest("ls /"), "nothing of the other guest")
    session.close_guest()
    session.sh("rm /vmm/kept.img /vmm/fresh.img")
    check_that(blocks() == before, f"{before} free blocks afterwards", blocks())


@check("Many guests", 0, "a second guest of a name, or on an image in use, is refused by name", on=BOTH)
def refused(bench: Bench) -> None:
    session = hos(bench)
    start(session, "one")
    for command, words in (
        ("vmm -n one", "a guest named one is there already"),
        ("vmm -n two -d /vmm/one.img", "/vmm/one.img is in use by guest one"),
        ("vmm -n two -d /vmm/guest.img", "/vmm/guest.img is in use by guest one"),
        ("vmm -n guest", "not a name for a guest"),
        ("vmm attach nobody", "no guest named nobody"),
        ("vmm pause nobody", "no guest named nobody"),
        ("vmm kill", "usage"),
    ):
        text = session.sh(command)
        check_match(re.escape(words), text)
        check_that(session.status() in (1, 2), f"exit status 1 or 2 of `{command}`", text)
    check_match("resource is in use", session.sh("echo x > /vmm/guest.img"))
    session.sh("vmm -n two -k /vmm/guests/hello32")
    end(session, "one", "two")


@check("Many guests", 0, "guests that write all they can leave a quarter of the host's blocks; what they wrote is right", on=BOTH)
def filled(bench: Bench) -> str:
    session = hos(bench, "filled")
    written = []
    for name in ("f1", "f2", "f3"):
        text = session.sh(f"vmm -n {name} -k /vmm/guests/disk-fill", 120)
        check_match("disk-fill: ok", text)
        written.append(int(check_match(r"(\d+) of \d+ blocks written", text).group(1)))
    check_match(r"may take \d+ KiB of the host's", text)
    total, free = map(int, check_match(r"disk: (\d+) blocks of 4 KiB, (\d+) free", session.sh("free -d")).groups())
    check_that(total / 4 <= free < total / 4 + 64, f"a quarter of {total} blocks free", free)
    check_that(written[0] > 0 and written[1] > 0, "two guests that could write", written)
    word = nonce()
    check_match(word, session.sh(f"cp /vmm/kernel /k; echo {word} > /w; cat /w"))
    session.sh("rm /vmm/f1.img /vmm/f2.img /vmm/f3.img; sync")
    session.drop()
    return "blocks written: " + ", ".join(map(str, written)) + f"; free: {free} of {total}"


@check("Many guests", 0, "gOS under vmm -D 1M meets its limit, is told once, loses nothing and lives on; vms shows it", on=BOTH)
def limited(bench: Bench) -> None:
    session = hos(bench)
    text = session.open_guest("vmm -n small -D 1M")
    check_match(r"vmm: the disk has 32768 KiB; what is written to it may take 1024 KiB of the host's\n", text)
    text = passes(session, "test-limit", 120, GOS)
    size = int(check_match(r"(\d+) KiB", text).group(1))
    check_that(400 <= size <= 1024, "most of 1024 KiB for files", text)
    check_that(text.count("has hardly any space") == 1, "one message", text)
    check_match("no space left", session.guest("echo x > /more"))
    check_match(r"README", session.guest("ls /"))
    detach(session, "small")
    used, limit = map(int, vms(session)["small"][4:6])
    check_that(limit == 1024 and size <= used <= limit, f"{size} to 1024 KiB of 1024", (used, limit))
    attach(session, "small")
    session.close_guest()
    text = session.open_guest("vmm -n small -D 1M")
    check_that("not shut down cleanly" not in text, "a file system that was left clean", text)
    passes(session, "test-limit check", 60, GOS)
    session.close_guest()
    session.open_guest("vmm -n small")
    check_that("limited" not in session.guest("ls /"), "nothing left over")
    session.close_guest()
    session.sh("rm /vmm/small.img")


@check("Many guests", 0, "vmm log prints the last 16 KiB of a guest's output, seen or not, paused or not", on=BOTH)
def log(bench: Bench) -> None:
    session = hos(bench)
    start(session, "talker")
    attach(session, "talker")  # until its shell is there
    detach(session, "talker")
    check_match(r"gOS: \d+ MiB of memory[^$]*gOS\$ \n", session.sh("vmm log talker"))
    word, last = nonce(), nonce()
    attach(session, "talker")
    session.guest(f"echo {word}")
    lines = 40 * "cat /text/pages.txt; "
    session.guest(f"{lines} echo {last}", 120)
    detach(session, "talker")
    session.sh("vmm pause talker")
    text = session.sh("vmm log talker")
    check_that(f"\n{last}\n" in text and word not in text, "the end of the output", text)
    check_that(len(text) <= LOG_BYTES + 1, f"{LOG_BYTES} bytes and a newline at most", len(text))
    check_that(int(session.sh("vmm log talker | wc").split()[2]) >= LOG_BYTES, f"{LOG_BYTES} bytes")
    check_that(session.status() == 0, "exit status 0")
    check_match("no guest named nobody", session.sh("vmm log nobody"))
    check_match("usage: vmm log NAME", session.sh("vmm log"))
    end(session, "talker")


@check("Many guests", 0, "pause stops a guest, resume lets it go on; its monitor's end is its own", on=BOTH)
def pause(bench: Bench) -> None:
    session = four(bench)
    start(session, "p1", "p2", options=SPINNER)
    session.sh("vmm pause p1")
    session.sh("sleep 1")
    first = vms(session)
    session.sh("sleep 2")
    second = vms(session)
    check_that(second["p1"][:2] == ["paused", first["p1"][1]], "p1 paused, without CPU time", second)
    check_that(int(second["p2"][1]) > int(first["p2"][1]), "CPU time for p2", second)
    session.sh("vmm resume p1")
    session.sh("sleep 2")
    third = vms(session)
    check_that(third["p1"][0] == "running", "p1 running", third)
    check_that(int(third["p1"][1]) > int(second["p1"][1]), "CPU time for p1", third)
    session.sh(f"kill {third['p1'][-1]}")
    check_that(list(listed(session, 1)) == ["p2"], "p2 only")
    end(session, "p2")
    session.sh("rm /vmm/p1.img")


@check("Many guests", 0, f"{GUESTS} guests on 1 GiB, each with its own shell and disk; attach and Ctrl-] switch", on=BOTH)
def eight(bench: Bench) -> None:
    session = four(bench)
    names = [f"g{number}" for number in range(GUESTS)]
    words = {name: nonce() for name in names}
    start(session, *names)
    for name in names:
        attach(session, name)
        session.guest(f"echo {words[name]} > /word")
        detach(session, name)
    for name in reversed(names):
        text = attach(session, name)
        check_that(not any(words[other] in text for other in names if other != name), "its own console", text)
        check_match(rf"^{words[name]}$", session.guest("cat /word"))
        detach(session, name)
    attach(session, "g0")
    session.sh("halt 3")
    check_that(session.status() == 3, "the guest's exit status, 3, from vmm attach")
    listed(session, GUESTS - 1)
    end(session, *names[1:])
    session.sh("rm /vmm/g0.img")


@check("Many guests", 0, "4 CPUs: guests killed at random moments give back pages, envs and blocks", on=BOTH)
def kills_on_four(bench: Bench) -> str:
    session = four(bench)
    counts = killed_at_random(session, 4, KILLS)
    session.drop()
    return counts
