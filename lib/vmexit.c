/*
 * What VM exits say, in words, and the actions that follow. The back ends have decoded them, so
 * that the words are the same for Intel and AMD. Used by vmtrace, by `vmm` when a guest has ended,
 * and by the kernel monitor.
 */
#include <inc/stdio.h>
#include <inc/string.h>
#include <inc/vmtrace.h>

static const struct {
    const char *name, *words;
} reasons[GUEST_NREASONS] = {
#define REASON_ENTRY(symbol, text) { #symbol, text },
    GUEST_EXIT_LIST(REASON_ENTRY)
#undef REASON_ENTRY
};

static const struct {
    const char *name, *words;
} actions[] = {
#define ACTION_ENTRY(symbol, text) { #symbol, text },
    GUEST_ACTION_LIST(ACTION_ENTRY)
#undef ACTION_ENTRY
};

static const char *const calls[] = {
    [VMX_VMCALL_MBMAP] = "MBMAP",         [VMX_VMCALL_IPCSEND] = "IPCSEND",
    [VMX_VMCALL_IPCRECV] = "IPCRECV",     [VMX_VMCALL_CONS_WRITE] = "CONS_WRITE",
    [VMX_VMCALL_CONS_READ] = "CONS_READ", [VMX_VMCALL_POWEROFF] = "POWEROFF",
    [VMX_VMCALL_NULL] = "NULL",           [VMX_VMCALL_EXITS] = "EXITS",
};

static const char *const gprs[] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                    "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15" };

const char *vmexit_name(uint32_t reason)
{
    return reason < GUEST_NREASONS ? reasons[reason].name : "NONE";
}

const char *vmexit_words(uint32_t reason)
{
    return reason < GUEST_NREASONS ? reasons[reason].words : "none";
}

const char *vmaction_name(uint32_t action)
{
    return action < ARRAY_SIZE(actions) ? actions[action].name : "?";
}

static const char *gpr_name(const struct GuestTraceEntry *e)
{
    return gprs[e->gpr % ARRAY_SIZE(gprs)];
}

static void describe_io(char *buf, size_t size, const struct GuestTraceEntry *e)
{
    const struct GuestIo *io = &e->io;
    const char *name = e->string ? (io->in ? "ins" : "outs") : (io->in ? "in" : "out");
    size_t n = snprintf(buf, size, "%s%s port 0x%x, %u byte%s", e->rep ? "rep " : "", name,
                        io->port, io->size, io->size == 1 ? "" : "s");
    if (!io->in && !e->string && n < size)
        snprintf(buf + n, size - n, ": 0x%lx",
                 e->value & (io->size < 4 ? (1ul << 8 * io->size) - 1 : UINT32_MAX));
}

static void describe_cr(char *buf, size_t size, const struct GuestTraceEntry *e)
{
    switch (e->reg_access) {
    case REG_WRITE:
        snprintf(buf, size, "mov to cr%u from %s", e->reg, gpr_name(e));
        break;
    case REG_READ:
        snprintf(buf, size, "mov from cr%u to %s", e->reg, gpr_name(e));
        break;
    case REG_CLTS:
        snprintf(buf, size, "clts");
        break;
    case REG_LMSW:
        snprintf(buf, size, "lmsw 0x%lx", e->value & UINT16_MAX);
        break;
    default:
        snprintf(buf, size, "cr%u", e->reg);
        break;
    }
}

static void describe_dr(char *buf, size_t size, const struct GuestTraceEntry *e)
{
    if (e->reg_access == REG_READ)
        snprintf(buf, size, "mov from dr%u to %s", e->reg, gpr_name(e));
    else if (e->reg_access == REG_WRITE)
        snprintf(buf, size, "mov to dr%u from %s", e->reg, gpr_name(e));
    else
        snprintf(buf, size, "dr%u", e->reg);
}

static void describe_memory(char *buf, size_t size, const struct GuestTraceEntry *e)
{
    const char *what = e->access & GUEST_WRITE   ? "write"
                       : e->access & GUEST_FETCH ? "fetch"
                                                 : "read";
    if (e->rights == 0)
        snprintf(buf, size, "%s at gpa 0x%lx, not mapped", what, e->address);
    else
        snprintf(buf, size, "%s at gpa 0x%lx, mapped %c%c%c", what, e->address,
                 e->rights & GUEST_READ ? 'r' : '-', e->rights & GUEST_WRITE ? 'w' : '-',
                 e->rights & GUEST_FETCH ? 'x' : '-');
}

