"""Guests that are started by the Linux boot protocol."""

from jos.grade import Bench, check, check_match, check_that
from jos.platforms import ALL

from .common import hos, nonce

# What each of them checks is in its source; it prints its command line and its initrd.
KERNELS = ("bzimage", "vmlinux", "pvh")
BZIMAGE = "/vmm/guests/bzimage"
LONG = 300  # bytes: more than the command line that this kernel takes


def starts(bench: Bench, kernel: str) -> None:
    session, word, line = hos(bench), nonce(), nonce()
    session.sh(f"echo {word} >/tmp/initrd")
    text = session.sh(f'vmm -m 64M -k /vmm/guests/{kernel} -i /tmp/initrd -a "{line} more"')
    check_match(rf"(?m)^(?:tsc_early_khz=\d+ tsc=reliable )?{line} more{word}$", text)
    check_match(rf"(?m)^{kernel}: ok$", text)
    check_that(session.status() == 0, "exit status 0", text)


@check("Linux", 0, "a bzImage starts in 64-bit mode with boot parameters, command line, memory map, ACPI and initrd", on=ALL)
def protocol(bench: Bench) -> None:
    starts(bench, "bzimage")


@check("Linux", 0, "an ELF file with a note of Linux' starts at its entry point, with boot parameters as for a bzImage", on=ALL)
def vmlinux(bench: Bench) -> None:
    starts(bench, "vmlinux")


@check("Linux", 0, "an ELF file with a PVH note starts there: 32-bit mode, command line, memory map, ACPI and initrd", on=ALL)
def pvh(bench: Bench) -> None:
    starts(bench, "pvh")


@check("Linux", 0, "several -i are one initrd, and the oldest boot protocol with a 64-bit entry point does", on=ALL)
def edges(bench: Bench) -> None:
    session, one, two = hos(bench), nonce(), nonce()
    session.sh(f"echo {one} >/tmp/one; echo {two} >/tmp/two")
    for kernel in ("/vmm/bad/bz-oldest", *(f"/vmm/guests/{kernel}" for kernel in KERNELS)):
        text = session.sh(f"vmm -m 64M -k {kernel} -i /tmp/one -i /tmp/two")
        check_match(rf"{one}\0*\n\0*{two}", text)
        check_that(session.status() == 0, "exit status 0", text)


@check("Linux", 0, "too little memory, a long command line, a large initrd: refused with the size that is possible", on=ALL)
def refusals(bench: Bench) -> None:
    session = hos(bench)
    refused = [
        (BZIMAGE, f"-m 64M -a {'x' * LONG}", rf"command line has {LONG} bytes, this kernel takes 255"),
        ("/vmm/bad/bz-nocmdline", "-m 64M -a x", r"command line has 1 bytes, this kernel takes 0"),
        ("/vmm/bad/bz-noinitrd", "-m 64M -i /README", r"no room for an initrd of 4 KiB: it must end below 0x1100000"),
        (BZIMAGE, "-m 64M -i /no/initrd", r"/no/initrd: no such file"),
    ]
    for kernel in KERNELS:
        path = f"/vmm/guests/{kernel}"
        refused += [
            (path, "-m 16M", r"needs 48 MiB of memory, guest has 16 MiB"),
            (path, "-m 32M", r"need 48 MiB of memory, guest has 32 MiB"),
            (path, "-m 48M -i /vmm/guest.img", r"need \d+ MiB of memory, guest has 48 MiB"),
        ]
    for kernel, arguments, words in refused:
        text = session.sh(f"vmm -k {kernel} {arguments}")
        check_match(rf"vmm: .*{words}", text)
        check_that(session.status() == 1, "exit status 1", text)
