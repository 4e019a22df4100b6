/*
 * The scheduler: a round-robin run queue for each CPU, sleeping with deadlines, and the idle loop.
 * Finding the next env takes the head of a list. A CPU with nothing to do takes from the queues of
 * others, and so does one whose time slice ends while somebody has waited longer there. There is no
 * periodic tick: the local APIC timer is armed only while another env wants the CPU or one sleeps
 * with a deadline.
 *
 * An env that leaves its CPU may run on another one as soon as it is on a queue, or is unlocked
 * while it waits. Before that its registers are saved, and its address space is no longer loaded
 * here: pmap.c relies on that to flush what a page table has changed.
 */
#include <inc/assert.h>
#include <inc/error.h>
#include <inc/string.h>
#include <inc/x86.h>
#include <kern/cpu.h>
#include <kern/dev/clock.h>
#include <kern/dev/lapic.h>
#include <kern/env.h>
#include <kern/envlife.h>
#include <kern/envlist.h>
#include <kern/flush.h>
#include <kern/gdb/stub.h>
#include <kern/hooks.h>
#include <kern/ipi.h>
#include <kern/platform.h>
#include <kern/pmap.h>
#include <kern/sched.h>
#include <kern/spinlock.h>
#include <kern/timerq.h>
#include <kern/trapentry.h>
#include <kern/xstate.h>

#define SLICE_MS 30
#define NEVER    (~0ul)

static uint32_t idle_cpus; /* a bit for each CPU that halts, or is about to; atomic */

static uint64_t slice_ticks; /* a time slice */

/* ---- Deadlines ---- */

void sched_init(void)
{
    slice_ticks = SLICE_MS * tsc_khz;
    for (int i = 0; i < NCPU; i++)
        cpus[i].cpu_first_deadline = NEVER;
}

/* cpu_timer_lock is held. */
static void note_first_deadline(struct Cpu *c)
{
    WRITE_ONCE(c->cpu_first_deadline, c->cpu_timers ? c->cpu_timers->env_wake_tsc : NEVER);
}

/* Deadlines belong to the CPU where the env blocked, which is the one that wakes it. */
void sched_timer_insert(struct Env *e, uint64_t deadline)
{
    struct Cpu *c = this_cpu();

    e->env_timer_cpu = c->cpu_num;
    spin_lock(&c->cpu_timer_lock);
    e->env_wake_tsc = deadline;
    timerq_insert(&c->cpu_timers, e);
    note_first_deadline(c);
    spin_unlock(&c->cpu_timer_lock);
    c->cpu_timer_check = 1;
}

void sched_timer_remove(struct Env *e)
{
    struct Cpu *c = &cpus[e->env_timer_cpu];

    spin_lock(&c->cpu_timer_lock);
    timerq_remove(&c->cpu_timers, e);
    e->env_wake_tsc = 0;
    note_first_deadline(c);
    spin_unlock(&c->cpu_timer_lock);
}

/* The first env whose deadline has come, or NULL. */
static struct Env *first_expired(struct Cpu *c, uint64_t now)
{
    struct Env *e;

    spin_lock(&c->cpu_timer_lock);
    e = c->cpu_timers;
    if (e && e->env_wake_tsc > now)
        e = NULL;
    spin_unlock(&c->cpu_timer_lock);
    return e;
}

/* Some deadlines have come. An env is locked before the queue, so it may have been woken by
 * somebody else, and even have gone to sleep again, before it is locked here. */
static void __attribute__((noinline)) timers_expire(struct Cpu *c, uint64_t now)
{
    struct Env *e;

    while ((e = first_expired(c, now))) {
        env_lock(e);
        if (e->env_wake_tsc != 0 && e->env_wake_tsc <= now)
            sched_wake(e);
        env_unlock(e);
    }
}

static inline void timers_check(struct Cpu *c, uint64_t now)
{
    if (__builtin_expect(READ_ONCE(c->cpu_first_deadline) <= now, 0))
        timers_expire(c, now);
}

/* A time slice starts when somebody else begins to wait for the CPU; with several CPUs right away,
 * since others may wait on their queues. The first deadline is one word, which others may only
 * change to a later one: a timer that comes too early is armed again. */