static void describe_exception(char *buf, size_t size, const struct GuestTraceEntry *e)
{
    static const char *const names[] = {
        [0] = "#DE",  [1] = "#DB",  [3] = "#BP",  [4] = "#OF",  [5] = "#BR",  [6] = "#UD",
        [7] = "#NM",  [8] = "#DF",  [10] = "#TS", [11] = "#NP", [12] = "#SS", [13] = "#GP",
        [14] = "#PF", [16] = "#MF", [17] = "#AC", [18] = "#MC", [19] = "#XM",
    };
    if (e->is_nmi)
        snprintf(buf, size, "NMI");
    else if (e->vector == 14)
        snprintf(buf, size, "#PF at 0x%lx", e->address);
    else if (e->vector < ARRAY_SIZE(names) && names[e->vector])
        snprintf(buf, size, "%s", names[e->vector]);
    else
        snprintf(buf, size, "vector %u", e->vector);
}

static void describe_call(char *buf, size_t size, const struct GuestTraceEntry *e)
{
    if (e->detail < ARRAY_SIZE(calls) && calls[e->detail])
        snprintf(buf, size, "%s(0x%lx)", calls[e->detail], e->value);
    else
        snprintf(buf, size, "unknown call 0x%lx", e->detail);
}

void vmtrace_detail(char *buf, size_t size, const struct GuestTraceEntry *e)
{
    buf[0] = '\0';
    switch (e->reason) {
    case EXIT_EXCEPTION:
        return describe_exception(buf, size, e);
    case EXIT_INTERRUPT:
        if (e->vector != GUEST_NO_VECTOR)
            snprintf(buf, size, "vector %u", e->vector);
        return;
    case EXIT_TASK_SWITCH:
        snprintf(buf, size, "to selector 0x%lx", e->detail);
        return;
    case EXIT_CPUID:
        snprintf(buf, size, "leaf 0x%lx, subleaf 0x%lx", e->detail, e->value);
        return;
    case EXIT_VMCALL:
        return describe_call(buf, size, e);
    case EXIT_CR_ACCESS:
        return describe_cr(buf, size, e);
    case EXIT_DR_ACCESS:
        return describe_dr(buf, size, e);
    case EXIT_IO:
        return describe_io(buf, size, e);
    case EXIT_RDMSR:
        snprintf(buf, size, "MSR 0x%lx", e->detail);
        return;
    case EXIT_WRMSR:
        snprintf(buf, size, "MSR 0x%lx: 0x%lx", e->detail, e->value);
        return;
    case EXIT_MEMORY:
        return describe_memory(buf, size, e);
    case EXIT_MISCONFIG:
        snprintf(buf, size, "gpa 0x%lx", e->address);
        return;
    case EXIT_OTHER:
        snprintf(buf, size, "number 0x%x of this CPU", e->code);
        return;
    }
}

void vmtrace_action(char *buf, size_t size, const struct GuestTraceEntry *e)
{
    const char *words = e->action < ARRAY_SIZE(actions) ? actions[e->action].words : "?";
    if (e->action == ACTION_INJECT)
        snprintf(buf, size, "%s (vector %u)", words, e->injected);
    else
        snprintf(buf, size, "%s", words);
}

void vmtrace_line(char *buf, size_t size, uint64_t n, const struct GuestTraceEntry *e)
{
    char detail[80], action[64];
    vmtrace_detail(detail, sizeof(detail), e);
    vmtrace_action(action, sizeof(action), e);
    snprintf(buf, size, "%6lu %14lu %016lx %s%s%s; %s, %u ticks", n, e->tsc, e->rip,
             vmexit_words(e->reason), detail[0] ? ": " : "", detail, action, e->ticks);
}

#define PORTS 0x10000

void vmstats_unknown(const struct GuestStats *st, void (*print)(const char *line))
{
    char line[VMTRACE_LINE];

    if (st->unclaimed > 0) {
        const char *what = st->last_unclaimed < PORTS ? "port" : "gpa";
        snprintf(line, sizeof(line), "  %-36s %10lu, last: %s 0x%lx",
                 "accesses that no device claimed", st->unclaimed, what, st->last_unclaimed);
        print(line);
    }
    if (st->unknown_msrs > 0) {
        snprintf(line, sizeof(line), "  %-36s %10lu, last: 0x%x", "accesses to unknown MSRs",
                 st->unknown_msrs, st->last_unknown_msr);
        print(line);
    }
}
