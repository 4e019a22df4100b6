/*
 * The packets that gdb sends, one table entry each (GDB manual, "Packets"). Threads are CPUs, with
 * numbers from 1 on.
 */
#include <inc/gdbpacket.h>
#include <inc/stdio.h>
#include <inc/string.h>
#include <kern/cpu.h>
#include <kern/dev/poweroff.h>
#include <kern/env.h>
#include <kern/flush.h>
#include <kern/gdb/break.h>
#include <kern/gdb/command.h>
#include <kern/gdb/cpu.h>
#include <kern/gdb/mem.h>
#include <kern/gdb/port.h>
#include <kern/gdb/regs.h>
#include <kern/monitor.h>
#include <kern/printf.h>

#define LINE_MAX  128
#define NO_THREAD (-1)

bool gdb_attached;

static uint32_t selected;           /* CPU of H g: registers and memory */
static struct GdbCpu *told;         /* CPU of the last stop */
static char line[LINE_MAX];         /* for the kernel monitor */
static volatile bool line_finished; /* by the CPU that runs it */

/* What to do after a packet. */
enum Next {
    TALK,
    RESUME,
};

/* ---- Stops and threads ---- */

static struct GdbCpu *selected_cpu(void)
{
    return &gdb_cpus[selected];
}

/* A thread id: its CPU, ALL_THREADS - 1 for 0 and -1, or -E for one that is not there. */
static bool thread(const char **p, int *cpu)
{
    if (**p == '-') {
        *p += (*p)[1] ? 2 : 1;
        *cpu = NO_THREAD;
        return true;
    }
    *cpu = (int)gdb_number(p) - 1;
    return *cpu == NO_THREAD || gdb_cpu_stands(*cpu);
}

static void put_stop(const struct GdbCpu *c)
{
    gdb_begin();
    gdb_printf("T%02x", c->signal ? c->signal : GDB_SIGTRAP);
    if (c->watch_kind)
        gdb_printf("%s:%lx;", c->watch_kind, c->watch);
    gdb_printf("thread:%x;", (unsigned)(c - gdb_cpus) + 1);
    gdb_end();
}

static enum Next why(const char *args, size_t n)
{
    (void)args, (void)n;
    put_stop(told);
    return TALK;
}

static enum Next select_thread(const char *args, size_t n)
{
    int cpu;

    (void)n;
    args++; /* g or c; the latter only matters to stubs without vCont */
    if (!thread(&args, &cpu)) {
        gdb_error(GDB_EINVAL);
        return TALK;
    }
    if (cpu != NO_THREAD)
        selected = cpu;
    gdb_reply("OK");
    return TALK;
}

static enum Next is_alive(const char *args, size_t n)
{
    int cpu;

    (void)n;
    if (thread(&args, &cpu) && cpu != NO_THREAD)
        gdb_reply("OK");
    else
        gdb_error(GDB_EINVAL);
    return TALK;
}

static void current_thread(const char *args)
{
    (void)args;
    gdb_begin();
    gdb_printf("QC%x", selected + 1);
    gdb_end();
}

static void first_threads(const char *args)
{
    char separator = 'm';

    (void)args;
    gdb_begin();
    for (uint32_t i = 0; i < NCPU; i++) {
        if (!gdb_cpu_stands(i))
            continue;
        gdb_printf("%c%x", separator, i + 1);
        separator = ',';
    }
    gdb_end();
}

static void more_threads(const char *args)
{
    (void)args;
    gdb_reply("l");
}

static void about_thread(const char *args)
{
    char text[80];
    int cpu;

    if (!thread(&args, &cpu) || cpu == NO_THREAD) {
        gdb_error(GDB_EINVAL);
        return;
    }
    const struct Env *e = cpus[cpu].cpu_env;
    if (e)
        snprintf(text, sizeof(text), "CPU %d: env %08x (%s)", cpu, e->env_id, e->env_name);
    else
        snprintf(text, sizeof(text), "CPU %d: no env", cpu);
    gdb_begin();
    gdb_put_hex(text, strlen(text));
    gdb_end();
}

/* ---- Registers and memory ---- */

static enum Next read_all(const char *args, size_t n)
{
    (void)args, (void)n;
    gdb_read_all(selected_cpu());
    return TALK;
}

static enum Next write_all(const char *args, size_t n)
{
    (void)n;
    gdb_write_all(selected_cpu(), args);
    return TALK;
}

static enum Next read_one(const char *args, size_t n)
{
    (void)n;
    gdb_read_one(selected_cpu(), args);
    return TALK;
}

static enum Next write_one(const char *args, size_t n)
{
    (void)n;
    gdb_write_one(selected_cpu(), args);
    return TALK;
}