static inline uint64_t next_deadline(struct Cpu *c)
{
    uint64_t deadline = READ_ONCE(c->cpu_first_deadline);

    if (__builtin_expect(gdb_on, 0))
        deadline = MIN(deadline, gdb_look_deadline());
    if (!c->cpu_env || (!READ_ONCE(c->cpu_queue.head) && ncpu == 1))
        return deadline;
    if (c->cpu_slice_end == 0)
        c->cpu_slice_end = read_tsc() + slice_ticks;
    return MIN(deadline, c->cpu_slice_end);
}

uint64_t sched_deadline(void)
{
    struct Cpu *c = this_cpu();

    return c->cpu_preempt ? 0 : next_deadline(c);
}

/* An armed timer that is early enough stays: it finds out what to do when it comes. */
void sched_arm_timer(void)
{
    struct Cpu *c = this_cpu();
    uint64_t deadline;

    c->cpu_timer_check = 0;
    if (ncpu == 1 && !READ_ONCE(c->cpu_queue.head) && READ_ONCE(c->cpu_first_deadline) == NEVER)
        return;
    deadline = next_deadline(c);
    if (c->cpu_timer_deadline <= deadline)
        return;
    c->cpu_timer_deadline = deadline;
    lapic_timer_set(deadline);
}

void sched_timer_by(uint64_t deadline)
{
    struct Cpu *c = this_cpu();

    if (c->cpu_timer_deadline <= deadline)
        return;
    c->cpu_timer_deadline = deadline;
    lapic_timer_set(deadline);
}

/* A new env gets the CPU for which somebody else waits: its time slice starts. An armed timer that
 * is early enough stays, here as in sched_arm_timer. */
ALWAYS_INLINE void slice_start(struct Cpu *c, uint64_t now)
{
    c->cpu_preempt = c->cpu_slice_over = false;
    c->cpu_slice_end = now + slice_ticks;
    if (c->cpu_timer_deadline > c->cpu_slice_end)
        c->cpu_timer_check = 1;
}

/* Nobody else waits, unless on another CPU's queue. */
static inline void slice_start_alone(struct Cpu *c, uint64_t now)
{
    slice_start(c, now);
    if (ncpu == 1)
        c->cpu_slice_end = 0;
}

/* Charge the current env for the CPU time since it was last charged. */
static inline void account(struct Cpu *c, struct Env *e, uint64_t now)
{
    uint64_t spent = now - c->cpu_env_since;

    c->cpu_env_since = now;
    e->env_ticks += spent;
}

/* Does an env wait on the queue of any CPU? As of now, without locks: it may be gone at once, and
 * who takes from a queue locks that and looks again. */
static bool work_waits(const struct Cpu *c)
{
    if (READ_ONCE(c->cpu_queue.head))
        return true;
    for (uint32_t i = 0; i < ncpu; i++)
        if (READ_ONCE(cpus[i].cpu_queue.head))
            return true;
    return false;
}

bool sched_timer(void)
{
    struct Cpu *c = this_cpu();
    uint64_t now;
    bool over;

    if (gdb_on)
        gdb_look();
    c->cpu_timer_deadline = NEVER;
    c->cpu_timer_check = 1;
    now = read_tsc();
    timers_check(c, now);
    over = c->cpu_slice_end && now >= c->cpu_slice_end;
    if (over && c->cpu_env) {
        account(c, c->cpu_env, now);
        c->cpu_slice_end = 0; /* if nobody waits, the next one starts */
        c->cpu_slice_over = over = work_waits(c);
    }
    if (over || c->cpu_preempt || (READ_ONCE(c->cpu_queue.head) && !c->cpu_env))
        return true;
    sched_arm_timer();
    return false;
}

/* ---- Run queues ---- */

bool sched_others_waiting(void)
{
    return work_waits(this_cpu());
}

/* Some CPUs sleep, this one not among them: one of them could run what has just become runnable. */
static void __attribute__((noinline)) kick_idle_cpu(uint32_t sleeping)
{
    for (; sleeping; sleeping &= sleeping - 1) {
        uint32_t i = __builtin_ctz(sleeping);
        /* Another CPU may have asked this one already, for another env. */
        if (!(__atomic_fetch_and(&idle_cpus, ~(1u << i), __ATOMIC_SEQ_CST) & 1u << i))
            continue;
        cpu_kick(&cpus[i]);
        return;
    }
}

/* An env has come to this CPU's queue. A CPU that goes to sleep notes that first, then looks at the
 * queues; here it is the other way round, so one of the two sees the other. */
