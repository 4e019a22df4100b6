/*
 * Messages of devices to a guest's local APIC: which are refused, whom a destination names in each
 * mode, and what a message leaves there. The guest is a few instructions long, in 32-bit mode
 * without paging, and reads and writes its APIC's registers as it is told on a port.
 */
#include <inc/msi.h>
#include <inc/trap.h>
#include "test.h"

#define MEMSIZE    GUEST_MEM_MIN
#define CODE       0x10000ul
#define PORT_ASK   0xf1 /* the guest reads what to do: an offset, with this bit for a write */
#define WRITE      0x80000000u
#define HALT       0xffffffffu
#define PORT_VALUE 0xf2       /* it tells what it has read, */
#define NMI_SEEN   0x4e4d4921 /* or that an NMI has come */
#define NAP_MSEC   20
#define PERM_RW    (PTE_P | PTE_U | PTE_W | PTE_SHARE) /* fork keeps it one page */

/* Offsets of registers (SDM "Local APIC Register Address Map") */
#define APIC_LDR   0xd0
#define APIC_DFR   0xe0
#define APIC_SVR   0xf0
#define APIC_TMR   0x180
#define APIC_IRR   0x200
#define SVR_ENABLE 0x1ff
#define DFR_FLAT   0xffffffffu

#define VECTOR  0x52u
#define TO(id)  (MSI_ADDRESS | (uint64_t)(id) << MSI_DEST_SHIFT)
#define SET(id) (TO(id) | MSI_LOGICAL)
#define HINT    8u /* of an address: redirection hint */

/* It loads descriptor tables of its own, so that an NMI can come and end. */
extern const char guest_code[], guest_code_end[];
asm(".section .rodata\n"
    ".code32\n"
    ".balign 8\n"
    "guest_code:\n"
    "    lgdt 0x10000 + gdtr - guest_code\n"
    "    lidt 0x10000 + idtr - guest_code\n"
    "    ljmp $8, $0x10000 + 4f - guest_code\n"
    "4:  movl $16, %eax\n"
    "    movl %eax, %ds\n"
    "    movl %eax, %ss\n"
    "    movl $0x20000, %esp\n"
    "    movl $0xfee00000, %ebx\n"
    "1:  inl $0xf1, %eax\n"
    "    cmpl $-1, %eax\n"
    "    jne 3f\n"
    "    hlt\n"
    "    jmp 1b\n"
    "3:  movl %eax, %esi\n"
    "    btrl $31, %esi\n"
    "    jc 2f\n"
    "    movl (%ebx,%esi), %eax\n"
    "    outl %eax, $0xf2\n"
    "    jmp 1b\n"
    "2:  inl $0xf1, %eax\n"
    "    movl %eax, (%ebx,%esi)\n"
    "    jmp 1b\n"
    "nmi:pushl %eax\n"
    "    movl $0x4e4d4921, %eax\n"
    "    outl %eax, $0xf2\n"
    "    popl %eax\n"
    "    iretl\n"
    ".balign 8\n"
    "gdt: .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff\n"
    "idt: .quad 0, 0\n" /* and vector 2: */
    "    .word nmi - guest_code, 8, 0x8e00, 1\n"
    "gdtr: .word 23; .long 0x10000 + gdt - guest_code\n"
    "idtr: .word 23; .long 0x10000 + idt - guest_code\n"
    "guest_code_end:\n"
    ".code64\n"
    ".text\n");

static struct GuestExit *const shared = (struct GuestExit *)UTEMP;
static envid_t guest;

static void start_guest(void)
{
    char why[256] = "";
    guest = sys_env_mkguest(MEMSIZE, CODE, 0, why, sizeof(why));
    CHECK(guest > 0, "no guest: %e %s", guest, why);
    CHECK_IS(sys_guest_mem(guest, CODE, (void *)guest_code, guest_code_end - guest_code, true), 0);
    CHECK_IS(sys_page_alloc(0, shared, PERM_RW), 0);
    CHECK_IS(sys_guest_share(guest, shared), 0);
    CHECK_IS(sys_env_set_status(guest, ENV_RUNNABLE), 0);
    CHECK_IS(sys_guest_run(guest, false), GUEST_EV_IO);
}

static void end_guest(void)
{
    CHECK_IS(sys_env_destroy(guest), 0);
    CHECK_IS(sys_env_wait(guest, NULL, false), guest);
    sys_page_unmap(0, shared);
}

/* The guest waits at PORT_ASK; it gets this, and stops at its next I/O. */
static void answer(uint32_t value)
{
    CHECK_IS(shared->io.port, PORT_ASK);
    shared->regs.rax = value;
    shared->skip = 1;
    CHECK_IS(sys_guest_run(guest, false), GUEST_EV_IO);
}

static uint32_t read_apic(uint32_t offset)
{
    answer(offset);
    CHECK_IS(shared->io.port, PORT_VALUE);
    uint32_t value = shared->regs.rax;
    shared->skip = 1;
    CHECK_IS(sys_guest_run(guest, false), GUEST_EV_IO);
    return value;
}

static void write_apic(uint32_t offset, uint32_t value)
{
    answer(offset | WRITE);
    answer(value);
}

/* Does a message reach it? The guest has interrupts off, so a vector stays requested. */
static bool takes(uint64_t address, uint32_t data)
{
    uint32_t vector = data & MSI_VECTOR, part = vector / 32 * 0x10, bit = 1u << vector % 32;
    CHECK_IS(sys_guest_msi(guest, address, data), 0);
    return read_apic(APIC_IRR + part) & bit;
}

