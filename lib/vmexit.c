/*
 * What VM exits say, in words: exit qualifications (SDM "Exit Qualification"), and the actions that
 * follow. Used by vmtrace, by `vmm` when a guest has ended, and by the kernel monitor.
 */
#include <inc/stdio.h>
#include <inc/string.h>
#include <inc/vmexits.h>
#include <inc/vmtrace.h>

static const struct {
    const char *name, *words;
} reasons[GUEST_NREASONS] = {
#define REASON_ENTRY(nr, symbol, text) [nr] = { #symbol, text },
    VMX_EXIT_LIST(REASON_ENTRY)
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
    return reason < GUEST_NREASONS && reasons[reason].name ? reasons[reason].name : "NONE";
}

const char *vmexit_words(uint32_t reason)
{
    return reason < GUEST_NREASONS && reasons[reason].words ? reasons[reason].words : "none";
}

const char *vmaction_name(uint32_t action)
{
    return action < ARRAY_SIZE(actions) ? actions[action].name : "?";
}

static void describe_io(char *buf, size_t size, const struct GuestTraceEntry *e)
{
    uint64_t q = e->qualification;
    bool in = q & QUAL_IO_IN;
    size_t n = snprintf(buf, size, "%s%s port 0x%lx, %lu byte%s", q & QUAL_IO_REP ? "rep " : "",
                        q & QUAL_IO_STRING ? (in ? "ins" : "outs") : (in ? "in" : "out"),
                        QUAL_IO_PORT(q), QUAL_IO_SIZE(q), QUAL_IO_SIZE(q) == 1 ? "" : "s");
    if (!in && !(q & QUAL_IO_STRING) && n < size)
        snprintf(buf + n, size - n, ": 0x%lx",
                 e->value & (QUAL_IO_SIZE(q) == 4 ? ~0ul : (1ul << 8 * QUAL_IO_SIZE(q)) - 1));
}

static void describe_cr(char *buf, size_t size, const struct GuestTraceEntry *e)
{
    uint64_t q = e->qualification;
    unsigned cr = QUAL_CR(q);
    const char *gpr = gprs[QUAL_CR_GPR(q)];
    switch (QUAL_CR_TYPE(q)) {
    case CR_MOV_TO:
        snprintf(buf, size, "mov to cr%u from %s", cr, gpr);
        break;
    case CR_MOV_FROM:
        snprintf(buf, size, "mov from cr%u to %s", cr, gpr);
        break;
    case CR_CLTS:
        snprintf(buf, size, "clts");
        break;
    default:
        snprintf(buf, size, "lmsw 0x%lx", q >> 16 & 0xffff);
        break;
    }
}

/* SDM "Exit Qualification for MOV DR" */
static void describe_dr(char *buf, size_t size, const struct GuestTraceEntry *e)
{
    uint64_t q = e->qualification;
    const char *gpr = gprs[q >> 8 & 0xf];
    if (q & 1 << 4)
        snprintf(buf, size, "mov from dr%lu to %s", q & 7, gpr);
    else
        snprintf(buf, size, "mov to dr%lu from %s", q & 7, gpr);
}

static void describe_ept(char *buf, size_t size, const struct GuestTraceEntry *e)
{
    uint64_t q = e->qualification, rights = QUAL_EPT_MAPPED(q);
    const char *what = q & QUAL_EPT_WRITE ? "write" : q & QUAL_EPT_FETCH ? "fetch" : "read";
    if (rights == 0)
        snprintf(buf, size, "%s at gpa 0x%lx, not mapped", what, e->gpa);
    else
        snprintf(buf, size, "%s at gpa 0x%lx, mapped %c%c%c", what, e->gpa,
                 rights & QUAL_EPT_READ ? 'r' : '-', rights & QUAL_EPT_WRITE ? 'w' : '-',
                 rights & QUAL_EPT_FETCH ? 'x' : '-');
}

static void describe_exception(char *buf, size_t size, const struct GuestTraceEntry *e)
{
    static const char *const names[] = {
        [0] = "#DE",  [1] = "#DB",  [3] = "#BP",  [4] = "#OF",  [5] = "#BR",  [6] = "#UD",
        [7] = "#NM",  [8] = "#DF",  [10] = "#TS", [11] = "#NP", [12] = "#SS", [13] = "#GP",
        [14] = "#PF", [16] = "#MF", [17] = "#AC", [18] = "#MC", [19] = "#XM",
    };
    uint32_t vector = INFO_VECTOR(e->detail);
    if (INFO_TYPE(e->detail) == INFO_TYPE_NMI)
        snprintf(buf, size, "NMI");
    else if (vector == 14)
        snprintf(buf, size, "#PF at 0x%lx", e->qualification);
    else if (vector < ARRAY_SIZE(names) && names[vector])
        snprintf(buf, size, "%s", names[vector]);
    else
        snprintf(buf, size, "vector %u", vector);
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
    case EXIT_REASON_EXCEPTION:
        return describe_exception(buf, size, e);
    case EXIT_REASON_EXTINT:
        snprintf(buf, size, "vector %u", (uint32_t)INFO_VECTOR(e->detail));
        return;
    case EXIT_REASON_TASK_SWITCH:
        snprintf(buf, size, "to selector 0x%lx", e->qualification & 0xffff);
        return;
    case EXIT_REASON_CPUID:
        snprintf(buf, size, "leaf 0x%lx, subleaf 0x%lx", e->detail, e->value);
        return;
    case EXIT_REASON_VMCALL:
        return describe_call(buf, size, e);
    case EXIT_REASON_CR_ACCESS:
        return describe_cr(buf, size, e);
    case EXIT_REASON_MOV_DR:
        return describe_dr(buf, size, e);
    case EXIT_REASON_IO:
        return describe_io(buf, size, e);
    case EXIT_REASON_RDMSR:
        snprintf(buf, size, "MSR 0x%lx", e->detail);
        return;
    case EXIT_REASON_WRMSR:
        snprintf(buf, size, "MSR 0x%lx: 0x%lx", e->detail, e->value);
        return;
    case EXIT_REASON_EPT_VIOLATION:
        return describe_ept(buf, size, e);
    case EXIT_REASON_EPT_MISCONFIG:
        snprintf(buf, size, "gpa 0x%lx", e->gpa);
        return;
    }
}

void vmtrace_action(char *buf, size_t size, const struct GuestTraceEntry *e)
{
    const char *words = e->action < ARRAY_SIZE(actions) ? actions[e->action].words : "?";
    if (e->action == ACTION_INJECT)
        snprintf(buf, size, "%s (vector %u)", words, (uint32_t)INFO_VECTOR(e->injected));
    else
        snprintf(buf, size, "%s", words);
}

void vmtrace_line(char *buf, size_t size, uint64_t n, const struct GuestTraceEntry *e)
{
    char detail[80], action[64];
    vmtrace_detail(detail, sizeof detail, e);
    vmtrace_action(action, sizeof action, e);
    snprintf(buf, size, "%6lu %14lu %016lx %s%s%s; %s, %u ticks", n, e->tsc, e->rip,
             vmexit_words(e->reason), detail[0] ? ": " : "", detail, action, e->ticks);
}
