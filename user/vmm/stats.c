/*
 * What `vmm -s` prints when the guest has ended: its counters, and its exits by reason.
 */
#include <inc/vmtrace.h>
#include <user/vmm/console.h>
#include <user/vmm/stats.h>

static void line(const char *what, uint64_t n)
{
    if (n > 0)
        say("  %-36s %10lu\n", what, n);
}

static void say_line(const char *text)
{
    say("%s\n", text);
}

void stats_print(const struct GuestStats *st)
{
    say("vmm: %lu exits\n", st->exits);
    for (unsigned i = 0; i < GUEST_NREASONS; i++)
        line(vmexit_words(i), st->reasons[i]);
    line("page faults injected", st->injected_pf);
    line("page faults found spurious", st->refused_pf);
    line("pages of guest memory", st->pages);
    line("of these, in pages of 2 MiB", st->large_pages * (PGSIZE_2M / PGSIZE));
    line("pages of second-stage tables", st->table_pages);
    vmstats_unknown(st, say_line);
}
