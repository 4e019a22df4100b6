/*
 * `vmm -g`: gdb on a serial port debugs the guest. The guest starts stopped. While it is stopped,
 * the monitor waits for events as always, and packets are answered as they come; while it runs,
 * only Ctrl-C comes, or a gdb that connects anew, and both stop it. The guest's one CPU is
 * thread 1.
 */
#include <user/vmm/console.h>
#include <user/vmm/gdb/gdb.h>
#include <user/vmm/gdb/session.h>
#include <user/vmm/run.h>

#define SIGINT  2
#define SIGTRAP 5
#define SIGKILL 9

static struct {
    envid_t guest;
    const char *name;
    bool open;
    bool running;
    bool stepping;      /* the last resume was a step */
    bool expects_stop;  /* gdb waits to hear of the guest's next stop */
    bool asked_to_stop; /* GUEST_DEBUG_STOP is on its way */
    bool packet_waits;  /* a packet came while the guest ran */
    bool restarted;     /* the guest is not the first one here */
    struct GuestDebugRegs regs;
    char stop[160]; /* the last stop, as gdb wants to hear it */
} gdb;

/* The guest starts again: gdb's session goes on with the one that takes its place. */
static void adopt(envid_t guest)
{
    gdb.guest = guest;
    gdb.running = true;
    gdb.stepping = false;
    gdb.restarted = true;
    gdb.stop[0] = '\0';
    mem_setup(guest);
}

int gdb_open(envid_t guest, const char *name)
{
    if (gdb.open) {
        adopt(guest);
        return 0;
    }
    int r = sys_serial_open();
    if (r == -E_BUSY)
        complain("-g: the serial port COM3 is in use; one guest at a time can have a debugger");
    else if (r == -E_NOT_SUPP)
        complain("-g: this machine has no serial port COM3; `make bochs-nox-guestgdb` has one");
    else if (r < 0)
        complain("-g: serial port COM3: %e", r);
    if (r < 0)
        return r;
    gdb.guest = guest;
    gdb.name = name;
    gdb.open = true;
    gdb.running = true;
    port_setup();
    mem_setup(guest);
    return 0;
}

/* ---- Going on ---- */

static void let_go_on(enum GuestDebugOp op)
{
    if (op == GUEST_DEBUG_STEP)
        break_lift(gdb.regs.gpr.rip);
    gdb.running = true;
    gdb.stepping = op == GUEST_DEBUG_STEP;
    int64_t r = sys_guest_debug(gdb.guest, op, 0, NULL);
    if (r < 0)
        end_guest(1, "gdb cannot let it go on: %s", strerror(r));
}

static void go_on_for_gdb(enum GuestDebugOp op)
{
    gdb.expects_stop = true;
    let_go_on(op);
}

static void on_continue(const char *args, size_t n)
{
    (void)args;
    (void)n;
    go_on_for_gdb(GUEST_DEBUG_CONTINUE);
}

static void on_step(const char *args, size_t n)
{
    (void)args;
    (void)n;
    go_on_for_gdb(GUEST_DEBUG_STEP);
}

static void on_vcont_query(const char *args, size_t n)
{
    (void)args;
    (void)n;
    gdb_reply("vCont;c;C;s;S");
}

/* ;ACTION[:thread]...: there is one thread, so the first action is the one. */
static void on_vcont(const char *args, size_t n)
{
    char action = n > 1 ? args[1] : '\0';
    if (action == 'c' || action == 'C')
        go_on_for_gdb(GUEST_DEBUG_CONTINUE);
    else if (action == 's' || action == 'S')
        go_on_for_gdb(GUEST_DEBUG_STEP);
    else
        gdb_error(GDB_E_ARG);
}

static void on_detach(const char *args, size_t n)
{
    (void)args;
    (void)n;
    break_clear_all();
    gdb_reply("OK");
    gdb_set_acks(true);
    gdb.expects_stop = false;
    let_go_on(GUEST_DEBUG_DETACH);
}

