/*
 * State of a vCPU that only some guests use.
 */
#include <vmm/debug/debug.h>
#include <vmm/debug/drs.h>
#include <vmm/extras.h>
#include <vmm/vcpu.h>
#include <vmm/xstate.h>

void vcpu_load_extras(struct Vcpu *v)
{
    if (vcpu_uses_drs(v))
        vcpu_load_drs(v);
    if (v->xsave)
        vcpu_load_xstate(v);
}

void vcpu_save_extras(struct Vcpu *v)
{
    if (vcpu_uses_drs(v))
        vcpu_save_drs(v);
    if (v->xsave)
        vcpu_save_xstate(v);
}