static inline void tell_idle_cpus(const struct Cpu *c)
{
    uint32_t sleeping;

    if (ncpu == 1)
        return;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    sleeping = __atomic_load_n(&idle_cpus, __ATOMIC_RELAXED) & ~(1u << c->cpu_num);
    if (sleeping)
        kick_idle_cpu(sleeping);
}

/* e's place on the queue of CPU c, which is locked, and this one's. */
ALWAYS_INLINE void enqueue(struct Cpu *c, struct Env *e, uint64_t now)
{
    WRITE_ONCE(e->env_status, ENV_RUNNABLE);
    WRITE_ONCE(e->env_queued, now);
    envlist_append(&c->cpu_queue, e);
}

/* The next env of the queue of CPU `from`, which is locked, for this CPU, c; NULL: it is empty.
 * From here on it is this CPU's current env. */
ALWAYS_INLINE struct Env *dequeue(struct Cpu *from, struct Cpu *c)
{
    struct Env *e = from->cpu_queue.head;

    if (!e)
        return NULL;
    envlist_take(&from->cpu_queue);
    WRITE_ONCE(e->env_status, ENV_RUNNING);
    WRITE_ONCE(e->env_cpunum, c->cpu_num);
    WRITE_ONCE(c->cpu_env, e);
    return e;
}

/* Envs that hand a CPU to each other, by yields or waits, would never come to the end of a slice:
 * once in a slice or two such a switch looks at the other queues, too. CPUs do so at different
 * times, or all would empty the same queue. */
static inline bool is_time_to_share(struct Cpu *c, uint64_t now)
{
    if (__builtin_expect(ncpu == 1 || now < c->cpu_share_at, 1))
        return false;
    c->cpu_share_at = now + slice_ticks + slice_ticks / NCPU * c->cpu_num;
    return true;
}

static struct Env *take_from(struct Cpu *from, struct Cpu *c)
{
    struct Env *e;

    spin_lock(&from->cpu_queue_lock);
    e = dequeue(from, c);
    spin_unlock(&from->cpu_queue_lock);
    return e;
}

/* The CPU on whose queue somebody has waited longest, or NULL. A guess, since it looks without
 * locks; an env that is gone meanwhile leaves zeroes, or another env's time. */
static struct Cpu *longest_wait(void)
{
    struct Cpu *longest = NULL;
    uint64_t since = NEVER;

    for (uint32_t i = 0; i < ncpu; i++) {
        struct Env *e = READ_ONCE(cpus[i].cpu_queue.head);
        uint64_t queued = e ? READ_ONCE(e->env_queued) : NEVER;
        if (queued >= since)
            continue;
        longest = &cpus[i];
        since = queued;
    }
    return longest;
}

/* Who has waited longest, on whatever queue, for this CPU; NULL: nobody waits. */
static struct Env *__attribute__((noinline)) take_from_any(struct Cpu *c)
{
    struct Env *e = NULL;
    struct Cpu *from;

    while (!e && (from = longest_wait()))
        e = take_from(from, c);
    return e;
}

/* Queue e up on this CPU. first: before the others. */
static inline void become_ready(struct Env *e, bool first)
{
    struct Cpu *c = this_cpu();

    if (READ_ONCE(e->env_marks) & ENV_MARK_PAUSED) {
        WRITE_ONCE(e->env_status, ENV_NOT_RUNNABLE);
        WRITE_ONCE(e->env_wait, WAIT_PAUSE);
        return;
    }
    spin_lock(&c->cpu_queue_lock);
    WRITE_ONCE(e->env_cpunum, c->cpu_num);
    WRITE_ONCE(e->env_status, ENV_RUNNABLE);
    WRITE_ONCE(e->env_queued, first ? 0 : read_tsc());
    if (first)
        envlist_prepend(&c->cpu_queue, e);
    else
        envlist_append(&c->cpu_queue, e);
    spin_unlock(&c->cpu_queue_lock);
    c->cpu_timer_check = 1;
    tell_idle_cpus(c);
}

void sched_ready(struct Env *e)
{
    become_ready(e, false);
}

/* Lock the run queue of the CPU that e belongs to. e is locked. */
static struct Cpu *lock_queue_of(const struct Env *e)
{
    for (;;) {
        uint32_t n = READ_ONCE(e->env_cpunum);
        spin_lock(&cpus[n].cpu_queue_lock);
        if (n == READ_ONCE(e->env_cpunum))
            return &cpus[n];
        spin_unlock(&cpus[n].cpu_queue_lock); /* another CPU has taken e from there */
    }
}

