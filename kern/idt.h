/*
 * The interrupt descriptor table, which all CPUs share.
 */
#ifndef JOS_KERN_IDT_H
#define JOS_KERN_IDT_H

#include <inc/mmu.h>

extern const struct Pseudodesc idt_desc; /* for LIDT */

/* Fill the table. */
void idt_init(void);
/* Give a vector, while only one CPU runs, another entry and interrupt stack (an index of the TSS's
 * IST; 0: none). */
void idt_set_gate(int vector, const char *entry, int ist);

#endif
