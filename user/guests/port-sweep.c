/*
 * port-sweep: IN and OUT of all three widths, and on some as strings with and without REP, on ports
 * of the whole range, except the console's and those that reset or end the machine. `step=N` on the
 * command line takes each N-th port, else all.
 */
#include <inc/uart.h>
#include "rt.h"

const char guest_name[] = "port-sweep";

#define NPORTS       65536u
#define DWORD        4u
#define UART_LAST    (COM1 + 7u)
#define STRING_BYTES (3 * (1 + 2 + 4))
#define STRING_STEP  8 /* of the ports that are tried, so many share one test of strings */

/* Does an access of up to 4 bytes at the port touch this range? */
static bool touches(uint32_t port, uint32_t first, uint32_t last)
{
    return port <= last && port + DWORD > first;
}

static bool left_out(uint32_t port)
{
    static const uint16_t ends[] = { 0x64, 0x92, 0x501, 0x605, 0xcf9 }; /* reset, power off */
    for (unsigned i = 0; i < ARRAY_SIZE(ends); i++)
        if (touches(port, ends[i], ends[i]))
            return true;
    return touches(port, COM1, UART_LAST);
}

static uint32_t step(void)
{
    const char *p = strstr(cmdline(), "step=");
    return p ? (uint32_t)strtoul(p + 5, NULL, 10) : 1;
}

/* All widths once and with REP, two times each; the pointers say how far it came. */
static void try_strings(uint32_t port)
{
    static uint8_t buf[STRING_BYTES];
    uint8_t *to = buf, *from = buf;
    asm volatile("insb; insw; insl; movl $2, %%ecx; rep insb; movl $2, %%ecx; rep insw; "
                 "movl $2, %%ecx; rep insl"
                 : "+D"(to)
                 : "d"(port)
                 : "rcx", "memory");
    asm volatile("outsb; outsw; outsl; movl $2, %%ecx; rep outsb; movl $2, %%ecx; rep outsw; "
                 "movl $2, %%ecx; rep outsl"
                 : "+S"(from)
                 : "d"(port)
                 : "rcx", "memory");
    check(to == buf + STRING_BYTES, "INS on port 0x%x came %ld far", port, to - buf);
    check(from == buf + STRING_BYTES, "OUTS on port 0x%x came %ld far", port, from - buf);
}

int guest_main(const struct MultibootInfo *info)
{
    uint64_t calls = 0;
    (void)info;
    trying("to use every %u. port", step());
    for (uint32_t port = 0; port < NPORTS; port += step()) {
        if (left_out(port))
            continue;
        outb(port, 0xa5);
        outw(port, 0xa5a5);
        outl(port, 0xa5a5a5a5);
        inb(port);
        inw(port);
        inl(port);
        calls += 6;
        if (port / step() % STRING_STEP == 0) {
            try_strings(port);
            calls += 12;
        }
    }
    print("port-sweep: %lu calls\n", calls);
    check(calls > 0, "no port tried");
    return check_result();
}