static void on_kill(const char *args, size_t n)
{
    (void)args;
    (void)n;
    gdb.open = false;
    end_guest(1, "gdb has killed it");
}

static void on_vkill(const char *args, size_t n)
{
    gdb_reply("OK");
    on_kill(args, n);
}

/* ---- Registers and memory ---- */

static void on_read_regs(const char *args, size_t n)
{
    (void)args;
    (void)n;
    gdb_begin();
    for (unsigned i = 0; regs_put(&gdb.regs, i); i++)
        ;
    gdb_end();
}

static void on_read_reg(const char *args, size_t n)
{
    uint64_t number;
    (void)n;
    gdb_begin();
    if (gdb_parse_hex(&args, &number) && number <= UINT32_MAX && regs_put(&gdb.regs, number))
        gdb_end();
    else
        gdb_error(GDB_E_ARG);
}

/* Give the kernel changed registers; what it refuses is as before. */
static void store_regs(const struct GuestDebugRegs *r)
{
    struct GuestDebugRegs copy = *r;
    bool ok = sys_guest_debug(gdb.guest, GUEST_DEBUG_SET_REGS, 0, &copy) == 0;
    sys_guest_debug(gdb.guest, GUEST_DEBUG_GET_REGS, 0, &gdb.regs);
    if (ok)
        gdb_reply("OK");
    else
        gdb_error(GDB_E_ARG);
}

/* Those that cannot be changed keep their values. */
static void on_write_regs(const char *args, size_t n)
{
    struct GuestDebugRegs r = gdb.regs;
    const char *end = args + n;
    for (unsigned i = 0; args < end; i++) {
        const char *before = args;
        if (!regs_set(&r, i, &args) && args == before) {
            gdb_error(GDB_E_ARG);
            return;
        }
    }
    store_regs(&r);
}

static void on_write_reg(const char *args, size_t n)
{
    struct GuestDebugRegs r = gdb.regs;
    uint64_t number;
    (void)n;
    if (gdb_parse_hex(&args, &number) && *args++ == '=' && number <= UINT32_MAX &&
        regs_set(&r, number, &args))
        store_regs(&r);
    else
        gdb_error(GDB_E_ARG);
}

/* ADDR,LENGTH; *s is moved past it. */
static bool parse_range(const char **s, uint64_t *va, uint64_t *len)
{
    return gdb_parse_hex(s, va) && *(*s)++ == ',' && gdb_parse_hex(s, len);
}

static void on_read_mem(const char *args, size_t n)
{
    static uint8_t buf[GDB_PACKET_MAX / 2];
    uint64_t va, len;
    (void)n;
    if (!parse_range(&args, &va, &len)) {
        gdb_error(GDB_E_ARG);
        return;
    }
    size_t got = mem_read(va, buf, MIN(len, sizeof(buf)));
    if (got == 0 && len > 0) {
        gdb_error(GDB_E_FAULT);
        return;
    }
    gdb_begin();
    gdb_put_hex(buf, got);
    gdb_end();
}

static void write_mem(uint64_t va, const void *bytes, size_t len)
{
    if (mem_write(va, bytes, len) == len)
        gdb_reply("OK");
    else
        gdb_error(GDB_E_FAULT);
}

static void on_write_mem(const char *args, size_t n)
{
    static uint8_t buf[GDB_PACKET_MAX / 2];
    uint64_t va, len;
    (void)n;
    if (parse_range(&args, &va, &len) && *args++ == ':' && len <= sizeof(buf) &&
        gdb_parse_bytes(&args, buf, len))
        write_mem(va, buf, len);
    else
        gdb_error(GDB_E_ARG);
}

static void on_write_binary(const char *args, size_t n)
{
    const char *end = args + n;
    uint64_t va, len;
    if (parse_range(&args, &va, &len) && *args++ == ':' && len <= (size_t)(end - args))
        write_mem(va, args, len);
    else
        gdb_error(GDB_E_ARG);
}

