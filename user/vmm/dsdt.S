/*
 * The compiled dsdt.asl, for acpi.c.
 */
    .section .rodata
    .globl dsdt, dsdt_end
    .balign 16
dsdt:
    .incbin "dsdt.aml"
dsdt_end:

    .section .note.GNU-stack, "", @progbits
