/*
 * What the test of the VM-entry checker breaks, one line a case.
 */
#ifndef JOS_VMM_TEST_CHECK_CASES_H
#define JOS_VMM_TEST_CHECK_CASES_H

#include <vmm/vmx/check/check.h>

/* Valid guests to start from. */
enum CheckBase {
    BASE_32,       /* 32-bit protected mode without paging: what a new guest has */
    BASE_64,       /* 64-bit mode */
    BASE_REAL,     /* real mode */
    BASE_V86,      /* virtual-8086 mode */
    BASE_PAE,      /* PAE paging, page-directory pointers in the VMCS */
    BASE_RESTRICT, /* 32-bit paging, not an unrestricted guest */
    NBASES
};
extern const char *const check_base_words[];

enum PokeOp {
    POKE_END = 0,
    POKE_SET,   /* field = value */
    POKE_OR,    /* field |= value */
    POKE_CLEAR, /* field &= ~value */
    POKE_VMCS,  /* field = address of this VMCS */
    /* of the first entry of the MSR area that is loaded at entry; the field is the area's: */
    POKE_MSR_INDEX,
    POKE_MSR_RESERVED,
    POKE_MSR_VALUE,
};

struct Poke {
    enum PokeOp op;
    enum VmcsField field;
    uint64_t value;
};
#define MAX_POKES 4

struct CheckCase {
    const char *name;
    enum CheckBase base;
    enum CheckClass expected;
    struct Poke pokes[MAX_POKES]; /* the last is the one that breaks the rule */
    enum VmcsField blamed;        /* field of the rule; 0: that of the last poke */
    const char *differs;          /* why an emulator is known to see it another way */
};

extern const struct CheckCase check_cases[];
extern const size_t check_ncases;

/* The fields that make the VMCS of a new guest one of the base; ends with POKE_END. */
const struct Poke *check_base_pokes(enum CheckBase base);

#endif
