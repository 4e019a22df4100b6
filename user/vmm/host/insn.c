/*
 * A target: instructions of any bytes, with any registers, on memory whose accesses fail as the
 * input says. However it ends, what the rest of the monitor relies on holds.
 */
#include <inc/mmu.h>
#include <inc/trap.h>
#include <stdlib.h>
#include <string.h>
#include <user/vmm/host/target.h>
#include <user/vmm/insn/emulate.h>

#define MOST_ACCESSES 3   /* of one instruction, or one element of a string */
#define MOST_ELEMENTS 100 /* of a string, that are looked at */

/* The instruction under way. */
struct Run {
    struct Emulation emulation; /* first */
    uint8_t failing;            /* bit n: access n faults */
    unsigned accesses;
    bool will_write; /* the last read has said so, of this: */
    uint64_t va;
    unsigned size;
};

static bool access_memory(struct Run *r, uint64_t va, unsigned size)
{
    unsigned bits = r->emulation.code->bits, n = r->accesses++;
    HOLDS(size == 1 || size == 2 || size == 4 || size == 8, "%u bytes", size);
    HOLDS(r->accesses <= MOST_ACCESSES, "access %u", r->accesses);
    HOLDS(bits == 64 ? is_canonical(va) && is_canonical(va + size - 1) : va <= UINT32_MAX,
          "address 0x%lx", va);
    r->emulation.fault = (struct Fault){ .vector = T_PGFLT, .address = va };
    return !(r->failing >> n & 1);
}

static bool read_memory(struct Emulation *e, uint64_t va, unsigned size, bool writes,
                        uint64_t *value)
{
    struct Run *r = (struct Run *)e;
    *value = (va ^ 0x5bd1e995) * 0x9e3779b97f4a7c15; /* more than `size` bytes, on purpose */
    HOLDS(!r->will_write, "a second read, of 0x%lx", va);
    bool passes = access_memory(r, va, size);
    r->will_write = writes && passes;
    r->va = va;
    r->size = size;
    return passes;
}

static bool write_memory(struct Emulation *e, uint64_t va, unsigned size, uint64_t value)
{
    struct Run *r = (struct Run *)e;
    HOLDS(size == 8 || value >> 8 * size == 0, "0x%lx in %u bytes", value, size);
    HOLDS(!r->will_write || (va == r->va && size == r->size), "write to 0x%lx", va);
    r->will_write = false;
    return access_memory(r, va, size);
}

static bool fetch_memory(struct Emulation *e, uint64_t va)
{
    struct Run *r = (struct Run *)e;
    HOLDS(e->code->nbytes < GUEST_INSN_MAX, "byte %u of an instruction", e->code->nbytes);
    return access_memory(r, va, 1);
}

static const struct EmulateMemory memory = { read_memory, write_memory, fetch_memory };

static void check(const struct Run *r, enum EmulateResult result, const struct GuestRegs *before)
{
    const struct Emulation *e = &r->emulation;
    bool same = memcmp(before, e->regs, sizeof(*before)) == 0;
    uint8_t vector = e->fault.vector;
    switch (result) {
    case EMULATE_NEXT:
        HOLDS(e->insn.length > 0 && e->insn.length <= e->code->nbytes, "%u bytes of %u",
              e->insn.length, e->code->nbytes);
        HOLDS(e->regs->rip == before->rip, "rip 0x%lx", e->regs->rip);
        HOLDS(!r->will_write, "0x%lx is not written", r->va);
        break;
    case EMULATE_AT_RIP:
        HOLDS(e->code->bits == 64 ? is_canonical(e->regs->rip) || e->regs->rip == before->rip
                                  : e->regs->rip <= UINT32_MAX || e->regs->rip == before->rip,
              "rip 0x%lx", e->regs->rip);
        break;
    case EMULATE_FAULT:
        HOLDS(same, "a fault after registers have changed");
        HOLDS(vector == T_ILLOP || vector == T_STACK || vector == T_GPFLT || vector == T_PGFLT,
              "exception %u", vector);
        break;
    case EMULATE_UNKNOWN:
        HOLDS(same && r->accesses == 0, "changes by an unknown instruction");
        break;
    }
}

/* Once more, out of memory that ends after the last byte. */
static void decode_alone(const struct GuestInsn *code)
{
    struct Insn insn;
    uint8_t *bytes = malloc(code->nbytes);
    memcpy(bytes, code->bytes, code->nbytes);
    enum DecodeResult r = insn_decode(&insn, bytes, code->nbytes, code->bits);
    HOLDS(r != DECODED || insn.length <= code->nbytes, "%u bytes", insn.length);
    free(bytes);
}

/* Returns false after the last element. */
static bool run_once(struct Run *r)
{
    struct GuestRegs before = *r->emulation.regs;
    r->accesses = 0;
    r->will_write = false;
    enum EmulateResult result = emulate(&r->emulation);
    check(r, result, &before);
    return result == EMULATE_AT_RIP && r->emulation.regs->rip == before.rip;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t modes[] = { 64, 64, 32, 16 };
    struct Input in = { data, size };
    struct GuestInsn *code = calloc(1, sizeof(*code)); /* so that what is around is watched */
    struct GuestRegs regs;
    code->bits = modes[input_take(&in, 1) & 3];
    code->stack_bits = code->bits == 64 ? 64 : 16 << (input_take(&in, 1) & 1);
    code->nbytes = MIN(input_take(&in, 1) & 31, (uint64_t)GUEST_INSN_MAX);
    for (unsigned i = 0; i < code->nbytes; i++)
        code->bytes[i] = input_take(&in, 1);
    struct Run r = { .failing = input_take(&in, 1) & input_take(&in, 1) };
    for (unsigned i = 0; i < GUEST_NSEGMENTS; i++)
        code->segment_base[i] = input_take(&in, code->bits == 64 && i >= 4 ? 8 : 4);
    for (unsigned i = 0; i < sizeof(regs) / 8; i++)
        ((uint64_t *)&regs)[i] =
            input_take(&in, 1) & 1 ? input_take(&in, 8) : (uint64_t)(int8_t)input_take(&in, 1);
    decode_alone(code);
    r.emulation = (struct Emulation){ .memory = &memory, .code = code, .regs = &regs };
    for (unsigned i = 0; i < MOST_ELEMENTS && run_once(&r); i++)
        ;
    free(code);
    return 0;
}
