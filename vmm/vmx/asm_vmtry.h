#ifndef JOS_VMM_VMX_ASM_VMTRY_H
#define JOS_VMM_VMX_ASM_VMTRY_H

/* Enter the guest of the VMCS that is current and clear, once: asm_vmtry.S. HOST_RIP must be
 * asm_vmtry_exit. An enum VmxResult. */
int asm_vmtry(void);
extern char asm_vmtry_exit[];

#endif
