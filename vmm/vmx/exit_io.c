/*
 * Port I/O. Every port exits. Those of one table are answered here; all others belong to the
 * monitor, which answers with the value for IN.
 */
#include <vmm/ports.h>
#include <vmm/serial.h>
#include <vmm/stop.h>
#include <vmm/string_io.h>
#include <vmm/vmx/exit_io.h>
#include <vmm/vmx/exits.h>
#include <vmm/vmx/inject.h>
#include <vmm/vmx/run.h>
#include <vmm/kill.h>
#include <vmm/verdict.h>
#include <vmm/vmx/state.h>

/* VM-exit instruction information of INS and OUTS (SDM "Information for VM Exits Due to Instruction
 * Execution") */
#define INFO_ADDRESS_BYTES(info) (2u << (((info) >> 7) & 3))
#define INFO_SEGMENT(info)       (((info) >> 15) & 7) /* of OUTS; INS always uses ES */

static bool __attribute__((noinline)) handle_string(struct Vcpu *v, uint64_t qual)
{
    if (!vmx_caps.string_info) {
        guest_kill(v, "string I/O on port 0x%x at rip 0x%lx: this CPU does not report enough",
                   v->exit.io.port, vmread(VMCS_GUEST_RIP));
        return vmx_leave(v);
    }
    uint32_t info = vmread(VMCS_EXIT_INSTR_INFO);
    struct StringInsn insn = {
        .rep = qual & QUAL_IO_REP,
        .address_bytes = INFO_ADDRESS_BYTES(info),
        .segment = INFO_SEGMENT(info),
        .cpl = AR_DPL(vmread(VMCS_GUEST_SS_AR)),
        .wide = vmx_in_64bit(v),
    };
    struct PagingMode m;
    vmx_read_mode(&m);
    bool stop;
    enum Verdict verdict = string_io(v, &insn, &m, &stop);
    if (!stop)
        return vmx_end(v, verdict);
    if (verdict == DO_AGAIN)
        set_resume_flag();
    return guest_stop(v, GUEST_EV_IO);
}

bool handle_ioinstr(struct Vcpu *v)
{
    uint64_t qual = vmread_known(VMCS_EXIT_QUALIFICATION);
    struct Trapframe *tf = &v->env->env_tf;
    if (!(qual & QUAL_IO_STRING) && port_is_idle(QUAL_IO_PORT(qual))) {
        if (qual & QUAL_IO_IN)
            tf->tf_rax = port_ones(tf->tf_rax, QUAL_IO_SIZE(qual));
        return vmx_skip(v);
    }
    if (!(qual & QUAL_IO_STRING) &&
        serial_access(v, QUAL_IO_PORT(qual), QUAL_IO_SIZE(qual), qual & QUAL_IO_IN, &tf->tf_rax))
        return vmx_skip(v);
    v->exit.io = (struct GuestIo){
        .port = QUAL_IO_PORT(qual),
        .size = QUAL_IO_SIZE(qual),
        .in = !!(qual & QUAL_IO_IN),
    };
    if (qual & QUAL_IO_STRING)
        return handle_string(v, qual);
    return guest_stop(v, GUEST_EV_IO);
}