/* KIND,ADDR,SIZE */
static void change_break(const char *args, bool set)
{
    uint64_t kind, va, size;
    if (!gdb_parse_hex(&args, &kind) || *args++ != ',' || !parse_range(&args, &va, &size) ||
        kind > UINT8_MAX || size > UINT8_MAX) {
        gdb_error(GDB_E_ARG);
        return;
    }
    int r = set ? break_set(&gdb.regs, kind, va, size) : break_clear(kind, va, size);
    if (r > 0)
        gdb_error(r);
    else if (r == 0)
        gdb_reply("OK");
    else
        gdb_reply_nothing();
}

static void on_set_break(const char *args, size_t n)
{
    (void)n;
    change_break(args, true);
}

static void on_clear_break(const char *args, size_t n)
{
    (void)n;
    change_break(args, false);
}

/* ---- Questions ---- */

static void on_why(const char *args, size_t n)
{
    (void)args;
    (void)n;
    gdb_reply("%s", gdb.stop);
}

/* The first packet of a gdb; what an earlier one has left is not its own. */
static void on_supported(const char *args, size_t n)
{
    (void)args;
    (void)n;
    break_clear_all();
    gdb_reply(
        "PacketSize=%x;qXfer:features:read+;QStartNoAckMode+;swbreak+;hwbreak+;vContSupported+",
        GDB_PACKET_MAX);
}

static void on_no_acks(const char *args, size_t n)
{
    (void)args;
    (void)n;
    gdb_reply("OK");
    gdb_set_acks(false);
}

/* target.xml:OFFSET,LENGTH */
static void on_features(const char *args, size_t n)
{
    static const char name[] = "target.xml:";
    uint64_t offset, len;
    size_t size;
    (void)n;
    bool known = strncmp(args, name, sizeof(name) - 1) == 0;
    args += known ? sizeof(name) - 1 : 0;
    const char *text = regs_description(&size);
    if (!known || !parse_range(&args, &offset, &len)) {
        gdb_reply("E00");
        return;
    }
    offset = MIN(offset, size);
    len = MIN(MIN(len, size - offset), (uint64_t)GDB_PACKET_MAX);
    gdb_begin();
    gdb_printf("%c", offset + len == size ? 'l' : 'm');
    gdb_put_binary(text + offset, len);
    gdb_end();
}

/* Answers that never change. */
static const struct {
    const char *packet, *answer;
} fixed[] = {
    { "qAttached", "1" },    { "qC", "QC1" },       { "qfThreadInfo", "m1" },
    { "qsThreadInfo", "l" }, { "qSymbol::", "OK" },
};

static const struct {
    const char *prefix;
    void (*run)(const char *args, size_t n); /* what follows the prefix, and its length */
} commands[] = {
    { "qSupported", on_supported },
    { "qXfer:features:read:", on_features },
    { "QStartNoAckMode", on_no_acks },
    { "vCont?", on_vcont_query },
    { "vCont", on_vcont },
    { "vKill", on_vkill },
    { "?", on_why },
    { "g", on_read_regs },
    { "G", on_write_regs },
    { "p", on_read_reg },
    { "P", on_write_reg },
    { "m", on_read_mem },
    { "M", on_write_mem },
    { "X", on_write_binary },
    { "Z", on_set_break },
    { "z", on_clear_break },
    { "c", on_continue },
    { "C", on_continue },
    { "s", on_step },
    { "S", on_step },
    { "D", on_detach },
    { "k", on_kill },
};

static void handle_packet(const char *packet, size_t len)
{
    for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
        if (strcmp(packet, fixed[i].packet) == 0) {
            gdb_reply("%s", fixed[i].answer);
            return;
        }
    if (packet[0] == 'H' || packet[0] == 'T') { /* choose a thread; is it alive? */
        gdb_reply("OK");
        return;
    }
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        size_t n = strlen(commands[i].prefix);
        if (len >= n && memcmp(packet, commands[i].prefix, n) == 0) {
            commands[i].run(packet + n, len - n);
            return;
        }
    }
    gdb_reply_nothing(); /* not known here */
}

