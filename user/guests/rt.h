/*
 * Runtime of the 64-bit test guests. A guest defines guest_main; it starts in long mode with
 * interrupts off, the first GiB of memory mapped one to one, and an IDT in which an exception that
 * nobody expects ends the guest with a report. A guest checks one property, and says what it tries
 * before it tries it.
 */
#ifndef JOS_USER_GUESTS_RT_H
#define JOS_USER_GUESTS_RT_H

/* Segment selectors; rt_gdt is in this order. */
#define SEL_KCODE  0x08
#define SEL_KDATA  0x10
#define SEL_UDATA  0x1b
#define SEL_UCODE  0x23
#define SEL_TSS    0x28
#define SEL_COMPAT 0x38 /* of compatibility mode */

#define STUB_SIZE 16

#define REAL_BYTES 0x9000 /* where modes.S's real mode goes on if real_bytes is set */

#ifndef __ASSEMBLER__
#include <inc/error.h>
#include <inc/hypercall.h>
#include <inc/mmu.h>
#include <inc/multiboot.h>
#include <inc/stdio.h>
#include <inc/string.h>
#include <inc/trap.h>
#include <inc/vmm.h>
#include <inc/x86.h>

/* The guest's own part. Its result is the exit status: check_result() for most. */
int guest_main(const struct MultibootInfo *info);
extern const char guest_name[];

/* ---- Console and end ---- */
void print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void print_raw(const char *s, size_t n);
/* A line of input without its end, terminated. */
void read_line(char *buf, size_t size);
void power_off(int status) __attribute__((noreturn));
/* Says "NAME: trying ..." */
#define trying(fmt, ...) print("%s: trying " fmt "\n", guest_name, ##__VA_ARGS__)
/* Counts and reports what is not as it should be; check_result says "NAME: ok" or "NAME: FAILED"
 * and is the exit status. */
