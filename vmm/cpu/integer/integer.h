/*
 * Exec functions (vmm/cpu/exec.h) of the general-purpose integer instructions, one a mnemonic or a
 * family of mnemonics; rows_integer.h says which.
 */
#ifndef REPRISE_VMM_CPU_INTEGER_INTEGER_H
#define REPRISE_VMM_CPU_INTEGER_INTEGER_H

#include "vmm/cpu/exec.h"

/* alu.c */
exec_fn exec_add, exec_adc, exec_sub, exec_sbb, exec_cmp;
exec_fn exec_and, exec_or, exec_xor, exec_test, exec_not;
exec_fn exec_neg, exec_inc, exec_dec;

/* multiply.c */
exec_fn exec_mul, exec_imul, exec_div, exec_idiv;

/* shift.c */
exec_fn exec_shl, exec_shr, exec_sar, exec_rol, exec_ror, exec_rcl, exec_rcr;
exec_fn exec_shld, exec_shrd;

/* bits.c */
exec_fn exec_bt, exec_bts, exec_btr, exec_btc;
exec_fn exec_bsf, exec_bsr, exec_popcnt, exec_bswap, exec_crc32;

/* exchange.c */
exec_fn exec_xchg, exec_xadd, exec_cmpxchg, exec_cmpxchg8b, exec_cmpxchg16b;

/* move.c */
exec_fn exec_mov, exec_movzx, exec_movsx, exec_lea, exec_cbw, exec_cwd;
exec_fn exec_setcc, exec_cmovcc, exec_xlat, exec_nop;

/* status.c */
exec_fn exec_lahf, exec_sahf, exec_clc, exec_stc, exec_cmc, exec_cld, exec_std, exec_salc;

/* branch.c */
exec_fn exec_jcc, exec_jmp, exec_jrcxz, exec_loop, exec_loope, exec_loopne, exec_call, exec_ret;

/* frame.c */
exec_fn exec_push, exec_pop, exec_pusha, exec_popa, exec_enter, exec_leave, exec_bound;

/* decimal.c */
exec_fn exec_daa, exec_das, exec_aaa, exec_aas, exec_aam, exec_aad;

/* string.c */
exec_fn exec_movs, exec_cmps, exec_scas, exec_lods, exec_stos;

#endif
