/*
 * The test of guest memory inside the kernel: EPT functions and the system calls that use them, one
 * property at a time. It needs no VMX operation (but for exercise 1), so it runs in any emulator.
 *
 * Words of the kernel's command line:
 *     epttest=NONCE       test exercises 2 and 3 at boot
 *     epttest=NONCE:12    test these exercises; 1 needs a CPU that can run guests, and so does 8,
 *                         the challenge ept_map_large
 *     epttest-off         then power off, with status 0 if every property holds, else 1
 *
 * Each property is a line, and so is an exercise's sum; the nonce is the caller's, and shows that
 * the test has printed them: epttest NONCE 2 leaf-memory-type: ok epttest NONCE 2 leaf-memory-type:
 * FAIL expected 6 as memory type; saw 0 epttest NONCE 2 sum: 24 ok, 1 failed An exercise that is
 * not done yet stops the machine with its words.
 */
#ifndef JOS_VMM_TEST_EPT_H
#define JOS_VMM_TEST_EPT_H

#include <kern/frame.h>
#include <kern/kaddr.h>
#include <kern/pmap.h>
#include <vmm/ept.h>
#include <vmm/vcpu.h>
#include <vmm/vmx/vmx.h>

#define EPT_CHALLENGE   8 /* in the place of an exercise's number: ept_map_large */
#define EPT_LEVELS      4
#define EPT_TEST_MEMORY 0x1000000ul      /* bytes of RAM of the guests under test */
#define SOME_GPA        0x345000ul       /* page aligned, in that RAM */
#define BEYOND_48_BITS  (1ul << 48)      /* a gpa that four levels do not translate */
#define TABLES_PER_WALK (EPT_LEVELS - 1) /* new ones for the first page, beside the root */

/* With the word epttest=..., at boot. */
void ept_self_test(void);

/* What a property works with. */
struct EptTest {
    struct Vcpu *v;      /* a new guest; its own at the end, too */
    struct Env *monitor; /* exercises 1 and 3: the current env, */
    struct Env *env;     /* whose guest v is in exercise 3 */
    bool failed;
    char words[160]; /* what was expected and seen first */
};

struct EptProperty {
    int exercise;
    const char *name;
    void (*holds)(struct EptTest *t);
};
/* An entry without a name ends each of them. */
extern const struct EptProperty ept_mkguest_properties[]; /* exercise 1 */
extern const struct EptProperty ept_lookup_properties[];  /* exercise 2 */
extern const struct EptProperty ept_map_properties[];     /* exercise 2 */
extern const struct EptProperty ept_call_properties[];    /* exercise 3 */
extern const struct EptProperty ept_large_properties[];   /* EPT_CHALLENGE */

/* Note it if a value or a result is not the expected one. Returns whether it is. */
bool ept_expect(struct EptTest *t, const char *what, uint64_t expected, uint64_t seen);
bool ept_expect_result(struct EptTest *t, const char *what, int64_t expected, int64_t seen);

/* What an EPT holds. */
struct EptCensus {
    uint32_t tables[EPT_LEVELS]; /* by level; the root is the one of level 3 */
    uint32_t leaves;             /* entries of level 0 that are not 0 */
    uint32_t large;              /* large pages */
    uint64_t leaf;               /* one entry of either kind, */
    gpa_t gpa;                   /* and what it maps */
    uint64_t bad_inner;          /* an entry for a table that is not as it has to be; 0: none */
};
struct EptCensus ept_census(const struct Vcpu *v);
/* There are so many tables of each level, and stats.table_pages says so, too. */
void ept_expect_tables(struct EptTest *t, const char *when, const uint32_t *expected);

/* A frame that the caller holds a reference on, or a panic. */
struct PageInfo *ept_test_frame(void);
/* Take all free frames but n, and give them back. */
void ept_hoard_all_but(size_t n);
void ept_hoard_release(void);

#endif