/* ---- Events ---- */

static void ask_to_stop(void)
{
    if (!gdb.asked_to_stop)
        sys_guest_debug(gdb.guest, GUEST_DEBUG_STOP, 0, NULL);
    gdb.asked_to_stop = true;
}

static void handle_last_packet(void)
{
    size_t len;
    char *packet = gdb_packet(&len);
    handle_packet(packet, len);
}

void gdb_input(void)
{
    enum GdbInput in;
    while (gdb.open && !gdb.packet_waits && (in = port_next()) != GDB_NOTHING) {
        if (gdb.running)
            ask_to_stop();
        if (in == GDB_PACKET && gdb.running)
            gdb.packet_waits = true;
        else if (in == GDB_PACKET)
            handle_last_packet();
    }
}

static const char *const watch_words[] = {
    [WATCH_WRITE] = "watch", [WATCH_READ] = "rwatch", [WATCH_ACCESS] = "awatch"
};

/* The stop in gdb's words, with the registers that it wants at once; not before long mode, where
 * conf/gdbcmds numbers them in its own way. */
static void describe_stop(const struct GuestExit *x)
{
    int signal = x->code == DEBUG_ASKED && gdb.asked_to_stop ? SIGINT : SIGTRAP;
    char why[40] = "";
    uint64_t va;
    if (x->code == DEBUG_INT3)
        strlcpy(why, "swbreak:;", sizeof(why));
    for (unsigned n = 0; x->code == DEBUG_HW && n < 4; n++) {
        if (!(x->hits >> n & 1))
            continue;
        int kind = break_of_register(n, &va);
        if (kind == BREAK_HARD)
            strlcpy(why, "hwbreak:;", sizeof(why));
        else if (kind >= WATCH_WRITE)
            snprintf(why, sizeof(why), "%s:%lx;", watch_words[kind], va);
    }
    const struct GuestRegs *r = &gdb.regs.gpr;
    char registers[80] = "";
    if (gdb.regs.efer & EFER_LMA)
        snprintf(registers, sizeof(registers), "%x:%016lx;%x:%016lx;%x:%016lx;", REG_RBP,
                 __builtin_bswap64(r->rbp), REG_RSP, __builtin_bswap64(r->rsp), REG_RIP,
                 __builtin_bswap64(r->rip));
    snprintf(gdb.stop, sizeof(gdb.stop), "T%02x%sthread:1;%s", signal, why, registers);
}

void gdb_stopped(const struct GuestExit *x)
{
    bool first = gdb.stop[0] == '\0';
    gdb.running = false;
    break_replant();
    sys_guest_debug(gdb.guest, GUEST_DEBUG_GET_REGS, 0, &gdb.regs);
    if (x->code == DEBUG_INT3 && !break_is_ours(x->regs.rip)) { /* the guest's own */
        let_go_on(gdb.stepping ? GUEST_DEBUG_STEP : GUEST_DEBUG_PASS);
        return;
    }
    describe_stop(x);
    gdb.asked_to_stop = false;
    if (first && gdb.restarted && !gdb.expects_stop && !gdb.packet_waits) { /* it was detached */
        let_go_on(GUEST_DEBUG_DETACH);
        return;
    }
    if (first)
        say("vmm: %s waits at its entry for gdb on serial port COM3\n", gdb.name);
    if (gdb.expects_stop)
        gdb_reply("%s", gdb.stop);
    gdb.expects_stop = false;
    if (gdb.packet_waits) {
        gdb.packet_waits = false;
        handle_last_packet();
    }
    gdb_input();
}

void gdb_ended(int status, bool badly)
{
    if (gdb.open && gdb.expects_stop && badly)
        gdb_reply("X%02x", SIGKILL);
    else if (gdb.open && gdb.expects_stop)
        gdb_reply("W%02x", status & 0xff);
    gdb.open = false;
}
