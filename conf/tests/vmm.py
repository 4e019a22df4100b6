"""The VMM's refusals: machines that cannot run guests, kernels and sizes that it does not take."""

from jos.bochs import SHARE, Bochs
from jos.grade import Bench, check, check_match, check_that
from jos.machine import Machine
from jos.platforms import ALL
from jos.qemu import Tcg
from jos.session import HOS

from .common import hos, nonce

# The BIOS sets IA32_FEATURE_CONTROL to 5 (locked, VMX on) by `or eax, 5; wrmsr`; with 1 it locks VMX off.
BIOS_ENABLES_VMX = bytes.fromhex("83c8050f30")
BIOS_LOCKS_VMX_OFF = bytes.fromhex("83c8010f30")


def refuses(machine: Machine, reason: str) -> None:
    """vmm names the reason and what to do instead; the shell goes on."""
    machine.expect(HOS, 60)
    machine.sendline("vmm; echo status=$?")
    end = machine.expect("status=1\n", 60).start()
    text = machine.console.text[:end]
    check_match(reason, text)
    check_match(r"make bochs-nox", text)
    word = nonce()
    machine.sendline(f"echo {word}")
    machine.expect(f"\n{word}\n")


@check("VMM", 0, "a CPU with neither VT-x nor SVM: vmm says so of both", lane="qemu")
def neither(bench: Bench) -> None:
    with bench.machine("vmm-neither", Tcg, cpu="qemu64,-svm") as machine:
        refuses(machine, r"no VT-x.*no SVM")


@check("VMM", 0, "a CPU with SVM but without nested paging: vmm says so", lane="qemu")
def no_npt(bench: Bench) -> None:
    with bench.machine("vmm-no-npt", Tcg, cpu="qemu64,+svm,-npt") as machine:
        refuses(machine, r"no nested paging")


@check("VMM", 0, "an old CPU without VT-x: hOS works there, and vmm says what is missing", lane="bochs")
def old_cpu(bench: Bench) -> None:
    with bench.machine("vmm-clawhammer", Bochs, cpu="athlon64_clawhammer") as machine:
        refuses(machine, r"no VT-x")


@check("VMM", 0, "a CPU with VT-x but without EPT: vmm says so", lane="bochs")
def no_ept(bench: Bench) -> None:
    with bench.machine("vmm-penryn", Bochs, cpu="core2_penryn_t9600") as machine:
        refuses(machine, r"no EPT")


@check("VMM", 0, "VT-x locked off by the firmware: vmm says so", lane="bochs")
def locked(bench: Bench) -> None:
    rom = (SHARE / "BIOS-bochs-latest").read_bytes()
    check_that(BIOS_ENABLES_VMX in rom, "the known code in Bochs' BIOS")
    bios = bench.folder / "bios-vmx-off"
    bios.write_bytes(rom.replace(BIOS_ENABLES_VMX, BIOS_LOCKS_VMX_OFF))
    with bench.machine("vmm-locked", Bochs, bios=bios) as machine:
        refuses(machine, r"locked off")