static void test_refused(void)
{
    start_guest();
    static const uint64_t addresses[] = { 0, MSI_ADDRESS - 4, MSI_ADDRESS + 0x100000,
                                          MSI_ADDRESS | 1ul << 32, ~0ul };
    for (size_t i = 0; i < ARRAY_SIZE(addresses); i++)
        CHECK_IS(sys_guest_msi(guest, addresses[i], VECTOR), -E_INVAL);
    for (uint32_t vector = 0; vector < 16; vector++)
        CHECK_IS(sys_guest_msi(guest, MSI_ADDRESS, vector), -E_INVAL);
    for (uint32_t mode = 0; mode < 8; mode++) {
        bool ok = mode == 0 || mode == 1 || mode == 4; /* fixed, lowest priority, NMI */
        if (!ok)
            CHECK_IS(sys_guest_msi(guest, MSI_ADDRESS, mode << 8 | VECTOR), -E_INVAL);
    }
    for (uint32_t part = 0; part < 8; part++)
        CHECK_IS(read_apic(APIC_IRR + 0x10 * part), 0);
    end_guest();
}

static void test_physical(void)
{
    start_guest();
    write_apic(APIC_SVR, SVR_ENABLE);
    CHECK(!takes(TO(1), 0x50), "a message to CPU 1");
    CHECK(!takes(TO(0xfe), 0x50), "a message to CPU 254");
    CHECK(takes(TO(0), 0x51), "no message to CPU 0");
    CHECK(takes(TO(0xff), 0x52), "no message to all");
    CHECK(takes(TO(0) | HINT, MSI_LOWEST | 0x53), "no message of lowest priority");
    end_guest();
}

static void test_logical(void)
{
    start_guest();
    write_apic(APIC_SVR, SVR_ENABLE);
    write_apic(APIC_LDR, 0x24000000);
    CHECK(takes(SET(0x04), 0x60), "bit 2 of a flat set");
    CHECK(takes(SET(0x21) | HINT, MSI_LOWEST | 0x61), "bit 5 of a flat set");
    CHECK(!takes(SET(0xdb), 0x62), "all but its own bits");
    write_apic(APIC_DFR, 0);
    CHECK_IS(read_apic(APIC_DFR), 0x0fffffff);
    CHECK(takes(SET(0x24), 0x63), "its own cluster");
    CHECK(!takes(SET(0x2b), 0x64), "its cluster without it");
    CHECK(!takes(SET(0x14), 0x65), "another cluster");
    CHECK(takes(SET(0xf4), 0x66), "all clusters");
    CHECK(takes(SET(0xff), 0x67), "everybody");
    end_guest();
}

/* An edge clears what a level has left. */
static void test_trigger(void)
{
    start_guest();
    write_apic(APIC_SVR, SVR_ENABLE);
    uint32_t tmr = APIC_TMR + VECTOR / 32 * 0x10, bit = 1u << VECTOR % 32;
    CHECK(!takes(MSI_ADDRESS, MSI_LEVEL | VECTOR), "a level that is not asserted");
    CHECK(takes(MSI_ADDRESS, MSI_LEVEL | MSI_ASSERT | VECTOR), "a level");
    CHECK_IS(read_apic(tmr), bit);
    CHECK(takes(MSI_ADDRESS, VECTOR), "an edge");
    CHECK_IS(read_apic(tmr), 0);
    end_guest();
}

/* Its NMI handler says so, and ends with IRET. (In Bochs, what a guest leaves of an NMI that it has
 * not ended is found by the next one.) */
static void await_nmi(void)
{
    CHECK_IS(sys_guest_run(guest, false), GUEST_EV_IO);
    CHECK_IS(shared->io.port, PORT_VALUE);
    CHECK_IS((uint32_t)shared->regs.rax, NMI_SEEN);
    shared->skip = 1;
    CHECK_IS(sys_guest_run(guest, false), GUEST_EV_IO);
    CHECK_IS(shared->io.port, PORT_ASK);
}

static void test_nmi(void)
{
    start_guest();
    CHECK_IS(sys_guest_msi(guest, TO(5), MSI_NMI), 0);
    CHECK_IS(read_apic(APIC_IRR), 0);
    CHECK_IS(sys_guest_msi(guest, TO(0), MSI_NMI), 0);
    shared->skip = 0; /* it asks again, after the NMI */
    await_nmi();
    end_guest();
}

/* It sleeps with interrupts off when the NMI comes. Its monitor hears of that by a message. */
static void test_nmi_in_halt(void)
{
    envid_t parent = sys_getenvid();
    start_guest();
    envid_t child = fork();
    CHECK(child >= 0, "fork: %e", child);
    if (child == 0) {
        sys_sleep_msec(NAP_MSEC);
        ipc_send(parent, 0, NULL, 0);
        exit(0);
    }
    shared->regs.rax = HALT;
    shared->skip = 1;
    CHECK_IS(sys_guest_run(guest, false), GUEST_EV_MESSAGE);
    CHECK_IS(sys_guest_msi(guest, TO(0), MSI_NMI), 0);
    CHECK_IS(ipc_recv(NULL, NULL, NULL), 0);
    await_nmi();
    sys_env_wait(child, NULL, false);
    end_guest();
}

static const struct Test tests[] = {
    { "refused", test_refused }, { "physical", test_physical }, { "logical", test_logical },
    { "trigger", test_trigger }, { "nmi", test_nmi },           { "nmi-in-halt", test_nmi_in_halt },
};

int umain(int argc, char **argv)
{
    return run_tests(tests, ARRAY_SIZE(tests), argc, argv);
}
