/*
 * Reading what is not this env's: the whole address space at large strides, and the kernel's own
 * ranges page by page, by instructions and by pointers in system calls. The windows that all envs
 * may read are read-only, and have no register and no kernel address of another env.
 */
#include "hostile.h"

#define LOWER_STRIDE PGSIZE_1G
#define UPPER_STRIDE (8 * PGSIZE_1G)
#define IMAGE_SIZE   (8 * 1024 * 1024ul)
#define ENVS_SIZE    (NENV * 9216ul)
#define CANONICAL    (1ul << 47)

/* The address of the one instruction that may fault, and where it goes on then. */
extern const char probe_read_at[], probe_write_at[], probe_failed[];
bool probe_read(uintptr_t va);
bool probe_write(uintptr_t va);
asm(".text\n"
    "probe_read: xorl %eax, %eax\n"
    "probe_read_at: movb (%rdi), %al\n"
    "    movl $1, %eax\n"
    "    ret\n"
    "probe_write: movb $0, %al\n"
    "probe_write_at: lock orb %al, (%rdi)\n"
    "    movl $1, %eax\n"
    "    ret\n"
    "probe_failed: xorl %eax, %eax\n"
    "    ret\n");

static void skip_probe(struct UTrapframe *utf)
{
    CHECK(utf->utf_rip == (uintptr_t)probe_read_at || utf->utf_rip == (uintptr_t)probe_write_at,
          "page fault at %#lx, rip %#lx", utf->utf_fault_va, utf->utf_rip);
    utf->utf_rip = (uintptr_t)probe_failed;
}

/* Neither an instruction nor a system call reads or writes there. */
static void refused(uintptr_t va)
{
    uint64_t read[5] = { 0, va, 0, 0, 0 }, write[5] = { va, 0, 0, 0, 0 };

    count(&tally->probes, 1);
    CHECK(!probe_read(va), "%#lx can be read", va);
    CHECK(!probe_write(va), "%#lx can be written to", va);
    CHECK(attempt(SYS_env_set_name, read) == -E_FAULT, "a system call reads %#lx", va);
    CHECK(attempt(SYS_sysinfo, write) == -E_FAULT, "a system call writes to %#lx", va);
}

static void refused_range(uintptr_t va, size_t size, size_t stride)
{
    for (size_t off = 0; off < size; off += stride)
        refused(va + off);
}

/* What is mapped below UTOP is this env's own; nothing else is there. */
static void below_utop(void)
{
    for (uintptr_t va = 0; va < UTOP; va += LOWER_STRIDE) {
        count(&tally->probes, 1);
        CHECK(probe_read(va) == !!(uvpt_entry(va) & PTE_P), "%#lx can be read", va);
    }
}

/* No system call may use the windows above UTOP, and nobody writes there. */
static void window(uintptr_t va, size_t size)
{
    uint64_t read[5] = { 0, va, 0, 0, 0 };

    for (size_t off = 0; off < size; off += PGSIZE) {
        count(&tally->probes, 1);
        read[1] = va + off;
        CHECK(!probe_write(va + off), "%#lx can be written to", va + off);
        CHECK(attempt(SYS_env_set_name, read) == -E_FAULT, "a system call reads %#lx", va + off);
    }
}

/* Each slot of UENVS holds the public part, and zeroes behind it. */
static void table_of_envs(void)
{
    const size_t end = offsetof(struct Env, env_wait) + 2 * sizeof(uint32_t);

    for (int i = 0; i < NENV; i++) {
        const volatile uint64_t *slot = (const volatile uint64_t *)(UENVS + i * sizeof(struct Env));
        for (size_t w = 0; w < sizeof(struct Env) / sizeof(*slot); w++) {
            uint64_t word = slot[w];
            CHECK(w * sizeof(*slot) < end || word == 0, "word %lu of env %d at UENVS is %#lx", w, i,
                  word);
            CHECK(word < KERNBASE || (word >> 32) == (uint32_t)-1,
                  "kernel address %#lx of env %d at UENVS", word, i);
        }
    }
}

/* What a message says is for its receiver alone. */
void look_for_messages(void)
{
    const uint64_t secret = 0x5ec2e75ec2e7 + roll(1 << 20);
    struct IpcMessage m;
    envid_t me = sys_getenvid(), child = fork();

    test_now = "messages";
    if (child == 0) {
        CHECK_IS(sys_ipc_recv((void *)UTOP, me, &m), 0);
        sys_ipc_send(me, m.value == secret, (void *)UTOP, 0);
        sys_ipc_recv((void *)UTOP, 0, &m); /* the last message stays the secret */
    }
    ipc_send(child, secret, NULL, 0);
    CHECK_IS(ipc_recv(NULL, NULL, NULL), 1);
    for (const volatile uint64_t *w = (void *)UENVS;
         w < (uint64_t *)(UENVS + NENV * sizeof(struct Env)); w++) {
        count(&tally->probes, 1);
        CHECK(*w != secret, "the message stands at %p", (void *)w);
    }
    sys_env_destroy(child);
    wait(child);
}

void probe_memory(void)
{
    struct SysInfo info;

    test_now = "memory";
    sys_sysinfo(&info);
    set_pgfault_handler(skip_probe);
    CHECK(probe_read(UTEXT) && probe_read(UENVS) && probe_read(UPAGES), "nothing can be read");
    below_utop();
    window(UENVS, NENV * sizeof(struct Env));
    window(UPAGES, info.pages_total * sizeof(struct PageInfo));
    refused_range(UVPT + (1ul << 39), CANONICAL - UVPT - (1ul << 39), LOWER_STRIDE / rounds);
    refused_range(-CANONICAL, CANONICAL - UPPER_STRIDE, UPPER_STRIDE / rounds);
    refused_range(KERNBASE, info.pages_total * PGSIZE, 16 * PGSIZE);
    refused_range(KERNEL_VMA, IMAGE_SIZE, PGSIZE);
    refused_range(KERNEL_ENVS, ENVS_SIZE, PGSIZE);
    refused(LAPIC_VA);
    refused(KERNEL_MMIO);
    refused(~0ul);
    table_of_envs();
    set_pgfault_handler(NULL); /* whoever faults from here on ends by it */
}
