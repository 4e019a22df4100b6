#ifndef JOS_VMM_VMX_EXIT_MSR_H
#define JOS_VMM_VMX_EXIT_MSR_H

#include <vmm/vmx/vmx_vcpu.h>

/* Handlers: see run.h for how they end. */
bool handle_rdmsr(struct Vcpu *v);
bool handle_wrmsr(struct Vcpu *v);
/* Allow in the bitmap what guests reach without an exit (SDM "MSR-Bitmap Address"). */
void msr_bitmap_init(uint8_t *bitmap);
/* Not this one. */
void msr_bitmap_stop(uint8_t *bitmap, uint32_t msr);

#endif
