/*
 * odd-insns: instructions that a hypervisor may have to do something about. Each does its work or
 * is #UD or #GP, and the guest goes on after it.
 */
#include "rt.h"

const char guest_name[] = "odd-insns";

static void judge(const char *what, int vector)
{
    check(vector < 0 || vector == T_ILLOP || vector == T_GPFLT, "%s: trap %d", what, vector);
}

#define TRY(text, a, c, d) judge(text, CATCH(text, a, c, d))

int guest_main(const struct MultibootInfo *info)
{
    static uint64_t area[64] __attribute__((aligned(64)));
    uint64_t at = (uint64_t)area;
    (void)info;
    trying("instructions that can exit");
    TRY("monitor", at, 0, 0);
    TRY("mwait", 0, 0, 0);
    TRY("pause", 0, 0, 0);
    TRY("wbinvd", 0, 0, 0);
    TRY("invd", 0, 0, 0);
    TRY("clts", 0, 0, 0);
    TRY("rdtscp", 0, 0, 0);
    TRY("rdrand %%rax", 0, 0, 0);
    TRY("rdseed %%rax", 0, 0, 0);
    TRY("invlpg (%%rax)", 0x800000000000, 0, 0);
    TRY("invpcid (%%rax), %%rcx", at, 2, 0);
    TRY("invpcid (%%rax), %%rcx", at, ~0ul, 0);
    TRY("xbegin 1f", 0, 0, 0);
    TRY("getsec", 0, 0, 0);
    TRY("vmfunc", 0, 0, 0);
    TRY("rdfsbase %%rax", 0, 0, 0);
    TRY("sgdt (%%rax)", at, 0, 0);
    TRY("sidt (%%rax)", at, 0, 0);
    TRY("str %%ax", 0, 0, 0);
    TRY("sldt %%ax", 0, 0, 0);
    TRY("lldt %%ax", 0, 0, 0);
    TRY("lldt %%ax", 0xfff8, 0, 0);
    TRY("ltr %%ax", 0xfff8, 0, 0);
    TRY("smsw %%rax; lmsw %%ax", 0, 0, 0);
    TRY("movq %%cr2, %%rax; movq %%rcx, %%cr2", 0, ~0ul, 0);
    return check_result();
}
