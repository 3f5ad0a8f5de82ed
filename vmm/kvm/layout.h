/*
 * What lies where inside the VM: shared by C and by the code that runs in the VM (stub.S).
 *
 * Guest user addresses, 0 to 2^47, appear biased by -2^46: from -2^46 to 2^46. All others fall on
 * what is non-canonical or never mapped. What is ours lies below 2 GiB, so that absolute 32-bit
 * displacements reach it, in the 512 GiB that belong to the guest's addresses from 2^46 on; spaces
 * that use those are left to interp:
 *
 *   RUNTIME_BASE           translated code and its context (vmm/translate/runtime.h); the window in
 *                          it shows another part of the area in each address space
 *   KVM_TABLES_LINEAR      the pool of page-table pages                       CPL 0
 *   KVM_USER_CODE          leave, resume                                      CPL 3, executable
 *   KVM_USER_DATA          what they write                                    CPL 3
 *   KVM_USER_INPUT         what they read, written by the host alone          CPL 3, read-only
 *   KVM_STUB .. KVM_STACK  exception stub, IDT, GDT, TSS, requests, stack     CPL 0
 *
 * An access of the guest to an address of ours reaches what CPL 3 does. So code at CPL 3 can store
 * where nothing else is possible, into the first page of the context and into KVM_USER_DATA, and
 * what it is told to do next lies in neither.
 *
 * Physical addresses: the same pages from 0 on, the tables' pool, the run-time area, and from
 * KVM_GUEST_PHYSICAL the guest's pages of RAM and ROM by their number.
 */
#ifndef REPRISE_VMM_KVM_LAYOUT_H
#define REPRISE_VMM_KVM_LAYOUT_H

#define KVM_TABLES_LINEAR 0x6c000000

#define KVM_SYSTEM_LINEAR 0x70000000
#define KVM_USER_CODE     0x70000000
#define KVM_USER_DATA     0x70001000
#define KVM_USER_INPUT    0x70006000
#define KVM_STUB          0x70002000 /* KVM_STUB_BYTES an exception vector */
#define KVM_IDT           0x70003000
#define KVM_GDT           0x70004000
#define KVM_TSS           0x70004800
#define KVM_REQUEST       0x70005000 /* instructions written for one service call */
#define KVM_STACK         0x70007000
#define KVM_STACK_TOP     0x70007ff0

/* In KVM_USER_DATA. */
#define KVM_USER_FX 0x70001000 /* FXSAVE image, moved at each leave and resume */

/* In KVM_USER_INPUT. */
#define KVM_USER_ENTER   0x70006000 /* where resume jumps to */
#define KVM_USER_SERVICE 0x70006008 /* not 0: resume calls the service first, by INT3 */
#define KVM_USER_PROBE   0x70006010 /* where probe reads, and how many pages */

/* Ports written from inside: the vector of an exception, or */
#define KVM_PORT_LEAVE 0x40

#define KVM_N_EXCEPTIONS   32
#define KVM_VECTOR_SERVICE 3  /* INT3: works at CPL 3 on every KVM, and is never translated */
#define KVM_STUB_BYTES     16 /* per vector */

#define KVM_SELECTOR_CODE0 0x08
#define KVM_SELECTOR_DATA0 0x10
#define KVM_SELECTOR_DATA3 0x1b
#define KVM_SELECTOR_CODE3 0x23
#define KVM_SELECTOR_TSS   0x28

#ifndef __ASSEMBLER__
#include <stdint.h>

#define KVM_GUEST_BIAS   (-(UINT64_C(1) << 46)) /* VM linear = guest linear + bias */
#define KVM_USER_LIMIT   (UINT64_C(1) << 47)    /* guest user addresses lie below */
#define KVM_SYSTEM_BYTES UINT64_C(0x8000)

/* Of the code cache: more is not mapped. The books about it take one and a half times that. */
#define KVM_CODE_BYTES 0x1000000u

#define KVM_SYSTEM_PHYSICAL  UINT64_C(0) /* with the static page tables after it */
#define KVM_TABLES_PHYSICAL  UINT64_C(0x04000000)
#define KVM_RUNTIME_PHYSICAL UINT64_C(0x10000000)
#define KVM_GUEST_PHYSICAL   UINT64_C(0x100000000)

/* The guest addresses that would share entry 0 of a root with what is ours. */
#define KVM_TAKEN_FIRST (UINT64_C(1) << 46)
#define KVM_TAKEN_BYTES (UINT64_C(1) << 39)

/* Where KVM on Intel processors keeps pages of its own for code without paging; unused here. */
#define KVM_OWN_PHYSICAL UINT64_C(0xfffbc000)
#endif

#endif
