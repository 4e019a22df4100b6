/*
 * Extended state of envs: loaded at its first use in a stay on the CPU, saved at the stay's end. An
 * env that has never used any has no memory for it.
 */
#include <inc/error.h>
#include <inc/mmu.h>
#include <inc/string.h>
#include <inc/x86.h>
#include <kern/cpu.h>
#include <kern/env.h>
#include <kern/frame.h>
#include <kern/xstate.h>

uint64_t xstate_xcr0, xstate_all;

/* Is there room in a page for these components in the form that XSAVE writes? */
static bool fits(uint64_t mask)
{
    for (int i = 2; i < XCR0_COMPONENTS; i++) {
        if (!(mask & 1ul << i))
            continue;
        struct CpuidRegs r = cpuid(CPUID_XSAVE, i); /* EAX: size, EBX: offset */
        if ((uint64_t)r.eax + r.ebx > PGSIZE)
            return false;
    }
    return true;
}

/* AVX, and AVX-512 if all of it is there. MPX is gone from CPUs, protection keys need page tables
 * that know of them, and AMX's tiles are larger than a page: envs have none of those. */
void xstate_init(void)
{
    if (cpuid(0, 0).eax < CPUID_XSAVE || !(cpuid(1, 0).ecx & CPUID1_ECX_XSAVE))
        return;
    struct CpuidRegs r = cpuid(CPUID_XSAVE, 0);
    uint64_t has = (uint64_t)r.edx << 32 | r.eax;
    xstate_all = has & (XCR0_LEGACY | XCR0_AVX | XCR0_MPX | XCR0_AVX512 | XCR0_PKRU);
    if (!fits(xstate_all))
        xstate_all &= XCR0_LEGACY | XCR0_AVX;
    uint64_t mask = xstate_all & (XCR0_LEGACY | XCR0_AVX | XCR0_AVX512);
    if ((mask & XCR0_AVX512) != XCR0_AVX512 || !(mask & XCR0_AVX))
        mask &= ~XCR0_AVX512;
    xstate_xcr0 = mask;
}

void xstate_open(uint64_t xcr0)
{
    lcr4(rcr4() | CR4_OSXSAVE);
    if (xgetbv(0) != xcr0)
        xsetbv(0, xcr0);
}

void xstate_close(void)
{
    lcr4(rcr4() & ~(uint64_t)CR4_OSXSAVE);
}

void xstate_save(struct XsaveArea *area, uint64_t mask)
{
    asm volatile("xsave64 %0"
                 : "+m"(*area)
                 : "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32))
                 : "memory");
}

/* MXCSR comes along with AVX, and is SSE's: it stays. */
void xstate_load(struct XsaveArea *area, uint64_t mask)
{
    asm volatile("stmxcsr %0" : "=m"(area->mxcsr));
    asm volatile("xrstor64 %0"
                 :
                 : "m"(*area), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32))
                 : "memory");
}

static uint64_t extended(void)
{
    return xstate_xcr0 & ~XCR0_LEGACY;
}

/* SSE code is slow beside upper halves that are in use. */
void xstate_forget(uint64_t mask)
{
    struct XsaveArea none;
    memset(&none, 0, sizeof(none));
    xstate_load(&none, mask);
}

static void set_mark(struct Env *e, bool on)
{
    uint8_t rest = e->env_marks & ~ENV_MARK_XSTATE;
    WRITE_ONCE(e->env_marks, on ? rest | ENV_MARK_XSTATE : rest);
}

bool xstate_take(struct Env *e, const char **more)
{
    *more = "";
    if (xstate_xcr0 == 0 || (e->env_marks & ENV_MARK_XSTATE))
        return false;
    if (!e->env_xstate)
        e->env_xstate = page_new();
    if (!e->env_xstate) {
        *more = ", or no memory for extended registers";
        return false;
    }
    env_lock(e);
    set_mark(e, true);
    env_unlock(e);
    xstate_open(xstate_xcr0);
    xstate_load(e->env_xstate, extended());
    return true;
}

void xstate_put_away(struct Env *e)
{
    xstate_save(e->env_xstate, extended());
    xstate_drop(e);
}

void xstate_drop(struct Env *e)
{
    xstate_forget(extended());
    xstate_close();
    set_mark(e, false);
}

int xstate_copy(struct XsaveArea **store)
{
    struct Env *e = curenv;

    *store = NULL;
    if (!e->env_xstate)
        return 0;
    *store = page_new();
    if (!*store)
        return -E_NO_MEM;
    if (e->env_marks & ENV_MARK_XSTATE)
        xstate_save(e->env_xstate, extended());
    memcpy(*store, e->env_xstate, PGSIZE);
    return 0;
}
