/*
 * port-widths: an access of 16 or 32 bits reaches the device at its first port and no other. Reads
 * and writes next to ports that end the machine do nothing; the registers of one device can be
 * accessed in pairs. With `reset`, `exit` or `off` on the command line it ends by that port.
 */
#include <inc/uart.h>
#include "rt.h"

const char guest_name[] = "port-widths";

#define PORT_KBC        0x64
#define PORT_FAST_RESET 0x92
#define PORT_EXIT       0x501
#define PORT_PM1        0x604
#define PORT_CONFIG     0xcf8
#define PORT_RESET_CTL  0xcf9
#define RESET           6
#define PM1_SLP_EN      0x2000
#define EXIT_STATUS     7

/* Each value would end the machine at one of these ports, if it reached it. */
static void try_neighbours(void)
{
    static const uint16_t ports[] = { PORT_KBC, PORT_FAST_RESET, PORT_EXIT, PORT_PM1,
                                      PORT_RESET_CTL };
    static const uint32_t ones[] = { 0xffffffff, 0xfefefefe };
    for (unsigned i = 0; i < ARRAY_SIZE(ports); i++)
        for (unsigned j = 0; j < ARRAY_SIZE(ones); j++) {
            outw(ports[i] - 1, ones[j]);
            for (unsigned below = 1; below < 4; below++)
                outl(ports[i] - below, ones[j]);
            outsl(ports[i] - 1, &ones[j], 1);
        }
}

/* Address line 20 is on, and nobody asks for a reset. */
static void try_control_port(void)
{
    check(inb(PORT_FAST_RESET) == 2, "port 0x92 reads 0x%x", inb(PORT_FAST_RESET));
}

/* PCI's address register, which has the reset register in its midst. */
static void try_config(void)
{
    outl(PORT_CONFIG, 0x80000000 | RESET << 8);
    check(inl(PORT_CONFIG) == (0x80000000 | RESET << 8), "0xcf8 reads 0x%x", inl(PORT_CONFIG));
    outw(PORT_CONFIG, 0xffff);
    outb(PORT_CONFIG, 0xff);
    check(inl(PORT_CONFIG) == (0x80000000 | RESET << 8), "0xcf8 reads 0x%x", inl(PORT_CONFIG));
    check(inw(PORT_CONFIG) == 0xffff, "half of 0xcf8 reads 0x%x", inw(PORT_CONFIG));
    outl(PORT_CONFIG, 0xffffffff);
    check(inl(PORT_CONFIG) == 0x80fffffc, "0xcf8 reads 0x%x", inl(PORT_CONFIG));
}

/* In loop back, what is sent is received; nothing goes out. */
static void try_uart(void)
{
    uint8_t lcr = inb(COM1 + COM_LCR), mcr = inb(COM1 + COM_MCR);
    outw(COM1 + COM_LCR, LCR_8N1 | (MCR_RTS | MCR_DTR) << 8);
    check(inw(COM1 + COM_LCR) == (LCR_8N1 | (MCR_RTS | MCR_DTR) << 8), "LCR and MCR are 0x%x",
          inw(COM1 + COM_LCR));
    outw(COM1 + COM_SCR, 0x1234);
    check(inb(COM1 + COM_SCR) == 0x34, "SCR is 0x%x", inb(COM1 + COM_SCR));
    check(inw(COM1 + COM_SCR) == 0xff34, "SCR and the port after it read 0x%x",
          inw(COM1 + COM_SCR));
    uint32_t status = inl(COM1 + COM_LSR);
    check((status & LSR_THRE) && status >> 16 == 0xff34, "LSR, MSR and SCR read 0x%x", status);
    outb(COM1 + COM_SCR, 0x56);
    outl(COM1 - 1, 0x03030303);
    outw(COM1 - 1, 0xffff);
    check(inw(COM1 - 1) == 0xffff, "0x3f7 reads 0x%x", inw(COM1 - 1));
    check(inb(COM1 + COM_SCR) == 0x56, "SCR has become 0x%x", inb(COM1 + COM_SCR));
    outw(COM1 + COM_LCR, lcr | mcr << 8);
}

/* These end the machine, or nothing does. */
static void try_end(void)
{
    if (cmdline_has("reset"))
        outb(PORT_RESET_CTL, RESET);
    if (cmdline_has("exit"))
        outw(PORT_EXIT, 0xff00 | EXIT_STATUS);
    if (cmdline_has("off"))
        outw(PORT_PM1, PM1_SLP_EN);
}

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    trying("wide accesses next to ports that end the machine");
    try_config();
    try_neighbours();
    try_control_port();
    trying("wide accesses to COM1");
    try_uart();
    try_end();
    return check_result();
}
