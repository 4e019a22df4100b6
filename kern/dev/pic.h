/*
 * The two cascaded 8259A interrupt controllers of a PC; hOS only.
 */
#ifndef JOS_KERN_DEV_PIC_H
#define JOS_KERN_DEV_PIC_H

#include <inc/types.h>

/* Deliver lines 0 to 15 at vectors IRQ_OFFSET on, all masked. */
void pic_init(void);
/* Unmask a line. */
void pic_enable(int irq);
/* The interrupt on this line is handled. */
void pic_eoi(int irq);
/* Is this interrupt on line 7 or 15 none at all? Then pic_eoi must not be called; what needs
 * acknowledging has been. */
bool pic_is_spurious(int irq);

#endif
