/*
 * The machine's memory: address line 20, the BIOS memory map and what Multiboot says about it. The
 * map is kept in Multiboot's form from the start, ranges above 4 GiB included.
 */
#include <boot/loader.h>
#include <inc/x86.h>

#define INT_SYSTEM  0x15
#define SYS_A20_ON  0x2401
#define SYS_E820    0xe820
#define E820_MAGIC  0x534d4150 /* "SMAP" */
#define E820_LEN    20         /* address, length, type */
#define MAX_RANGES  64
#define KIB_SHIFT   10
#define UPPER_START 0x100000 /* Multiboot: upper memory begins at 1 MiB */

/* Fast A20: system control port A. */
#define PORT_A       0x92
#define PORT_A_A20   0x02
#define PORT_A_RESET 0x01

/* Keyboard controller (8042). */
#define KBC_DATA         0x60
#define KBC_STATUS       0x64
#define KBC_COMMAND      0x64
#define KBC_INPUT_FULL   0x02 /* it has not taken the last byte yet */
#define KBC_WRITE_OUTPUT 0xd1 /* the next data byte goes to the output port */
#define KBC_OUTPUT_A20   0xdf /* A20 on, no reset, both interrupts and clocks as usual */
#define KBC_POLLS        100000

#define A20_POLLS 1000 /* a slow gate needs a while */

volatile uint32_t a20_probe;

static struct MultibootMmap map[MAX_RANGES];
static uint32_t nranges;

/* ---- Address line 20 ---- */

/* With the line forced to 0, the probe and its alias are one word. */
static bool a20_works(void)
{
    a20_probe = 1;
    a20_alias = 0;
    return a20_probe == 1;
}

static void a20_by_bios(void)
{
    bios_regs = (struct BiosRegs){ .eax = SYS_A20_ON };
    bios_call(INT_SYSTEM);
}

static void a20_by_port(void)
{
    outb(PORT_A, (inb(PORT_A) | PORT_A_A20) & ~PORT_A_RESET);
}

static void kbc_wait(void)
{
    for (int i = 0; i < KBC_POLLS && (inb(KBC_STATUS) & KBC_INPUT_FULL); i++)
        ;
}

static void a20_by_keyboard(void)
{
    kbc_wait();
    outb(KBC_COMMAND, KBC_WRITE_OUTPUT);
    kbc_wait();
    outb(KBC_DATA, KBC_OUTPUT_A20);
    kbc_wait();
}

void a20_enable(void)
{
    static void (*const methods[])(void) = { a20_by_bios, a20_by_port, a20_by_keyboard };

    if (a20_works())
        return;
    for (size_t m = 0; m < ARRAY_SIZE(methods); m++) {
        methods[m]();
        for (int i = 0; i < A20_POLLS; i++) {
            if (a20_works())
                return;
        }
    }
    fail("Address line A20 cannot be turned on, so memory above 1 MiB is out of reach.");
}

/* ---- Memory map ---- */

/* One step of INT 15h E820: the range that `next` stands for goes to *range. Returns the value that
 * stands for the range after it, 0 when this was the last; *ok: the BIOS gave a range. */
static uint32_t e820_next(uint32_t next, struct MultibootMmap *range, bool *ok)
{
    bios_regs = (struct BiosRegs){
        .eax = SYS_E820,
        .ebx = next,
        .ecx = E820_LEN,
        .edx = E820_MAGIC,
        .edi = (uint32_t)range + offsetof(struct MultibootMmap, addr),
    };
    bios_call(INT_SYSTEM);
    *ok = !(bios_regs.eflags & BIOS_CARRY) && bios_regs.eax == E820_MAGIC;
    return bios_regs.ebx;
}

void memory_detect(void)
{
    uint32_t next = 0;
    bool ok;

    do {
        struct MultibootMmap *range = &map[nranges];

        next = e820_next(next, range, &ok);
        if (!ok)
            break;
        range->size = E820_LEN;
        if (range->len == 0 || range->addr + range->len < range->addr)
            continue; /* empty, or nonsense */
        if (++nranges == MAX_RANGES && next != 0)
            fail("The BIOS memory map has more than %d ranges.", MAX_RANGES);
    } while (next != 0);
    if (nranges == 0)
        fail("This BIOS gives no memory map (INT 15h, E820).");
}

/* End of the usable RAM that starts at or goes through addr, over adjoining ranges; addr itself if
 * it is not usable. */
static uint64_t usable_end(uint64_t addr)
{
    bool grown;

    do {
        grown = false;
        for (uint32_t i = 0; i < nranges; i++) {
            const struct MultibootMmap *r = &map[i];

            if (r->type == MBMMAP_AVAILABLE && addr >= r->addr && addr - r->addr < r->len) {
                addr = r->addr + r->len;
                grown = true;
            }
        }
    } while (grown);
    return addr;
}

bool memory_usable(uint64_t start, uint64_t end)
{
    for (uint32_t i = 0; i < nranges; i++) {
        const struct MultibootMmap *r = &map[i];

        if (r->type != MBMMAP_AVAILABLE && r->addr < end && r->addr + r->len > start)
            return false;
    }
    return usable_end(start) >= end;
}

void memory_describe(struct MultibootInfo *info)
{
    uint64_t upper = (usable_end(UPPER_START) - UPPER_START) >> KIB_SHIFT;

    info->flags |= MBI_MEMORY | MBI_MMAP;
    info->mem_lower = usable_end(0) >> KIB_SHIFT;
    info->mem_upper = MIN(upper, (uint64_t)UINT32_MAX);
    info->mmap_addr = (uint32_t)map;
    info->mmap_length = nranges * sizeof(map[0]);
}