static enum Next read_memory(const char *args, size_t n)
{
    uint8_t bytes[256];
    uint64_t va = gdb_number(&args);

    (void)n;
    args += *args == ',';
    size_t wanted = gdb_number(&args), part, done = 0;
    wanted = MIN(wanted, (size_t)GDB_PACKET_MAX / 2);
    if (wanted > 0 && gdb_mem_read(selected_cpu(), va, bytes, 1) == 0) {
        gdb_error(GDB_EFAULT);
        return TALK;
    }
    gdb_begin();
    do {
        part = gdb_mem_read(selected_cpu(), va + done, bytes, MIN(wanted - done, sizeof(bytes)));
        gdb_put_hex(bytes, part);
        done += part;
    } while (part > 0 && done < wanted);
    gdb_end();
    return TALK;
}

static void answer(int error)
{
    if (error < 0)
        gdb_reply_nothing();
    else if (error > 0)
        gdb_error(error);
    else
        gdb_reply("OK");
}

/* M ADDRESS,LENGTH:HEX; the bytes replace their own digits. */
static enum Next write_memory(const char *args, size_t n)
{
    uint64_t va = gdb_number(&args);

    (void)n;
    args += *args == ',';
    size_t len = gdb_number(&args);
    args += *args == ':';
    char *bytes = (char *)args;
    bool fits = len <= GDB_PACKET_MAX / 2 && gdb_parse_bytes(&args, bytes, len);
    answer(fits ? gdb_mem_write(selected_cpu(), va, bytes, len) : GDB_EINVAL);
    return TALK;
}

/* X ADDRESS,LENGTH:BYTES */
static enum Next write_binary(const char *args, size_t n)
{
    const char *start = args;
    uint64_t va = gdb_number(&args);

    args += *args == ',';
    size_t len = gdb_number(&args);
    args += *args == ':';
    bool fits = n - (size_t)(args - start) == len;
    answer(fits ? gdb_mem_write(selected_cpu(), va, args, len) : GDB_EINVAL);
    return TALK;
}

static enum Next change_break(const char *args, bool on)
{
    int type = (int)gdb_number(&args);
    args += *args == ',';
    uint64_t va = gdb_number(&args);
    args += *args == ',';
    answer(gdb_break_change(selected_cpu(), on, type, va, gdb_number(&args)));
    return TALK;
}

static enum Next set_break(const char *args, size_t n)
{
    (void)n;
    return change_break(args, true);
}

static enum Next clear_break(const char *args, size_t n)
{
    (void)n;
    return change_break(args, false);
}

/* ---- Going on ---- */

static void all_do(enum GdbAction action)
{
    for (int i = 0; i < NCPU; i++)
        gdb_cpus[i].action = action;
}

/* c and s, with or without an address; C and S have a signal, which means nothing here. */
static enum Next go(const char *args, enum GdbAction action)
{
    all_do(GDB_CONTINUE);
    selected_cpu()->action = action;
    if (*args)
        selected_cpu()->tf->tf_rip = gdb_number(&args);
    return RESUME;
}

static enum Next do_continue(const char *args, size_t n)
{
    (void)n;
    return go(args, GDB_CONTINUE);
}

static enum Next do_step(const char *args, size_t n)
{
    (void)n;
    return go(args, GDB_STEP);
}

static enum Next do_continue_signal(const char *args, size_t n)
{
    (void)args, (void)n;
    return go("", GDB_CONTINUE);
}

static enum Next do_step_signal(const char *args, size_t n)
{
    (void)args, (void)n;
    return go("", GDB_STEP);
}

/* vCont;ACTION[:THREAD]...: the first that fits a thread is its own. */
static enum Next v_continue(const char *args)
{
    bool given[NCPU] = { false };
    int cpu;

    if (*args != ';' || args[1] == '\0') {
        gdb_error(GDB_EINVAL);
        return TALK;
    }
    all_do(GDB_STAY);
    while (*args == ';' && args[1]) {
        enum GdbAction action = (args[1] | 0x20) == 's' ? GDB_STEP : GDB_CONTINUE;
        args += 2;
        while (*args && *args != ':' && *args != ';') /* a signal */
            args++;
        cpu = NO_THREAD;
        if (*args == ':') {
            args++;
            if (!thread(&args, &cpu)) {
                gdb_error(GDB_EINVAL);
                return TALK;
            }
        }
        for (int i = 0; i < NCPU; i++) {
            if (given[i] || (cpu != NO_THREAD && cpu != i))
                continue;
            given[i] = true;
            gdb_cpus[i].action = action;
        }
    }
    return RESUME;
}

