/*
 * The CPUs by the MP configuration table, for machines whose firmware has no ACPI tables (Intel
 * MultiProcessor Specification 1.4, "MP Configuration Table").
 */
#include <inc/string.h>
#include <kern/dev/acpi.h>
#include <kern/dev/mptable.h>
#include <kern/kaddr.h>

#define MP_PROCESSOR   0
#define MP_CPU_ENABLED 1
#define MP_CPU_ENTRY   20 /* bytes; every other entry has 8 */
#define MP_OTHER_ENTRY 8
#define REAL_MODE_END  0x100000

struct MpPointer {
    char signature[4]; /* "_MP_" */
    uint32_t config;
    uint8_t length, revision, sum, features[5];
};
_Static_assert(sizeof(struct MpPointer) == 16, "MP floating pointer structure");

struct MpConfig {
    char signature[4]; /* "PCMP" */
    uint16_t length;
    uint8_t revision, sum;
    char oem[8], product[12];
    uint32_t oem_table;
    uint16_t oem_size, entries;
    uint32_t lapic;
    uint16_t ext_length;
    uint8_t ext_sum, reserved;
};
_Static_assert(sizeof(struct MpConfig) == 44, "MP configuration table header");

struct MpProcessor {
    uint8_t type, apicid, version, flags;
};

static const struct MpConfig *config(void)
{
    const struct MpPointer *p = firmware_find("_MP_", sizeof(*p));
    const struct MpConfig *c;

    /* Firmware that has no ACPI keeps the table in real-mode memory. */
    if (!p || p->config == 0 || p->config >= REAL_MODE_END - sizeof(*c))
        return NULL;
    c = KADDR(p->config);
    if (memcmp(c->signature, "PCMP", 4) != 0 || p->config + c->length > REAL_MODE_END)
        return NULL;
    return table_sum_ok(c, c->length) ? c : NULL;
}

int mptable_cpus(uint32_t *apicids, int max)
{
    const struct MpConfig *c = config();
    int n = 0;

    if (!c)
        return 0;
    const uint8_t *p = (const uint8_t *)(c + 1), *end = (const uint8_t *)c + c->length;
    for (int i = 0; i < c->entries && p + MP_OTHER_ENTRY <= end; i++) {
        const struct MpProcessor *cpu = (const void *)p;
        if (cpu->type == MP_PROCESSOR && (cpu->flags & MP_CPU_ENABLED) && n < max)
            apicids[n++] = cpu->apicid;
        p += cpu->type == MP_PROCESSOR ? MP_CPU_ENTRY : MP_OTHER_ENTRY;
    }
    return n;
}