AT_ONCE = 16  # commands on a line
BAD_KERNELS = (
    ("truncated", r"truncated"),
    ("truncated-headers", r"truncated"),
    ("nonelf", r"no Multiboot header"),
    ("empty", r"."),
    ("nokludge", r"."),
    ("noheader", r"no Multiboot header"),
    ("badsum", r"checksum"),
    ("needsvideo", r"video mode"),
    ("elf32", r"truncated|broken"),
    ("elf32-phentsize", r"broken"),
    ("elf32-segment", r"broken"),
    ("overlapping", r"overlap"),
    ("toolarge", r"does not fit"),
    ("wraparound", r"does not fit|broken"),
    ("badentry", r"entry point"),
    ("wrongmachine", r"wrong machine"),
    ("bz-bootflag", r"no kernel: it is no bzImage"),
    ("bz-magic", r"no kernel: it is no bzImage"),
    ("bz-old", r"older than 2\.12"),
    ("bz-zimage", r"zImage"),
    ("bz-no64", r"no 64-bit entry point"),
    ("bz-alignment", r"alignment is not a power of 2"),
    ("bz-alignment0", r"alignment is not a power of 2"),
    ("bz-low", r"preferred address is below 1 MiB"),
    ("bz-nopage", r"not at a page"),
    ("bz-unaligned", r"not a multiple of its alignment"),
    ("bz-high", r"preferred address is above 3 GiB"),
    ("bz-wraparound", r"preferred address is above 3 GiB"),
    ("bz-nosize", r"how much memory"),
    ("bz-hungry", r"needs 560 MiB of memory, guest has 256 MiB \(-m\)"),
    ("bz-toolarge", r"does not fit: it ends at 0x100ffffff"),
    ("bz-truncated", r"truncated: the kernel begins at offset 0x20000 "),
    ("bz-cut", r"truncated: the kernel begins at offset 0x400 and ends at 0x10000003f0"),
    ("vx-nonote", r"no Multiboot header .* no PVH entry point and no note of Linux"),
    ("vx-notes-outside", r"truncated: its notes need 0x18 bytes at offset"),
    ("vx-notes-wraparound", r"truncated: its notes need"),
    ("vx-notes-long", r"truncated: its notes need 0xffffffffffffffff bytes"),
    ("vx-note-name", r"broken: its note at offset 0x0 is longer"),
    ("vx-note-contents", r"broken: its note at offset 0x0 is longer"),
    ("vx-low", r"a segment below 1 MiB"),
    ("vx-entry", r"entry point 0xffffff is in none of its segments"),
    ("vx-entry-high", r"entry point 0x100000000 is above 4 GiB"),
    ("vx-truncated", r"truncated"),
    ("vx-hungry", r"needs 560 MiB of memory, guest has 256 MiB \(-m\)"),
    ("vx-toolarge", r"does not fit"),
    ("pv-contents", r"broken: its PVH entry point has 3 bytes"),
    ("pv-empty", r"broken: its PVH entry point has 0 bytes"),
    ("pv-entry", r"entry point 0x40 is in none of its segments"),
    ("pv-entry-end", r"entry point 0x1200000 is in none of its segments"),
)


@check("VMM", 0, "every kind of bad kernel file is refused by name and fault, and nothing leaks", on=ALL)
def bad_kernels(bench: Bench) -> None:
    session = hos(bench)
    files = [("/no/such/kernel", r"no such file"), ("/vmm", r"regular file|directory")]
    files += [(f"/vmm/bad/{name}", words) for name, words in BAD_KERNELS]
    for path, words in files:
        text = session.sh(f"vmm -k {path}; echo status=$?")
        check_match(rf"vmm: .*{words}", text)
        check_that("status=1\n" in text, f"exit status 1 for {path}", text)
    before = session.free_pages()  # now the file server has all of these in its cache
    for some in range(0, len(files), AT_ONCE):
        session.sh("; ".join(f"vmm -k {path}" for path, _ in files[some : some + AT_ONCE]))
    after = session.free_pages()
    check_that(after == before, f"{before} free pages afterwards", after)


@check("VMM", 0, "-m 0, 1T, x, -D 0 and other wrong usage: an error with the allowed range, status 2", on=ALL)
def bad_usage(bench: Bench) -> None:
    session = hos(bench)
    for arguments in ("-m 0", "-m 1T", "-m x", "-m 3M", "-m 6G", "-m -1", "-m 64MM"):
        text = session.sh(f"vmm {arguments}")
        check_match(r"4M to 5G", text)
        check_that(session.status() == 2, f"exit status 2 for vmm {arguments}", text)
    for arguments in ("-D 0", "-D 1", "-D x", "-D -1M", "-D 1023K", "-D 1MM"):
        text = session.sh(f"vmm {arguments}")
        check_match(rf"vmm: {arguments}: .*at least 1M", text)
        check_that(session.status() == 2, f"exit status 2 for vmm {arguments}", text)
    check_match(r"usage: vmm", session.sh("vmm -?"))
    check_that(session.status() == 2, "exit status 2 for a wrong option")


@check("VMM", 0, "a missing disk image is named, and the shell goes on", on=ALL)
def no_disk(bench: Bench) -> None:
    session = hos(bench)
    check_match(r"vmm: .*/no/such/image.*no such file", session.sh("vmm -d /no/such/image"))
    check_that(session.status() == 1, "exit status 1")
