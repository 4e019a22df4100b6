/*
 * bad-port: ports that nothing answers read as all ones in every width, and swallow writes. With
 * `string` on the command line, string instructions on ports are tried as well.
 */
#include "rt.h"

const char guest_name[] = "bad-port";

static const uint16_t ports[] = { 0x00,  0x20,  0x21,  0x43,  0x74,  0x80,  0xa1,
                                  0x1f0, 0x1f7, 0x2f8, 0xcf0, 0xcfc, 0x510, 0xffff };

static void try_port(uint16_t port)
{
    outb(port, 0x5a);
    outw(port, 0x5a5a);
    outl(port, 0x5a5a5a5a);
    check(inb(port) == 0xff, "inb 0x%x is 0x%x", port, inb(port));
    check(inw(port) == 0xffff, "inw 0x%x is 0x%x", port, inw(port));
    check(inl(port) == 0xffffffff, "inl 0x%x is 0x%x", port, inl(port));
}

/* IN changes only as much of RAX as it is wide, but 32 bits clear the upper half. */
static void try_widths(uint16_t port)
{
    const uint64_t fill = 0x1122334455667788;
    CATCH("inb %%dx, %%al", fill, 0, port);
    check(caught.rax == 0x11223344556677ff, "inb makes rax 0x%lx", caught.rax);
    CATCH("inw %%dx, %%ax", fill, 0, port);
    check(caught.rax == 0x112233445566ffff, "inw makes rax 0x%lx", caught.rax);
    CATCH("inl %%dx, %%eax", fill, 0, port);
    check(caught.rax == 0xffffffff, "inl makes rax 0x%lx", caught.rax);
}

static void try_strings(void)
{
    static uint32_t buf[4];
    trying("outs");
    outsl(0x80, buf, ARRAY_SIZE(buf));
    trying("ins");
    insl(0x80, buf, ARRAY_SIZE(buf));
    for (unsigned i = 0; i < ARRAY_SIZE(buf); i++)
        check(buf[i] == 0xffffffff, "insl read 0x%x", buf[i]);
}

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    trying("%zu ports that nothing answers", ARRAY_SIZE(ports));
    for (unsigned i = 0; i < ARRAY_SIZE(ports); i++)
        try_port(ports[i]);
    try_widths(0x80);  /* the VMM answers */
    try_widths(0x2f8); /* the monitor answers */
    if (cmdline_has("string"))
        try_strings();
    return check_result();
}