enum SchedPlace sched_mark(struct Env *e, uint8_t mark)
{
    struct Cpu *c = lock_queue_of(e);
    enum SchedPlace place = SCHED_WAITS;

    if (env_has_cpu(e) || (e->env_status == ENV_RUNNABLE && e->env_marks & ENV_MARK_KILLED)) {
        place = SCHED_HAS_CPU;
        WRITE_ONCE(e->env_marks, e->env_marks | mark);
    } else if (e->env_status == ENV_RUNNABLE) {
        place = SCHED_QUEUED;
        envlist_remove(e);
        WRITE_ONCE(e->env_status, ENV_NOT_RUNNABLE);
    }
    spin_unlock(&c->cpu_queue_lock);
    if (place == SCHED_HAS_CPU)
        cpu_kick(c);
    return place;
}

/* ---- Waiting ---- */

static inline bool is_waiting(const struct Env *e)
{
    return e->env_wait != WAIT_NONE;
}

void sched_wake(struct Env *e)
{
    if (is_waiting(e) && sched_unblock(e))
        sched_ready(e);
}

void sched_wake_at_once(struct Env *e)
{
    if (!is_waiting(e) || !sched_unblock(e))
        return;
    become_ready(e, true);
    this_cpu()->cpu_preempt = this_cpu()->cpu_slice_over = true;
}

void sched_poke(struct Env *e)
{
    if (e->env_wait == WAIT_HLT)
        sched_wake(e);
    else if (env_has_cpu(e))
        cpu_kick(&cpus[READ_ONCE(e->env_cpunum)]); /* it looks on its way back in */
}

void sched_pause(struct Env *e, bool paused)
{
    env_lock(e);
    if (paused && sched_mark(e, ENV_MARK_PAUSED) == SCHED_QUEUED)
        WRITE_ONCE(e->env_wait, WAIT_PAUSE);
    WRITE_ONCE(e->env_marks,
               paused ? e->env_marks | ENV_MARK_PAUSED : e->env_marks & ~ENV_MARK_PAUSED);
    if (!paused && e->env_wait == WAIT_PAUSE)
        sched_wake(e);
    env_unlock(e);
}

/* ---- Giving the CPU away ---- */

int sched_vmx_on(struct Cpu *c)
{
    /* LAB 0 begin: sched_yield */
    return c->cpu_vmx_on ? 0 : guest_hooks.cpu_on();
    /* LAB 0 end */
}

/* The memory of e, which gets this CPU; a guest has the kernel's only. That of the last env, which
 * this CPU no longer protects, must not stay loaded. */
ALWAYS_INLINE void load_memory(struct Cpu *c, const struct Env *e)
{
    if (c->cpu_cr3 != e->env_cr3)
        cpu_set_cr3(c, e->env_cr3);
}

static inline void load_fpu(const struct Env *e)
{
    asm volatile("fxrstor64 %0" : : "m"(e->env_fpu));
}

/* The current env e gives up the CPU's registers. */
ALWAYS_INLINE void save(struct Cpu *c, struct Env *e, uint64_t now)
{
    account(c, e, now);
    asm volatile("fxsave64 %0" : "=m"(e->env_fpu));
}

/* Go on with e, which has the CPU; traps save to its env_tf. */
ALWAYS_INLINE void __attribute__((noreturn)) enter_env(struct Cpu *c, struct Env *e)
{
    if (c->cpu_timer_check)
        sched_arm_timer();
    env_pop_tf(&e->env_tf);
}

ALWAYS_INLINE void __attribute__((noreturn)) enter_guest(struct Cpu *c, struct Env *e)
{
    if (c->cpu_timer_check)
        sched_arm_timer();
    guest_hooks.run(e);
    sched_yield();
}

/* A guest ends if it cannot run here. */
static void __attribute__((noreturn, noinline)) run_guest(struct Cpu *c, struct Env *e)
{
    if (sched_vmx_on(c) < 0)
        env_destroy(e, EXIT_FAULT);
    enter_guest(c, e);
}

/* Run e, whose memory is loaded, and which is the current env of this CPU and no other. */
ALWAYS_INLINE void __attribute__((noreturn)) run(struct Cpu *c, struct Env *e)
{
    e->env_runs++;
    load_fpu(e);
    if (e->env_type == ENV_TYPE_GUEST)
        run_guest(c, e);
    cpu_drop_selectors(c);
    c->cpu_tss.rsp[0] = (uint64_t)(&e->env_tf + 1);
    enter_env(c, e);
}

