/*
 * Extended state: the registers that XSAVE knows and FXSAVE does not, the upper halves of AVX's and
 * what AVX-512 adds. x87's and SSE's registers are switched with every env (kern/sched.c); these
 * only with those envs that use them, so the others pay nothing.
 *
 * While CR4.OSXSAVE is clear no instruction reaches them: AVX, XGETBV and the XSAVE family are #UD.
 * It is clear at each env's stay on a CPU until such an exception comes; then the env's extended
 * state is loaded, the bit is set, and the instruction runs again. At the end of that stay the
 * state is saved, and the bit is cleared. (CPUID shows the bit as OSXSAVE, so a program asks for
 * XSAVE and then XGETBV what it may use.)
 */
#ifndef JOS_KERN_XSTATE_H
#define JOS_KERN_XSTATE_H

#include <inc/types.h>
#include <inc/xsave.h>

struct Env;

/* What XCR0 is for envs: XCR0_* of the components that are switched. 0: this CPU has no XSAVE.
 * Constant after boot. */
extern uint64_t xstate_xcr0;
/* What a guest can make of it on a CPU that does not exit for XSETBV: all that the CPU has, as far
 * as a page holds it. */
extern uint64_t xstate_all;

/* At boot. */
void xstate_init(void);

/* The current env e has raised #UD. Is it by its first use of extended state in this stay? Then it
 * can go on. false: no; *more are words about what was missing, or "". */
bool xstate_take(struct Env *e, const char **more);
/* Save the extended state of the current env e, which has it (ENV_MARK_XSTATE), and take it away
 * from it. e is locked. */
void xstate_put_away(struct Env *e);
/* The same for one that ends: nothing is saved. */
void xstate_drop(struct Env *e);
/* A copy of the current env's extended state, for a child; NULL in *store if it has none. 0;
 * -E_NO_MEM. */
int xstate_copy(struct XsaveArea **store);

/* For the VMM. Between xstate_open, which makes XCR0 what it is told, and xstate_close: the
 * components of mask to or from an area, a page that only xstate_save has written, or that is zero.
 * They are on in XCR0; x87 and SSE are not among them. */
void xstate_open(uint64_t xcr0);
void xstate_close(void);
void xstate_save(struct XsaveArea *area, uint64_t mask);
void xstate_load(struct XsaveArea *area, uint64_t mask);
/* Nothing of the last owner's stays in those registers. */
void xstate_forget(uint64_t mask);

#endif
