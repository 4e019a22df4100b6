"""Guests that are started by the Linux boot protocol."""

from jos.grade import Bench, check, check_match, check_that
from jos.platforms import ALL

from .common import hos, nonce

BZIMAGE = "/vmm/guests/bzimage"
LONG = 300  # bytes: more than the command line that this kernel takes


@check("Linux", 0, "a bzImage starts in 64-bit mode with boot parameters, command line, memory map, ACPI and initrd", on=ALL)
def protocol(bench: Bench) -> None:
    session, word, line = hos(bench), nonce(), nonce()
    session.sh(f"echo {word} >/tmp/initrd")
    text = session.sh(f'vmm -m 64M -k {BZIMAGE} -i /tmp/initrd -a "{line} more"')
    check_match(rf"(?m)^(?:tsc_early_khz=\d+ tsc=reliable )?{line} more{word}$", text)
    check_match(r"(?m)^bzimage: ok$", text)
    check_that(session.status() == 0, "exit status 0", text)


@check("Linux", 0, "too little memory, a long command line, a large initrd: refused with the size that is possible", on=ALL)
def refusals(bench: Bench) -> None:
    session = hos(bench)
    for arguments, words in (
        ("-m 32M", r"need 48 MiB of memory, guest has 32 MiB"),
        (f"-m 64M -a {'x' * LONG}", rf"command line has {LONG} bytes, this kernel takes 255"),
        ("-m 48M -i /vmm/guest.img", r"need \d+ MiB of memory, guest has 48 MiB"),
        ("-m 64M -i /no/initrd", r"/no/initrd: no such file"),
    ):
        text = session.sh(f"vmm -k {BZIMAGE} {arguments}")
        check_match(rf"vmm: .*{words}", text)
        check_that(session.status() == 1, "exit status 1", text)
