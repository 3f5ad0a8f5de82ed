/*
 * The bench's guest work: each piece does a stated number of turns of one thing and computes a
 * result that depends on every turn. The same static program runs natively and in every guest, so a
 * result that differs between them tells of wrong execution, not of another compiler.
 */
#ifndef REPRISE_BENCH_WORK_H
#define REPRISE_BENCH_WORK_H

#include <stdint.h>

/*
 * Each runs n turns, writes its result to *ret_result and returns 0, or a negative errno when the
 * system refuses what it needs. What a turn is stands at the function.
 */
typedef int work_run(uint64_t n, uint64_t *ret_result);

work_run work_integer_memory;
work_run work_integer_order;
work_run work_integer_vector;
work_run work_integer_registers;
work_run work_matrix;
work_run work_bodies;
work_run work_getppid;
work_run work_clock;
work_run work_pipe;
work_run work_faults;
work_run work_mutex;
work_run work_exec;
work_run work_text;

#endif
