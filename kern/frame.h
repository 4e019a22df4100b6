/*
 * Set-up of the frame allocator, for kern/pmap.c. The allocator's own functions are in kern/pmap.h.
 */
#ifndef JOS_KERN_FRAME_H
#define JOS_KERN_FRAME_H

#include <inc/multiboot.h>

/* Learn the RAM from the memory map and place the pages[] array. Panics when there is too little.
 */
void frame_init(const struct MultibootInfo *mbi);
/* Memory that is never given back, from below 1 GiB; only while one CPU runs. Rounded up to pages.
 */
void *boot_alloc(size_t size);
/* Call fn for each range of RAM that the allocator covers (and for the first MiB). */
void frame_each_ram(void (*fn)(physaddr_t start, physaddr_t end));
#endif
