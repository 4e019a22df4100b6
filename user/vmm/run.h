/*
 * The event loop.
 */
#ifndef JOS_USER_VMM_RUN_H
#define JOS_USER_VMM_RUN_H

#include <user/vmm/cards.h>
#include <user/vmm/common.h>

/* Run the guest, which has memsize bytes of RAM and these cards, to its end, and print the reason
 * unless it powered off. Returns the exit status; with restart, RUN_RESET if it has reset itself.
 */
int run_to_end(envid_t guest, const char *name, uint64_t memsize, const struct CardOptions *cards,
               bool restart);
#define RUN_RESET (-1)
/* Press the guest's power button. 0; -E_NOT_SUPP: the guest does not look at it. */
int64_t press_power(void);
/* Take what the kernel has collected of the guest's output: before other output of its, which was
 * later. */
void take_output(void);
/* From a device's register: the guest resets itself, by what `how` says. */
void reset_guest(const char *how, ...) __attribute__((format(printf, 1, 2)));
/* From a handler: end the guest after this event. With why == NULL there is nothing to
 * explain: it powered off with status, or a sentence was printed. */
void end_guest(int status, const char *why, ...) __attribute__((format(printf, 2, 3)));

#endif
