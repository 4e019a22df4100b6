/*
 * port-sweep: IN and OUT of all three widths on ports of the whole range, except the console's and
 * those that reset or end the machine. `step=N` on the command line takes each N-th port, else all.
 */
#include "../vmm_uart.h"
#include "rt.h"

const char guest_name[] = "port-sweep";

#define NPORTS    65536u
#define DWORD     4u
#define UART_LAST (COM1 + 7u)

/* Does an access of up to 4 bytes at the port touch this range? */
static bool touches(uint32_t port, uint32_t first, uint32_t last)
{
    return port <= last && port + DWORD > first;
}

static bool left_out(uint32_t port)
{
    static const uint16_t ends[] = { 0x64, 0x92, 0x501, 0x604, 0xcf9 }; /* reset, power off */
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
    }
    print("port-sweep: %lu calls\n", calls);
    check(calls > 0, "no port tried");
    return check_result();
}
