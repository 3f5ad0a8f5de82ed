/*
 * A kernel in long mode and its user programs: two tasks in address spaces of their own, mapped by
 * page faults, switched by the timer. long_start.S enters long mode and saves what traps interrupt;
 * long.c is the kernel; long_user.c runs at CPL 3.
 */
#ifndef REPRISE_TESTS_ROUNDTRIP_GUESTS_LONG_H
#define REPRISE_TESTS_ROUNDTRIP_GUESTS_LONG_H

/* Selectors, in the order that SYSRET wants. */
#define KERNEL_DS   0x10
#define SYSRET_BASE 0x1b
#define USER_DS     0x23
#define USER_CS     0x2b
#define KERNEL_CS   0x30
#define TASK_STATE  0x40

#define N_VECTORS      48
#define VECTOR_TICK    0x20
#define VECTOR_SYSCALL 0x100 /* of what SYSCALL entered; left by SYSRET */

/* Linear addresses of users; what is not of the image or the shared page is zeros on demand. */
#define USER_IMAGE  0x40000000
#define USER_HEAP   0x50000000
#define USER_SHARED 0x60000000 /* read-only: the tick count */
#define USER_STACK  0x7ffff000 /* its end */

/* System calls: number in RAX, arguments in RDI and RSI, result in RAX. */
#define CALL_TEXT    0 /* text */
#define CALL_LINE    1 /* name, value */
#define CALL_YIELD   2
#define CALL_SLEEP   3 /* until the next tick, halted */
#define CALL_RECOVER 4 /* where the next fault that nothing mends goes on, with its name in RAX */
#define CALL_UNMAP   5 /* address */
#define CALL_PLAN    6 /* says that it is ready and returns what to do */
#define CALL_EXIT    7 /* result */

#ifndef __ASSEMBLER__
#include "guest.h"

/* What long_start.S saves, in the order of memory. */
struct registers {
	uint64_t rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15;
	uint64_t vector, error, rip, cs, rflags, rsp, ss;
};

/* Returns whose registers to go on with. */
struct registers *trap(struct registers *registers);

void user_main(uint64_t task);
#endif

#endif
