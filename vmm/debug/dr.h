/*
 * Debug registers by name (SDM "Debug Registers"; APM 2 "Software-Debug Resources").
 */
#ifndef JOS_VMM_DEBUG_DR_H
#define JOS_VMM_DEBUG_DR_H

#define DR6_INIT         0xffff0ff0ul
#define DR6_BREAKPOINTS  0xful
#define DR6_BD           (1ul << 13)
#define DR6_BS           (1ul << 14)
#define DR6_BT           (1ul << 15)
#define DR6_CAUSES       (DR6_BREAKPOINTS | DR6_BD | DR6_BS | DR6_BT)
#define DR7_INIT         0x400ul
#define DR7_ZEROES       0xffffffff0000d800ul /* bits that are always 0 */
#define DR7_EXACT        0x300ul              /* LE and GE */
#define DR7_GD           (1ul << 13)
#define DR7_ENABLE(n)    (1ul << 2 * (n)) /* Ln */
#define DR7_RW_SHIFT(n)  (16 + 4 * (n))
#define DR7_LEN_SHIFT(n) (18 + 4 * (n))

#endif