static enum Next v_packet(const char *args, size_t n)
{
    (void)n;
    if (strcmp(args, "Cont?") == 0)
        gdb_reply("vCont;c;C;s;S");
    else if (strncmp(args, "Cont;", 5) == 0)
        return v_continue(args + 4);
    else if (strncmp(args, "Kill", 4) == 0) {
        gdb_reply("OK");
        platform_poweroff(0);
    } else
        gdb_reply_nothing();
    return TALK;
}

static enum Next detach(const char *args, size_t n)
{
    (void)args, (void)n;
    gdb_break_forget_all();
    gdb_attached = false;
    gdb_reply("OK");
    all_do(GDB_CONTINUE);
    return RESUME;
}

static enum Next kill(const char *args, size_t n)
{
    (void)args, (void)n;
    platform_poweroff(0);
}

/* ---- Queries ---- */

/* The first packet of a gdb; the breakpoints that one before it has left are not its own. */
static void supported(const char *args)
{
    (void)args;
    gdb_break_forget_all();
    gdb_begin();
    gdb_printf("PacketSize=%x;QStartNoAckMode+;qXfer:features:read+;vContSupported+",
               GDB_PACKET_MAX);
    gdb_end();
}

static void attached(const char *args)
{
    (void)args;
    gdb_reply("1");
}

static void symbol(const char *args)
{
    (void)args;
    gdb_reply("OK");
}

/* The monitor prints as always, only that gdb shows it. */
static void to_gdb(const char *s, size_t len)
{
    gdb_begin();
    gdb_printf("O");
    gdb_put_hex(s, len);
    gdb_end();
}

void gdb_monitor_line(struct GdbCpu *c)
{
    monitor_run(line, c->tf);
    line_finished = true;
}

/* The command runs on the CPU that is looked at, since a CPU alone can read its VMCS. */
static void remote_command(const char *args)
{
    size_t len = strlen(args) / 2;
    struct GdbCpu *c = selected_cpu();

    if (len >= LINE_MAX || !gdb_parse_bytes(&args, line, len)) {
        gdb_error(GDB_EINVAL);
        return;
    }
    line[len] = '\0';
    cprintf_to(to_gdb);
    if (c == &gdb_cpus[this_cpu()->cpu_num]) {
        gdb_monitor_line(c);
    } else {
        line_finished = false;
        c->command_due = true;
        while (!line_finished) {
            cpu_flush_poll();
            cpu_pause();
        }
    }
    cprintf_to(NULL);
    gdb_reply("OK");
}

static const struct {
    const char *name;
    void (*run)(const char *args);
} queries[] = {
    { "Supported", supported },
    { "Xfer:features:read:target.xml:", gdb_features },
    { "fThreadInfo", first_threads },
    { "sThreadInfo", more_threads },
    { "ThreadExtraInfo,", about_thread },
    { "Attached", attached },
    { "Symbol", symbol },
    { "Rcmd,", remote_command },
    { "C", current_thread },
};

static enum Next query(const char *args, size_t n)
{
    (void)n;
    for (size_t i = 0; i < ARRAY_SIZE(queries); i++) {
        size_t len = strlen(queries[i].name);
        if (strncmp(args, queries[i].name, len) != 0)
            continue;
        queries[i].run(args + len);
        return TALK;
    }
    gdb_reply_nothing();
    return TALK;
}

static enum Next set_query(const char *args, size_t n)
{
    (void)n;
    bool no_ack = strcmp(args, "StartNoAckMode") == 0;

    if (!no_ack) {
        gdb_reply_nothing();
        return TALK;
    }
    gdb_reply("OK");
    gdb_set_acks(false);
    return TALK;
}

/* ---- The dialogue ---- */

static enum Next (*const packets[128])(const char *args, size_t n) = {
    ['?'] = why,
    ['H'] = select_thread,
    ['T'] = is_alive,
    ['g'] = read_all,
    ['G'] = write_all,
    ['p'] = read_one,
    ['P'] = write_one,
    ['m'] = read_memory,
    ['M'] = write_memory,
    ['X'] = write_binary,
    ['Z'] = set_break,
    ['z'] = clear_break,
    ['c'] = do_continue,
    ['s'] = do_step,
    ['v'] = v_packet,
    ['q'] = query,
    ['Q'] = set_query,
    ['D'] = detach,
    ['k'] = kill,
    ['C'] = do_continue_signal,
    ['S'] = do_step_signal,
};

void gdb_talk(struct GdbCpu *c, bool tell)
{
    enum Next next = TALK;
    char *text;

    told = c;
    selected = c - gdb_cpus;
    if (tell && gdb_attached)
        put_stop(c);
    while (next == TALK) {
        size_t n = gdb_receive(&text);
        unsigned char kind = n > 0 ? text[0] : 0;
        gdb_attached = true;
        if (kind < ARRAY_SIZE(packets) && packets[kind])
            next = packets[kind](text + 1, n - 1);
        else
            gdb_reply_nothing();
    }
}
