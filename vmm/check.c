/*
 * When entries are checked. The word vmxcheck checks each; vmxcheck-break breaks the control block
 * of a guest named break-N first as case N of the self test does, to see what a refused entry looks
 * like.
 */
#include <kern/cmdline.h>
#include <inc/stdio.h>
#include <kern/platform.h>
#include <vmm/backend.h>
#include <vmm/check.h>
#include <vmm/vcpu.h>

#define WORD_CHECK "vmxcheck"
#define WORD_BREAK "vmxcheck-break"

void check_new_guest(struct Vcpu *v)
{
    if (cmdline_word(WORD_CHECK, NULL, 0) || cmdline_word(WORD_BREAK, NULL, 0))
        vcpu_attn(v, ATTN_CHECK);
}

void check_entry(struct Vcpu *v)
{
    if (!v->started_checks && cmdline_word(WORD_BREAK, NULL, 0))
        backend->break_entry(v);
    v->started_checks = true;
    if (!cmdline_word(WORD_CHECK, NULL, 0))
        return;
    unsigned violations = backend->check_entry(v);
    v->entries_checked++;
    if (violations > 0) {
        v->check_reported = true;
        cprintf("vmxcheck: %s: entry %lu breaks %u rule%s\n", v->env->env_name, v->entries_checked,
                violations, violations == 1 ? "" : "s");
        return;
    }
    vcpu_attn(v, ATTN_CHECK);
    look_around_soon(v);
}

void check_failed_entry(struct Vcpu *v)
{
    if (v->check_reported)
        return;
    v->check_reported = true;
    cprintf("vmxcheck: the VM entry of %s failed; the %s as it stands:\n", v->env->env_name,
            backend->control_block);
    if (backend->check_entry(v) == 0)
        cprintf("vmxcheck: breaks no rule that the checker knows\n");
}

void check_summary(const struct Vcpu *v)
{
    if (v->entries_checked > 0)
        cprintf("vmxcheck: %s: %lu entries checked, %s\n", v->env->env_name, v->entries_checked,
                v->check_reported ? "the last one broke rules" : "0 violations");
}
