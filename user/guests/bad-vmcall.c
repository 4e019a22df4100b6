/*
 * bad-vmcall: hypercall numbers that do not exist are refused, whatever is in the other registers,
 * and so is every hypercall from user mode. In compatibility mode only lower halves count.
 */
#include "rt.h"

const char guest_name[] = "bad-vmcall";

#define USER_VA 0x40000000ul

static const uint64_t numbers[] = { 0,          11,          10,          99,
                                    0x7fffffff, 0x80000001,  0x100000001, 0x8000000000000007,
                                    ~0ul,       ~0ul - 4096, 0x700000000 };

static void try_numbers(uint64_t fill)
{
    for (unsigned i = 0; i < ARRAY_SIZE(numbers); i++) {
        int64_t r = hypercall(numbers[i], fill, fill, fill, fill);
        check(r == -E_NO_SYS, "hypercall 0x%lx gave %ld", numbers[i], r);
    }
}

/* The hypercall, then UD2, in a page that user mode may execute. */
static void try_user_mode(void)
{
    const uint8_t code[] = { 0x0f, 0x01, hypercall_is_vmmcall ? 0xd9 : 0xc1, 0x0f, 0x0b };
    static uint8_t page[PGSIZE] __attribute__((aligned(PGSIZE)));

    memcpy(page, code, sizeof(code));
    map_4k(USER_VA, (uint64_t)page, PTE_P | PTE_U);
    for (uint64_t nr = 0; nr <= VMX_VMCALL_EXITS; nr++) {
        int v = in_user(USER_VA, 0, nr);
        check(v == T_ILLOP, "trap %d in user mode", v);
        check((int64_t)caught.rax == -E_PERM, "hypercall %lu from user mode gave %ld", nr,
              (int64_t)caught.rax);
    }
}

static void try_upper_halves(void)
{
    static const char words[] = "bad-vmcall: these words come from compatibility mode\n";
    const uint64_t garbage = 0xdeadbeeful << 32;
    int64_t r = hypercall32(VMX_VMCALL_CONS_WRITE | garbage, (uint64_t)words | garbage,
                            (sizeof(words) - 1) | garbage);
    check(r == sizeof(words) - 1, "CONS_WRITE gave %ld", r);
    r = hypercall32(VMX_VMCALL_CONS_WRITE, memory_end() | garbage, 1);
    check((int32_t)r == -E_INVAL, "CONS_WRITE beyond memory gave %ld", r);
}

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    if (!on_jos_vmm())
        return check_result();
    trying("%zu hypercall numbers that do not exist", ARRAY_SIZE(numbers));
    try_numbers(0);
    try_numbers(~0ul);
    try_numbers(0x1000);
    trying("hypercalls from user mode");
    try_user_mode();
    trying("registers with upper halves in compatibility mode");
    try_upper_halves();
    check(hypercall(VMX_VMCALL_NULL, 0, 0, 0, 0) == 0, "the null hypercall fails");
    return check_result();
}
