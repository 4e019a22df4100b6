/*
 * Signs of life while a guest is loaded. They are few, since a character on a serial line takes as
 * long as loading some pages.
 */
#include <user/vmm/common.h>
#include <user/vmm/console.h>
#include <user/vmm/progress.h>

#define LONG_LOAD (8 * MIB)
#define STEPS     4

static struct {
    uint64_t step; /* bytes for a dot; 0: nobody has said how much comes */
    uint64_t next; /* bytes until the next one */
} progress;

void progress_begin(uint64_t bytes)
{
    progress.step = bytes >= LONG_LOAD ? bytes / STEPS : UINT64_MAX;
    progress.next = progress.step;
}

void progress_add(uint64_t bytes)
{
    while (progress.step != 0 && bytes >= progress.next) {
        bytes -= progress.next;
        progress.next = progress.step;
        say(".");
    }
    progress.next -= bytes;
}