/* The current env e is blocked, and next could run; but first the scheduler is asked, unless all
 * that there is to do is to save e's extended state. */
static void __attribute__((noreturn, noinline)) handoff_to_all(struct Env *e, struct Env *next)
{
    if (e->env_marks & ENV_MARK_XSTATE) {
        xstate_put_away(e);
        sched_handoff(next);
    }
    sched_ready(next);
    env_unlock(next);
    env_unlock(e);
    sched_yield();
}

void sched_handoff(struct Env *next)
{
    struct Cpu *c = this_cpu();
    struct Env *e = c->cpu_env;

    /* Two who hand the CPU to each other share one time slice. If its end came in the kernel,
     * between a guest and its monitor, nobody has given the CPU away yet. */
    if (e->env_marks || c->cpu_slice_over)
        handoff_to_all(e, next);
    save(c, e, read_tsc());
    WRITE_ONCE(next->env_status, ENV_RUNNING);
    WRITE_ONCE(next->env_cpunum, c->cpu_num);
    WRITE_ONCE(c->cpu_env, next);
    cpu_set_cr3(c, next->env_cr3); /* the two are not both guests, so it is another one */
    env_unlock(next);
    env_unlock(e);
    run(c, next);
}

/* Do what its marks say to the current env e, and find out whether it waits: then false, and it is
 * locked. */
static bool __attribute__((noinline)) settle(struct Env *e)
{
    uint8_t marks;

    env_lock(e);
    if (e->env_marks & ENV_MARK_XSTATE)
        xstate_put_away(e);
    marks = e->env_marks;
    if (marks & ENV_MARK_KILLED) {
        int status = e->env_exit;
        env_unlock(e);
        env_destroy(e, status); /* does not return */
    }
    if (marks && e->env_status == ENV_RUNNING) {
        WRITE_ONCE(e->env_status, ENV_NOT_RUNNABLE);
        if (!(marks & ENV_MARK_STOP))
            WRITE_ONCE(e->env_wait, WAIT_PAUSE);
    }
    WRITE_ONCE(e->env_marks, marks & ~ENV_MARK_STOP);
    if (e->env_status != ENV_RUNNING)
        return false;
    env_unlock(e);
    return true;
}

/* Could the current env e go on? If not, it is locked. Marks that come later come with an
 * interrupt, or before e is taken from a queue. */
static inline bool could_go_on(struct Env *e)
{
    bool runs = __atomic_load_n(&e->env_status, __ATOMIC_ACQUIRE) == ENV_RUNNING;

    return __builtin_expect(runs && !READ_ONCE(e->env_marks), 1) || settle(e);
}

/* The current env e, which waits, leaves the CPU to the next one of this queue, if there is one. e
 * is unlocked. */
static struct Env *__attribute__((noinline))
leave_waiting(struct Cpu *c, struct Env *e, uint64_t now)
{
    struct Env *next;

    save(c, e, now);
    next = is_time_to_share(c, now) ? take_from_any(c) : take_from(c, c);
    if (next) {
        load_memory(c, next);
    } else {
        cpu_set_cr3(c, kern_cr3);
        WRITE_ONCE(c->cpu_env, NULL);
    }
    env_unlock(e);
    return next;
}

/* The current env e makes room for the next one of this queue and goes to its end. NULL: there is
 * none, and nothing is changed. The queue is never empty in between: a CPU that is about to sleep
 * would miss e. */
ALWAYS_INLINE struct Env *exchange(struct Cpu *c, struct Env *e, uint64_t now)
{
    struct Env *next = NULL;

    spin_lock(&c->cpu_queue_lock);
    if (c->cpu_queue.head) {
        save(c, e, now);
        enqueue(c, e, now);
        next = dequeue(c, c);
        load_memory(c, next);
    }
    spin_unlock(&c->cpu_queue_lock);
    return next;
}

/* The same for who has waited longest on any queue. */
static struct Env *__attribute__((noinline))
exchange_any(struct Cpu *c, struct Env *e, uint64_t now)
{
    struct Env *next = take_from_any(c);

    if (!next)
        return NULL;
    spin_lock(&c->cpu_queue_lock);
    save(c, e, now);
    load_memory(c, next);
    enqueue(c, e, now);
    spin_unlock(&c->cpu_queue_lock);
    tell_idle_cpus(c);
    return next;
}

