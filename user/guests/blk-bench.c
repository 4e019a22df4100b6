/*
 * blk-bench: what a disk by virtio-blk costs, seen from the driver, in TSC ticks. The sectors are
 * in the host's cache. A line `BENCH name MIN MEDIAN MAX` each: a read of 4 KiB alone, from the
 * moment the driver writes its descriptors until it is awake again and has looked at the answer;
 * and reads of 4 KiB, 32 at a time, for each KiB.
 */
#include "vblk.h"

const char guest_name[] = "blk-bench";

#define SAMPLES 200
#define BLOCK   4096u
#define PER     (BLOCK / SECTOR)

static struct Vblk disk;
static uint64_t samples[SAMPLES];
static uint8_t data[VBLK_DEPTH * BLOCK] __attribute__((aligned(PGSIZE)));

static void sort(void)
{
    for (unsigned i = 1; i < SAMPLES; i++)
        for (unsigned k = i; k > 0 && samples[k - 1] > samples[k]; k--) {
            uint64_t x = samples[k];
            samples[k] = samples[k - 1];
            samples[k - 1] = x;
        }
}

static void report(const char *name)
{
    sort();
    print("BENCH %s %lu %lu %lu\n", name, samples[0], samples[SAMPLES / 2], samples[SAMPLES - 1]);
}

/* Read the next n blocks, all at once. Returns ticks. */
static uint64_t read_blocks(unsigned n)
{
    static uint64_t sector;
    uint64_t start = read_tsc();
    uint32_t len;
    for (unsigned i = 0; i < n; i++, sector = (sector + PER) % (16 * VBLK_DEPTH * PER))
        vblk_put(&disk, i, T_IN, sector, data + i * BLOCK, BLOCK);
    vblk_wait(&disk, n);
    for (unsigned i = 0; i < n; i++)
        if (disk.status[vblk_next(&disk, &len) / 4] != S_OK)
            check(false, "a read failed");
    return read_tsc() - start;
}

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    if (!apic_enable() || !vblk_open(&disk, 0, F_FLUSH))
        return check_result();
    memset(data, 1, sizeof(data));
    for (unsigned i = 0; i < 16; i++) /* the host's cache, not its holes */
        vblk_do(&disk, T_OUT, i * VBLK_DEPTH * PER, data, sizeof(data));
    for (unsigned i = 0; i < SAMPLES; i++)
        samples[i] = read_blocks(1);
    report("virtio-blk-read-4k");
    for (unsigned i = 0; i < SAMPLES; i++)
        samples[i] = read_blocks(VBLK_DEPTH) / (VBLK_DEPTH * BLOCK / 1024);
    report("virtio-blk-kib");
    return check_result();
}
