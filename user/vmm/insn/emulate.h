/*
 * Instructions that touch a device's memory: carried out.
 */
#ifndef JOS_USER_VMM_INSN_EMULATE_H
#define JOS_USER_VMM_INSN_EMULATE_H

#include <user/vmm/insn/insn.h>

/* What becomes of an instruction. */
enum EmulateResult {
    EMULATE_NEXT,    /* done: the guest goes on after it */
    EMULATE_AT_RIP,  /* the guest goes on at regs->rip: where it was, if only a part of the
                      * instruction  is done; or where the instruction has jumped to */
    EMULATE_FAULT,   /* it raises the exception in fault, and has changed nothing */
    EMULATE_UNKNOWN, /* it is not known here */
};

struct Fault {
    uint8_t vector;
    uint32_t error;
    uint64_t address; /* of a page fault */
};

struct Emulation;

/* Memory, by linear addresses: what the guest's page tables make of them, they know. Both return
 * false after a fault, which they have noted. */
struct EmulateMemory {
    /* size: 1, 2, 4 or 8 bytes. writes: the instruction will write there, too. */
    bool (*read)(struct Emulation *e, uint64_t va, unsigned size, bool writes, uint64_t *value);
    bool (*write)(struct Emulation *e, uint64_t va, unsigned size, uint64_t value);
    /* May code at va be executed? false: no, and the fault is noted. true: yes, but no code can
     * have been read there, since it is not in RAM. */
    bool (*fetch)(struct Emulation *e, uint64_t va);
};

struct Emulation {
    const struct EmulateMemory *memory;
    const struct GuestInsn *code;
    struct GuestRegs *regs;
    struct Insn insn;
    struct Fault fault;
};

/* Carry out the instruction in e->code with the registers in e->regs. */
enum EmulateResult emulate(struct Emulation *e);

#endif
