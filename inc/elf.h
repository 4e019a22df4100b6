/*
 * The parts of the ELF format that loaders need ("Executable and Linking Format", gABI).
 */
#ifndef JOS_INC_ELF_H
#define JOS_INC_ELF_H

#include "types.h"

#define ELF_MAGIC      0x464C457FU /* "\x7FELF" in little endian */
#define ELF_CLASS_32   1
#define ELF_CLASS_64   2
#define ELF_DATA_LSB   1
#define ELF_TYPE_EXEC  2
#define ELF_MACH_386   3
#define ELF_MACH_AMD64 62
#define ELF_PT_LOAD    1
#define ELF_PT_NOTE    4
#define ELF_PF_X       1
#define ELF_PF_W       2
#define ELF_PF_R       4

struct Elf64 {
    uint32_t e_magic;
    uint8_t e_class, e_data, e_identver, e_pad[9];
    uint16_t e_type, e_machine;
    uint32_t e_version;
    uint64_t e_entry, e_phoff, e_shoff;
    uint32_t e_flags;
    uint16_t e_ehsize, e_phentsize, e_phnum, e_shentsize, e_shnum, e_shstrndx;
};
_Static_assert(sizeof(struct Elf64) == 64, "ELF64 header");

struct Proghdr64 {
    uint32_t p_type, p_flags;
    uint64_t p_offset, p_vaddr, p_paddr, p_filesz, p_memsz, p_align;
};
_Static_assert(sizeof(struct Proghdr64) == 56, "ELF64 program header");

struct Elf32 {
    uint32_t e_magic;
    uint8_t e_class, e_data, e_identver, e_pad[9];
    uint16_t e_type, e_machine;
    uint32_t e_version;
    uint32_t e_entry, e_phoff, e_shoff;
    uint32_t e_flags;
    uint16_t e_ehsize, e_phentsize, e_phnum, e_shentsize, e_shnum, e_shstrndx;
};
_Static_assert(sizeof(struct Elf32) == 52, "ELF32 header");

struct Proghdr32 {
    uint32_t p_type, p_offset, p_vaddr, p_paddr, p_filesz, p_memsz, p_flags, p_align;
};
_Static_assert(sizeof(struct Proghdr32) == 32, "ELF32 program header");

/* A note: name and contents follow, each filled up to a multiple of 4 bytes. */
struct ElfNote {
    uint32_t n_namesz, n_descsz, n_type;
};

#endif