/* Nobody else wants the CPU of e. */
static void __attribute__((noreturn, noinline)) stay(struct Cpu *c, struct Env *e)
{
    c->cpu_preempt = c->cpu_slice_over = false;
    if (e->env_type == ENV_TYPE_GUEST)
        enter_guest(c, e);
    enter_env(c, e);
}

/* Nothing to run: clear memory ahead, then sleep, until an interrupt makes an env runnable, here or
 * elsewhere. An interrupt between the look at the queues and HLT waits for STI, so none is missed.
 * (gOS clears nothing: memory that it does not touch costs hOS nothing.) */
static struct Env *__attribute__((noinline)) idle(struct Cpu *c)
{
    uint32_t self = 1u << c->cpu_num;
    struct Env *e;

    while (!(e = take_from_any(c))) {
        __atomic_fetch_or(&idle_cpus, self, __ATOMIC_SEQ_CST);
        if (!work_waits(c)) {
            if (!is_guest && page_clear_ahead()) {
                asm volatile("sti; nop; cli" : : : "memory");
            } else {
                sched_arm_timer();
                asm volatile("sti; hlt; cli" : : : "memory");
            }
        }
        __atomic_fetch_and(&idle_cpus, ~self, __ATOMIC_SEQ_CST);
        cpu_flush_poll();
        timers_check(c, read_tsc());
    }
    load_memory(c, e);
    c->cpu_env_since = read_tsc();
    return e;
}

/* This CPU has no env, since the last one has ended: the next one of this queue, or NULL. */
static struct Env *take_over(struct Cpu *c, uint64_t now)
{
    struct Env *next = take_from(c, c);

    c->cpu_env_since = now;
    if (next)
        load_memory(c, next);
    return next;
}

/* e comes from a queue, with marks, or is a guest. Can it run? If not, its marks have seen to it,
 * and the next one is the result. A guest whose VMCS another CPU borrows (sys_guest_backtrace) is
 * locked meanwhile. */
static struct Env *__attribute__((noinline)) check_taken(struct Cpu *c, struct Env *e, uint64_t now)
{
    env_lock(e);
    env_unlock(e);
    if (!READ_ONCE(e->env_marks))
        return e;
    load_fpu(e);
    return settle(e) ? e : leave_waiting(c, e, now);
}

static inline bool wants_check(const struct Env *e)
{
    return READ_ONCE(e->env_marks) || e->env_type == ENV_TYPE_GUEST;
}

/* The current env, if there was one, has left the CPU to next, or to nobody (NULL). */
static void __attribute__((noreturn, noinline))
run_next(struct Cpu *c, struct Env *next, uint64_t now)
{
    struct Env *e = NULL;

    while (next != e || !e) {
        if (!next) {
            next = idle(c);
            now = c->cpu_env_since;
        }
        e = next;
        if (wants_check(e))
            next = check_taken(c, e, now);
    }
    if (READ_ONCE(c->cpu_queue.head))
        slice_start(c, now);
    else
        slice_start_alone(c, now);
    run(c, next);
}

/* sched_yield comes here on an empty kernel stack (kern/trapentry.S). */
void sched_next(void)
{
    struct Cpu *c = this_cpu();
    struct Env *e = c->cpu_env, *next = NULL;
    uint64_t now = read_tsc();

    timers_check(c, now);
    if (e && could_go_on(e)) {
        next = (c->cpu_slice_over && ncpu > 1) || is_time_to_share(c, now) ? exchange_any(c, e, now)
                                                                           : exchange(c, e, now);
        if (!next)
            stay(c, e);
    } else if (e) {
        next = leave_waiting(c, e, now);
    } else {
        next = take_over(c, now);
    }
    run_next(c, next, now);
}

/* A short way: the current env runs, and has nothing to come to the scheduler for. Marks that it
 * gets now are seen to when it is taken from the queue. */
int64_t sys_yield(void)
{
    struct Cpu *c = this_cpu();
    struct Env *e = c->cpu_env, *next;
    uint64_t now;

    if (!READ_ONCE(c->cpu_queue.head))
        return 0;
    e->env_tf.tf_rax = 0;
    if (__builtin_expect(READ_ONCE(e->env_marks), 0))
        sched_yield();
    now = read_tsc();
    timers_check(c, now);
    next = is_time_to_share(c, now) ? exchange_any(c, e, now) : exchange(c, e, now);
    if (!next)
        return 0;
    if (wants_check(next))
        run_next(c, next, now);
    slice_start(c, now);
    run(c, next);
}
