/*
 * Message-signaled interrupts: a device writes data to an address that names a local APIC (SDM
 * "Message Address Register Format", "Message Data Register Format").
 */
#ifndef JOS_INC_MSI_H
#define JOS_INC_MSI_H

#define MSI_ADDRESS     0xfee00000ul /* and its low 20 bits: */
#define MSI_ADDRESS_LOW 0xffffful
#define MSI_DEST_SHIFT  12
#define MSI_DEST_MASK   0xff     /* as a physical destination: all CPUs */
#define MSI_LOGICAL     (1 << 2) /* destination mode */

/* Data */
#define MSI_VECTOR 0xffu
#define MSI_MODE   0x700u /* delivery mode */
#define MSI_FIXED  0x000u
#define MSI_LOWEST 0x100u /* lowest priority */
#define MSI_NMI    0x400u
#define MSI_ASSERT (1u << 14) /* of a level */
#define MSI_LEVEL  (1u << 15) /* level-triggered; else an edge */

#endif
