/*
 * What is known of a guest that was ended: its call chain, and its trace (vmm -t) or at least how
 * many exits of which kind it made.
 */
#include <inc/vmtrace.h>
#include <user/vmm/report.h>

#define PART        16 /* trace entries that are read at a time */
#define PATIENCE_MS 100

static void print_frames(envid_t guest)
{
    struct GuestFrame frames[GUEST_FRAMES_MAX];
    int64_t n = -E_AGAIN;

    for (int i = 0; n == -E_AGAIN && i < PATIENCE_MS; i++) {
        n = sys_guest_backtrace(guest, frames, GUEST_FRAMES_MAX);
        if (n == -E_AGAIN)
            sys_sleep_msec(1); /* it has been paused, and leaves its CPU */
    }
    for (int64_t i = 0; i < n; i++) {
        const struct GuestFrame *f = &frames[i];
        if (f->fn[0])
            fprintf(2, "  #%-2ld %016lx %s+0x%x (%s:%u)\n", i, f->rip, f->fn, f->offset, f->file,
                    f->line);
        else
            fprintf(2, "  #%-2ld %016lx\n", i, f->rip);
    }
}

static void print_counts(envid_t guest)
{
    struct GuestStats st;

    if (sys_guest_stats(guest, &st) < 0)
        return;
    fprintf(2, "  last exit: %s; exits:", vmexit_words(st.last_reason));
    for (unsigned i = 0; i < GUEST_NREASONS; i++)
        if (st.reasons[i] > 0)
            fprintf(2, " %s %lu", vmexit_name(i), st.reasons[i]);
    fprintf(2, " (vmm -t keeps the last ones)\n");
}

/* Returns false, and says nothing, if it is not traced. */
static bool report_trace(envid_t guest)
{
    struct GuestTraceEntry entries[PART];
    char line[VMTRACE_LINE];
    uint64_t next = 0;
    int64_t n;

    while ((n = sys_guest_trace(guest, &next, entries, PART)) > 0) {
        for (int64_t i = 0; i < n; i++) {
            vmtrace_line(line, sizeof(line), next + i, &entries[i]);
            fprintf(2, "%s\n", line);
        }
        next += n;
    }
    return n == 0;
}

void report_end(envid_t guest)
{
    print_frames(guest);
    if (!report_trace(guest))
        print_counts(guest);
}
