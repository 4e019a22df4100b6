/*
 * One inline function per privileged or special instruction that C cannot express.
 */
#ifndef JOS_INC_X86_H
#define JOS_INC_X86_H

#include "types.h"

static inline uint8_t inb(uint16_t port)
{
    uint8_t v;
    asm volatile("inb %w1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

static inline void outb(uint16_t port, uint8_t v)
{
    asm volatile("outb %0, %w1" : : "a"(v), "Nd"(port));
}

static inline uint16_t inw(uint16_t port)
{
    uint16_t v;
    asm volatile("inw %w1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

static inline void outw(uint16_t port, uint16_t v)
{
    asm volatile("outw %0, %w1" : : "a"(v), "Nd"(port));
}

static inline uint32_t inl(uint16_t port)
{
    uint32_t v;
    asm volatile("inl %w1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

static inline void outl(uint16_t port, uint32_t v)
{
    asm volatile("outl %0, %w1" : : "a"(v), "Nd"(port));
}

/* Read cnt 32-bit words from port to addr. */
static inline void insl(uint16_t port, void *addr, size_t cnt)
{
    asm volatile("cld; rep insl" : "+D"(addr), "+c"(cnt) : "d"(port) : "memory", "cc");
}

static inline void outsl(uint16_t port, const void *addr, size_t cnt)
{
    asm volatile("cld; rep outsl" : "+S"(addr), "+c"(cnt) : "d"(port) : "memory", "cc");
}

#define X86_READ_WRITE_REG(reg)                                    \
    static inline uint64_t r##reg(void)                            \
    {                                                              \
        uint64_t v;                                                \
        asm volatile("mov %%" #reg ", %0" : "=r"(v) : : "memory"); \
        return v;                                                  \
    }                                                              \
    static inline void l##reg(uint64_t v)                          \
    {                                                              \
        asm volatile("mov %0, %%" #reg : : "r"(v) : "memory");     \
    }
X86_READ_WRITE_REG(cr0)
X86_READ_WRITE_REG(cr2)
X86_READ_WRITE_REG(cr3)
X86_READ_WRITE_REG(cr4)
X86_READ_WRITE_REG(dr0)
X86_READ_WRITE_REG(dr1)
X86_READ_WRITE_REG(dr2)
X86_READ_WRITE_REG(dr3)
X86_READ_WRITE_REG(dr6)
X86_READ_WRITE_REG(dr7)

static inline uint64_t rdmsr(uint32_t msr)
{
    uint32_t lo, hi;
    asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
    return (uint64_t)hi << 32 | lo;
}

static inline void wrmsr(uint32_t msr, uint64_t v)
{
    asm volatile("wrmsr" : : "c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)) : "memory");
}

static inline uint64_t read_tsc(void)
{
    unsigned long lo, hi; /* in 64-bit mode RDTSC clears the upper halves */
    asm volatile("rdtsc" : "=a"(lo), "=d"(hi));
    return (uint64_t)hi << 32 | lo;
}

struct CpuidRegs {
    uint32_t eax, ebx, ecx, edx;
};

static inline struct CpuidRegs cpuid(uint32_t leaf, uint32_t subleaf)
{
    struct CpuidRegs r;
    asm volatile("cpuid"
                 : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
                 : "a"(leaf), "c"(subleaf));
    return r;
}

static inline uint64_t read_rflags(void)
{
    uint64_t v;
    asm volatile("pushfq; popq %0" : "=r"(v));
    return v;
}

static inline uint64_t read_rbp(void)
{
    uint64_t v;
    asm volatile("mov %%rbp, %0" : "=r"(v));
    return v;
}

static inline void invlpg(const void *va)
{
    asm volatile("invlpg (%0)" : : "r"(va) : "memory");
}

/* How many of the n words at p are zero before the first that is not; n > 0. */
static inline size_t zero_words(const uint64_t *p, size_t n)
{
    size_t left = n;
    bool found;

    asm("repe scasq"
        : "+D"(p), "+c"(left), "=@ccne"(found)
        : "a"(0ul), "m"(*(const uint64_t(*)[n])p));
    return found ? n - left - 1 : n;
}

static inline void cpu_pause(void)
{
    asm volatile("pause" : : : "memory");
}

#endif