#define check(ok, fmt, ...)                   \
    do {                                      \
        if (!(ok))                            \
            check_failed(fmt, ##__VA_ARGS__); \
    } while (0)
void check_failed(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int check_result(void);
/* Is `word` one of the words of the command line? */
bool cmdline_has(const char *word);
const char *cmdline(void);
/* Bytes of RAM from 1 MiB to the hole, and on: end of the memory map's last usable range. */
uint64_t memory_end(void);

/* ---- Exceptions and interrupts ---- */
/* Handlers run with interrupts off, and may change the frame. NULL: unexpected. */
extern void (*trap_handlers[256])(struct Trapframe *tf);
/* Let vector v enter at this code of the guest's own, instead of rt.S's. It ends with IRETQ. */
void set_gate(int v, const void *entry);
/* Let vector v use interrupt stack n (1 to 7) with this top; n == 0: the current stack. */
void set_ist(int v, int n, void *top);
extern struct Gatedesc rt_idt[256];
extern struct Taskstate rt_tss;

/* What CATCH or in_user met. */
struct Caught {
    int vector; /* -1: no exception */
    uint64_t err, cr2, rip, rax;
};
extern struct Caught caught;
extern uint64_t catch_rip; /* where a caught exception goes on; 0: none is to be caught */

/* Execute assembly text with these values in rax, rcx and rdx; an exception is recorded in
 * `caught`, and execution goes on after the text. Its vector (or -1) is the value. */
#define CATCH(text, a, c, d)                                                   \
    ({                                                                         \
        uint64_t a_ = (a), c_ = (c), d_ = (d);                                 \
        caught.vector = -1;                                                    \
        asm volatile("movq $1f, catch_rip\n\t" text "\n1:\tmovq $0, catch_rip" \
                     : "+a"(a_), "+c"(c_), "+d"(d_)                            \
                     :                                                         \
                     : "memory", "cc", "rbx", "rsi", "rdi");                   \
        caught.rax = a_;                                                       \
        caught.vector;                                                         \
    })

/* Run code at a user-accessible address in user mode with these registers until an exception ends
 * it; see `caught`. Returns the vector. */
int in_user(uint64_t rip, uint64_t rdi, uint64_t rax);

/* ---- Memory ---- */
/* Map the 2 MiB at va to pa, or the 4 KiB; perm: PTE_* bits. Tables come from a small pool of their
 * own. */
void map_2m(uint64_t va, uint64_t pa, uint64_t perm);
uint64_t *map_4k(uint64_t va, uint64_t pa, uint64_t perm);

/* ---- The local APIC (x2APIC mode) ---- */
#define APIC_BASE_EXTD      (1 << 10)
#define APIC_BASE_EN        (1 << 11)
#define X2APIC_ID           0x802
#define X2APIC_VERSION      0x803
#define X2APIC_TPR          0x808
#define X2APIC_PPR          0x80a
#define X2APIC_EOI          0x80b
#define X2APIC_LDR          0x80d
#define X2APIC_SVR          0x80f
#define X2APIC_ISR          0x810
#define X2APIC_TMR          0x818
#define X2APIC_IRR          0x820
#define X2APIC_ESR          0x828
#define X2APIC_ICR          0x830
#define X2APIC_LVT_TIMER    0x832
#define X2APIC_LVT_ERROR    0x837
#define X2APIC_INITCNT      0x838
#define X2APIC_CURCNT       0x839
#define X2APIC_DIVIDE       0x83e
#define X2APIC_SELF         0x83f
#define SVR_ENABLE          0x100
#define ICR_SELF            (1 << 18)
#define LVT_MASKED          (1 << 16)
#define LVT_PERIODIC        (1 << 17)
#define LVT_DEADLINE        (2 << 17)
#define DIVIDE_BY_1         0xb
#define CPUID1_ECX_X2APIC   (1u << 21)
#define CPUID1_ECX_DEADLINE (1u << 24)
#define CPUID1_ECX_HV       (1u << 31)
/* Returns false, after saying so, if the CPU has no x2APIC. */
bool apic_enable(void);

/* In xAPIC mode the same registers are in a page, and these. */
#define APIC_PAGE      0xfee00000ul
#define XAPIC_DFR      0x80e
#define XAPIC_ICR_HIGH 0x831
#define DEST_SHIFT     24 /* of ID, LDR and the upper half of ICR */
/* The register at this page, by its MSR's number. */
static inline volatile uint32_t *xapic_at(uint64_t page, uint32_t msr)
{
    return (volatile uint32_t *)(page + (msr - MSR_X2APIC) * 16);
}
static inline uint32_t xapic_read(uint32_t msr)
{
    return *xapic_at(APIC_PAGE, msr);
}
static inline void xapic_write(uint32_t msr, uint32_t value)
{
    *xapic_at(APIC_PAGE, msr) = value;
}
/* Enter xAPIC mode from any, with the page mapped, and enable the APIC. */
void xapic_enable(void);

/* For guests that have nothing to say of the modes: x2APIC mode, or xAPIC mode on a CPU that has no
 * other. The end of an interrupt in either. */
void apic_start(void);
void apic_eoi(void);

/* ---- Hypercalls ---- */
/* VMCALL, or VMMCALL on AMD's CPUs; the result is RAX. */
int64_t hypercall(uint64_t nr, uint64_t rbx, uint64_t rcx, uint64_t rdx, uint64_t rsi);
/* The same in compatibility mode, with whole registers that only their lower halves count of. */
int64_t hypercall32(uint64_t nr, uint64_t rbx, uint64_t rcx);
/* Which of the two? A guest that must not execute CPUID for that has its own answer (lab.c). */
bool guest_has_vmmcall(void);
/* Says so when there is no JOS VMM below. */
bool on_jos_vmm(void);

/* The error code of a page fault by a reserved bit, to be compared. QEMU, which has AMD's SVM,
 * leaves P out of it. */
static inline uint64_t reserved_bit_error(uint64_t err)
{
    return hypercall_is_vmmcall ? err | FEC_PR : err;
}

#endif
#endif
