/*
 * pcid: process-context identifiers by the manual's rules. CR4.PCIDE and CR3 take what they may;
 * translations of one PCID are not those of another, stay when CR3 is loaded with bit 63 set, and
 * go by every type of INVPCID that covers them. Without PCID there is none of it. With the word
 * low-bits reserved bits above CR3's lower half are left out: QEMU's SVM ends a guest for those.
 */
#include "rt.h"

const char guest_name[] = "pcid";

#define CPUID1_ECX_PCID    (1u << 17)
#define CPUID7_EBX_INVPCID (1u << 10)
#define CR3_KEEP           (1ul << 63) /* do not drop the translations of the new PCID */
#define VA                 0x40000000ul
#define FRAME_A            0x600000ul
#define FRAME_B            0x601000ul

enum {
    INVPCID_ADDRESS,
    INVPCID_CONTEXT,
    INVPCID_ALL_GLOBAL,
    INVPCID_ALL
};

struct Descriptor {
    uint64_t pcid, address;
};

static int invpcid(uint64_t type, uint64_t pcid, uint64_t address)
{
    static struct Descriptor d;
    d = (struct Descriptor){ pcid, address };
    return CATCH("invpcid (%%rax), %%rcx", (uint64_t)&d, type, 0);
}

static uint64_t value(void)
{
    return *(volatile uint64_t *)VA;
}

static void must_gp(const char *what, int vector)
{
    check(vector == T_GPFLT, "%s: trap %d instead of #GP", what, vector);
}

static void none(void)
{
    trying("PCID where there is none");
    must_gp("CR4.PCIDE", CATCH("movq %%rax, %%cr4", rcr4() | CR4_PCIDE, 0, 0));
    if (!cmdline_has("low-bits"))
        must_gp("CR3 with bit 63", CATCH("movq %%rax, %%cr3", rcr3() | CR3_KEEP, 0, 0));
    check(!(cpuid(7, 0).ebx & CPUID7_EBX_INVPCID), "CPUID shows INVPCID");
    check(invpcid(INVPCID_ALL, 0, 0) == T_ILLOP, "INVPCID: trap %d", caught.vector);
}

static void rules(void)
{
    uint64_t cr3 = rcr3();
    trying("CR4.PCIDE");
    lcr3(cr3 | PTE_PWT);
    must_gp("PCIDE while CR3 has low bits", CATCH("movq %%rax, %%cr4", rcr4() | CR4_PCIDE, 0, 0));
    lcr3(cr3);
    lcr4(rcr4() | CR4_PCIDE);
    must_gp("CR0 without PG", CATCH("movq %%rax, %%cr0", rcr0() & ~(uint64_t)CR0_PG, 0, 0));
    must_gp("CR3 with bit 62", CATCH("movq %%rax, %%cr3", cr3 | 1ul << 62, 0, 0));
    lcr3(cr3 | 5 | CR3_KEEP);
    check(rcr3() == (cr3 | 5), "CR3 reads as 0x%lx", rcr3());
    lcr3(cr3);
}

/* The same page in two contexts; its entry changes without a flush. */
static void contexts(uint64_t cr3, uint64_t *pte)
{
    trying("two contexts");
    lcr3(cr3 | 1);
    *pte = FRAME_A | PTE_P | PTE_W;
    invlpg((void *)VA);
    check(value() == FRAME_A, "context 1 reads 0x%lx", value());
    lcr3(cr3 | 2);
    *pte = FRAME_B | PTE_P | PTE_W;
    check(value() == FRAME_B, "context 2 reads 0x%lx after its first load", value());
    lcr3(cr3 | 1);
    check(value() == FRAME_B, "a load without bit 63 kept 0x%lx", value());
}

/* Whether a translation stays, nobody promises; that it goes, the manual does. */
static void flushed(const char *what, uint64_t frame, int vector)
{
    check(vector < 0, "%s: trap %d", what, vector);
    check(value() == frame, "%s: still 0x%lx", what, value());
}

static void flushes(uint64_t cr3, uint64_t *pte)
{
    static const struct {
        const char *what;
        uint64_t type;
    } types[] = {
        { "INVPCID of an address", INVPCID_ADDRESS },
        { "INVPCID of a context", INVPCID_CONTEXT },
        { "INVPCID of all but global ones", INVPCID_ALL },
        { "INVPCID of all", INVPCID_ALL_GLOBAL },
    };
    lcr3(cr3 | 3);
    for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
        trying("%s", types[i].what);
        *pte = FRAME_A | PTE_P | PTE_W;
        invlpg((void *)VA);
        value();
        *pte = FRAME_B | PTE_P | PTE_W;
        bool one = types[i].type == INVPCID_ADDRESS || types[i].type == INVPCID_CONTEXT;
        int v = invpcid(types[i].type, one ? 3 : 0, types[i].type == INVPCID_ADDRESS ? VA : 0);
        flushed(types[i].what, FRAME_B, v);
    }
    trying("CR4 without PCIDE");
    lcr3(cr3);
    *pte = FRAME_A | PTE_P | PTE_W;
    lcr4(rcr4() & ~(uint64_t)CR4_PCIDE);
    check(value() == FRAME_A, "clearing PCIDE kept 0x%lx", value());
}

static void bad_invpcid(void)
{
    trying("INVPCID with bad operands");
    must_gp("type 4", invpcid(4, 0, 0));
    must_gp("a PCID of 13 bits", invpcid(INVPCID_CONTEXT, 1 << 12, 0));
    must_gp("an address that is not canonical", invpcid(INVPCID_ADDRESS, 0, 1ul << 63));
}

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    if (cmdline_has("off") || !(cpuid(1, 0).ecx & CPUID1_ECX_PCID)) {
        none();
        return check_result();
    }
    uint64_t cr3 = rcr3(), *pte = map_4k(VA, FRAME_A, PTE_P | PTE_W);
    *(uint64_t *)FRAME_A = FRAME_A;
    *(uint64_t *)FRAME_B = FRAME_B;
    rules();
    contexts(cr3, pte);
    if (cpuid(7, 0).ebx & CPUID7_EBX_INVPCID) {
        flushes(cr3, pte);
        lcr4(rcr4() | CR4_PCIDE);
        bad_invpcid();
    }
    return check_result();
}
