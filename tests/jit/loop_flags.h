/* What loop_programs.S says of its programs; it is assembled, too. */
#ifndef REPRISE_TESTS_JIT_LOOP_FLAGS_H
#define REPRISE_TESTS_JIT_LOOP_FLAGS_H

#define ANYWAY  0 /* whatever becomes of its loop */
#define LOOPS   1 /* it is one, and most of it runs as rounds */
#define NEVER   2 /* it is none */
#define CROSSES 4 /* it goes from a page into RIG_DATA's second, and lives with what that is */

#define RIG_ALIAS_PT_AT 0x5000 /* interp_guest.h's RIG_ALIAS_PT, which is C */

#endif
