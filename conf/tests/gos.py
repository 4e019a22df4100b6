"""gOS: the same kernel as a guest, with its own shell, disk and timer."""


from jos.grade import Bench, check, check_match, check_that
from jos.platforms import ALL, PARALLEL
from jos.session import GOS, HOS

from .common import CTRL_C, cancel, hos, nonce, passes, running
from .guests import DETACH_KEY

RUNS = 20


@check("gOS", 0, "vmm shows progress and gOS's boot, reaches its shell; halt returns to hOS", on=ALL)
def reach_shell(bench: Bench) -> None:
    session = hos(bench)
    text = session.open_guest()
    check_match(r"vmm: loading /vmm/kernel: \d+ KiB.*gOS: 6\d MiB of memory", text)
    session.close_guest()
    check_that(session.status() == 0, "exit status 0 of vmm")
    session.open_guest()
    session.sh("halt 5")
    check_that(session.status() == 5, "gOS's exit status, 5")


@check("gOS", 0, "ls, cat, echo, pipes and scripts work in gOS on its own disk, which keeps its files", on=ALL)
def own_disk(bench: Bench) -> None:
    session, word = hos(bench), nonce()
    session.sh(f"echo hidden > /only-in-hos-{word}")
    session.open_guest()
    check_match(r"\bbin\b", session.guest("ls /"))
    check_that(word not in session.guest("ls /"), "nothing of hOS's disk")
    check_match(r"\b1\s+1\s+13\b", session.guest(f"echo {word} | cat | wc"))
    session.guest(f"echo 'echo from script {word}' > /script-{word}")
    check_match(rf"from script {word}", session.guest(f"sh /script-{word}"))
    session.close_guest()
    check_that(f"script-{word}" not in session.sh("ls /"), "nothing of gOS's disk on hOS's")
    session.open_guest()
    check_match(rf"from script {word}", session.guest(f"sh /script-{word}"))
    session.close_guest()


@check("gOS", 0, "Ctrl-C ends what runs in gOS while that has the console, and what runs in hOS otherwise", on=ALL)
def ctrl_c(bench: Bench) -> None:
    session, word = hos(bench), nonce()
    session.open_guest("vmm -n canceled")
    cancel(session, f"echo {word}; sleep 1000 | cat; echo not here", word, GOS)
    check_that(running(session, "sleep", GOS) == 0, "no sleep in gOS")
    machine = session.ready()
    machine.send(CTRL_C)
    check_match(r"^\^C\n\Z", session.until(GOS, 30))
    machine.send(DETACH_KEY)
    session.until(HOS, 30)
    cancel(session, f"echo {word}; sleep 1000", word)
    session.sh("vmm attach canceled", prompt=GOS)
    check_match(rf"^{word}\n", session.guest(f"echo {word}"))
    session.close_guest()


@check("gOS", 0, "vmm -V: gOS works on virtio-blk and virtio-console, its files stay, and hOS loses no page", on=ALL)
def on_virtio(bench: Bench) -> None:
    session, word = hos(bench), nonce()
    session.open_guest("vmm -V")
    check_match(r"\bbin\b", session.guest("ls /"))
    check_match(rf"^{word}$", session.guest(f"echo {word} | cat"))
    session.guest(f"cp /bin/sh /copy; echo {word} > /kept-{word}")
    session.close_guest()
    free = []
    for _ in range(3):
        text = session.open_guest("vmm -V")
        check_that("recovered" not in text, "a disk that was shut down cleanly", text)
        check_match(rf"^{word}$", session.guest(f"cat /kept-{word}"))
        check_match(r"(?m)^(\d+ \d+ \d+) /bin/sh\n\1 /copy$", session.guest("wc /bin/sh /copy"))
        session.close_guest()
        check_that(session.status() == 0, "exit status 0 of vmm")
        free.append(session.free_pages())
    check_that(free[1] == free[2], f"{free[1]} free pages after the last run", free[2])


@check("gOS", 0, "on virtio, too: Ctrl-] and attach, input from a pipe, the power button", on=PARALLEL)
def virtio_console(bench: Bench) -> None:
    session, word = hos(bench), nonce()
    session.open_guest("vmm -V")
    machine = session.ready()
    machine.send(DETACH_KEY)
    session.until(HOS, 30)
    session.sh("vmm attach gos", prompt=GOS)
    check_match(rf"^{word}$", session.guest(f"echo {word}"))
    machine.send(DETACH_KEY)
    session.until(HOS, 30)
    text = session.sh("vmm stop gos; echo status $?; vms", 60)
    check_match(r"(?m)^status 0$", text)
    text = session.sh(f"echo 'echo piped {word}; halt 7' | vmm -V", 60)
    check_match(rf"^piped {word}$", text)


