/*
 * The loader's course, from protected mode to the kernel. Relies on the boot sector having read
 * all of boot.img, the image's command line and header among it.
 */
#include <boot/loader.h>

static struct MultibootInfo info; /* the kernel reads it where it is */

void loader_main(void) __attribute__((noreturn));

/* Is the head of the image what conf/kernimg writes, with a kernel? */
static void check_image(void)
{
    if (memcmp(image_cmdline, CMDLINE_MAGIC, MAGIC_SIZE) != 0)
        fail("The disk image is damaged: sector %d does not hold the command line.",
             CMDLINE_SECTOR);
    image_cmdline[SECTOR_SIZE - 1] = '\0';
    if (memcmp(image_header.magic, HEADER_MAGIC, MAGIC_SIZE) != 0)
        fail("The disk image is damaged: sector %d does not hold the header.", HEADER_SECTOR);
    if (image_header.kernel_sector == 0 || image_header.kernel_bytes == 0)
        fail("The disk image holds no kernel.");
}

/* Multiboot "Boot information format". */
static void describe_machine(void)
{
    static const char name[] = "JOS loader";

    memory_describe(&info);
    info.flags |= MBI_CMDLINE | MBI_LOADER;
    info.cmdline = (uint32_t)(image_cmdline + MAGIC_SIZE);
    info.boot_loader_name = (uint32_t)name;
}

/* From boot/entry.S. */
void loader_main(void)
{
    uint32_t entry;

    console_init();
    check_image();
    say("Loading kernel");
    a20_enable();
    memory_detect();
    entry = kernel_load();
    describe_machine();
    say("\n");
    console_flush();
    kernel_start(entry, &info);
}
