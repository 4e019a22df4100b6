/*
 * What `vmm -s` prints when the guest has ended: its counters, and its exits by reason.
 */
#include <inc/vmexits.h>
#include "monitor.h"

static const char *const reason_words[GUEST_NREASONS] = {
#define REASON_WORDS(nr, name, words) [nr] = words,
    VMX_EXIT_LIST(REASON_WORDS)
#undef REASON_WORDS
};

static void line(const char *what, uint64_t n)
{
    if (n > 0)
        say("  %-36s %10lu\n", what, n);
}

void stats_print(const struct GuestStats *st, uint64_t unknown_ports)
{
    say("vmm: %lu exits\n", st->exits);
    for (unsigned i = 0; i < GUEST_NREASONS; i++)
        line(reason_words[i] ? reason_words[i] : "reason without a name", st->reasons[i]);
    line("page faults injected", st->injected_pf);
    line("page faults found spurious", st->refused_pf);
    line("pages of guest memory", st->pages);
    line("of these, in pages of 2 MiB", st->large_pages * (PGSIZE_2M / PGSIZE));
    line("pages of EPT tables", st->ept_pages);
    line("accesses to unknown ports", unknown_ports);
}
