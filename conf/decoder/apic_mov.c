/*
 * vmm/apic_insn.c on the build machine: for each record on the standard input, which is the bits of
 * its code (a byte) and 15 bytes of it, a line with what is decoded: length, size, store,
 * immediate, high, gpr and value; or "-".
 */
#include <stdio.h>
#include <string.h>
#include <vmm/apic_insn.h>

int main(void)
{
    unsigned char record[1 + APIC_INSN_MAX];
    while (fread(record, sizeof(record), 1, stdin) == 1) {
        uint8_t bytes[APIC_INSN_BUFFER] = { 0 };
        struct ApicMov m;
        memcpy(bytes, &record[1], APIC_INSN_MAX);
        if (apic_mov_decode(&m, bytes, APIC_INSN_MAX, record[0]))
            printf("%u %u %d %d %d %u %#lx\n", m.length, m.size, m.store, m.immediate, m.high,
                   m.gpr, m.value);
        else
            printf("-\n");
    }
    return 0;
}
