/*
 * Marked accesses: one load or one store, which the compiler neither repeats nor leaves out. For
 * memory that somebody else may change meanwhile: what another CPU writes without a common lock
 * (each use says why that is right), and pages that another env can write to.
 */
#ifndef JOS_INC_ONCE_H
#define JOS_INC_ONCE_H

#define READ_ONCE(x)     (*(const volatile typeof(x) *)&(x))
#define WRITE_ONCE(x, v) ((void)(*(volatile typeof(x) *)&(x) = (v)))

#endif