@check("gOS", 0, "the file-system tests pass on virtio-blk, and a guest that is killed while it writes leaves a sound disk", on=PARALLEL)
def virtio_disk(bench: Bench) -> None:
    session, word = hos(bench), nonce()
    session.open_guest("vmm -V")
    session.guest("mkdir /vmm; cp /bin/sh /vmm/guest.img")  # the test wants to read a large file
    passes(session, "test-fs", 240, GOS)
    session.guest(f"echo {word} > /safe; sync")
    machine = session.ready()
    script = "".join(f"cp /bin/sh /tmp/{i}; rm /tmp/{i}; cp /bin/vmm /tmp/{i}; " for i in range(6))
    session.guest(f"echo 'echo a round; {script} sh /busy' > /busy")
    machine.sendline("sh /busy")
    for _ in range(3):
        machine.expect("\na round", 60)
    machine.send(DETACH_KEY)
    session.until(HOS, 30)
    session.sh("vmm kill gos")
    text = session.open_guest("vmm -V", 120)
    check_that("needs fsck" not in text and "cannot" not in text, "a disk that is whole, or recovered", text)
    check_match(rf"^{word}$", session.guest("cat /safe"))
    session.close_guest()


@check("gOS", 0, "-d gives gOS another disk image, and -a words for its command line", on=ALL)
def other_disk(bench: Bench) -> None:
    session, word = hos(bench), nonce()
    session.sh("cp /vmm/guest.img /other.img", 120)
    session.open_guest(f'vmm -d /other.img -a "run=echo -- started {word}"')
    session.guest(f"echo {word} > /{word}")
    session.close_guest()
    session.open_guest()
    check_that(word not in session.guest("ls /"), "nothing of the other image")
    session.close_guest()
    text = session.open_guest(f'vmm -d /other.img -a "run=cat -- /{word}"')
    check_match(rf"^{word}$", text)
    session.close_guest()
    session.sh("rm /other.img")


@check("gOS", 0, "gOS preempts its own envs, and its kernel tests pass in the guest", on=ALL)
def guest_tests(bench: Bench) -> None:
    session = hos(bench)
    session.open_guest()
    for program in ("test-sched", "test-fork", "test-fault", "test-ipc"):
        passes(session, program, 120, GOS)
    session.close_guest()


@check("gOS", 0, "with -p every page fault of gOS is verified and injected, and gOS runs as before", on=ALL)
def intercepted(bench: Bench) -> None:
    session = hos(bench)
    session.open_guest("vmm -p -s", 90)
    passes(session, "test-fork", 120, GOS)
    text = session.close_guest()
    injected = int(check_match(r"page faults injected\s+(\d+)", text).group(1))
    check_that(injected > 0, "injected page faults", text)


@check("gOS", 0, "-m sets the guest's memory, up to 5 GiB, and takes only what is touched", on=ALL)
def memory_sizes(bench: Bench) -> None:
    session = hos(bench)
    for option, mib in (("32M", 32), ("200M", 200), ("5G", 5 * 1024)):
        text = session.open_guest(f"vmm -m {option}", 90)
        seen = int(check_match(r"gOS: (\d+) MiB of memory", text).group(1))
        check_that(mib * 0.97 - 3 <= seen <= mib, f"about {mib} MiB", f"{seen} MiB")
        session.close_guest()


@check("gOS", 0, "the host's envs run beside a guest that spins with interrupts off", on=PARALLEL)
def sharing(bench: Bench) -> None:
    session = hos(bench)
    word = nonce()
    session.sh(f"echo 'sleep 1; echo background {word}' > /later")
    machine = session.ready()
    machine.sendline("sh /later & vmm -k /vmm/guests/cli-spin")
    machine.expect("trying", 60)  # the guest spins from now on
    machine.expect(f"background {word}", 60)
    machine.send(DETACH_KEY)
    session.until(HOS, 60)
    session.sh("vmm kill gos")


@check("gOS", 0, f"{RUNS} vmm runs in one boot all reach gOS's shell, and leak nothing", on=ALL)
def many_runs(bench: Bench) -> None:
    session = hos(bench)
    # Each CPU keeps pages from its first guest on; two that spin are on two CPUs.
    cpus = int(bench.platform.settings.get("cpus", 1))
    spinners = [f"spin{i}" for i in range(cpus)] if cpus > 1 else []
    for name in spinners:
        session.sh(f"vmm -n {name} -m 16M -k /vmm/guests/cli-spin &")
    session.open_guest()
    session.close_guest()
    for name in spinners:
        session.sh(f"vmm kill {name}")
        session.sh(f"rm /vmm/{name}.img")
    session.open_guest()
    session.close_guest()
    first = session.free_pages()
    for _ in range(RUNS - 2):
        session.open_guest()
        session.close_guest()
    last = session.free_pages()
    check_that(first == last, f"{first} free pages after the last run", last)
