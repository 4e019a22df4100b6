/*
 * acpi: the firmware's tables are there, each with a correct checksum, and are printed, for a
 * disassembler to look at.
 */
#include <inc/acpi.h>
#include "rt.h"

const char guest_name[] = "acpi";

#define ROM_START 0xe0000
#define ROM_END   0x100000
#define LINE      32
#define MOST      0x10000

static bool sums_up(const void *p, size_t n)
{
    const uint8_t *b = p;
    uint8_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += b[i];
    return sum == 0;
}

/* "acpi: NAME HEX", so many bytes a line. */
static void dump(const char *name, const void *p, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *b = p;
    for (size_t at = 0; at < n; at += LINE) {
        char text[2 * LINE + 1];
        size_t len = MIN(n - at, (size_t)LINE);
        for (size_t i = 0; i < len; i++) {
            text[2 * i] = digits[b[at + i] >> 4];
            text[2 * i + 1] = digits[b[at + i] & 15];
        }
        text[2 * len] = '\0';
        print("acpi: %s %s\n", name, text);
    }
}

static const struct AcpiRsdp *find_rsdp(void)
{
    for (uintptr_t at = ROM_START; at < ROM_END; at += 16)
        if (memcmp((void *)at, ACPI_RSDP_SIGNATURE, 8) == 0 &&
            sums_up((void *)at, ACPI_RSDP_V1_SIZE))
            return (void *)at;
    return NULL;
}

static const struct AcpiHeader *try_table(uint64_t at)
{
    const struct AcpiHeader *h = (void *)at;
    char name[5] = "";
    memcpy(name, h->signature, 4);
    trying("table %s at 0x%lx", name, at);
    if (h->length < sizeof(*h) || h->length > MOST) {
        check(false, "its length is %u", h->length);
        return h;
    }
    check(sums_up(h, h->length), "its bytes do not add up to 0");
    dump(name, h, h->length);
    return h;
}

static void try_fadt(const struct AcpiFadt *f)
{
    if (f->dsdt != 0)
        try_table(f->dsdt);
    if (f->facs != 0) {
        trying("table FACS at 0x%x", f->facs);
        const struct AcpiFacs *facs = (void *)(uintptr_t)f->facs;
        check(facs->length >= sizeof(*facs), "its length is %u", facs->length);
        check(f->facs % 64 == 0, "it is not aligned");
        dump("FACS", facs, sizeof(*facs));
    }
}

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    trying("the root pointer");
    const struct AcpiRsdp *rsdp = find_rsdp();
    check(rsdp != NULL, "there is none");
    if (!rsdp)
        return check_result();
    bool wide = rsdp->revision >= 2;
    check(!wide || sums_up(rsdp, rsdp->length), "its bytes do not add up to 0");
    dump("RSDP", rsdp, wide ? sizeof(*rsdp) : ACPI_RSDP_V1_SIZE);
    const struct AcpiHeader *root = try_table(wide ? rsdp->xsdt : rsdp->rsdt);
    size_t width = wide ? 8 : 4;
    for (size_t off = sizeof(*root); off + width <= root->length; off += width) {
        uint64_t at = 0;
        memcpy(&at, (const char *)root + off, width);
        const struct AcpiHeader *h = try_table(at);
        if (memcmp(h->signature, "FACP", 4) == 0)
            try_fadt((const void *)h);
    }
    return check_result();
}
