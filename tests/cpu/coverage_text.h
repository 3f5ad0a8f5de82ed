/* The head of docs/instruction-coverage.md. */
#ifndef REPRISE_TESTS_CPU_COVERAGE_TEXT_H
#define REPRISE_TESTS_CPU_COVERAGE_TEXT_H

static const char coverage_text[] =
	"# Instruction coverage\n"
	"\n"
	"Every row of the instruction table (`vmm/cpu/rows_*.h`) with what compares it with the "
	"host's\n"
	"processor, or what else tests it. `tests/cpu/coverage_table` writes this page; the test "
	"`coverage`\n"
	"fails when the page does not match or when a row has neither all its encodings in an "
	"oracle nor an\n"
	"entry in `tests/cpu/coverage_elsewhere.h`.\n"
	"\n"
	"An encoding is opcode, mandatory prefix, ModRM.reg, register or memory, REX.W, in each of "
	"64-bit,\n"
	"32-bit and 16-bit code (x87, MMX and SSE: in 64-bit code). All other prefixes, operands, "
	"immediates,\n"
	"addressing forms and values are chosen at random, corner values often.\n"
	"\n"
	"- **integer oracle**: `tests/cpu/oracle`, templates by name; each alone and in sequences "
	"of up to 8.\n"
	"- **vector oracle**: `tests/cpu/vector_test`, every form.\n"
	"\n"
	"Both compare exec functions with hardware and, with `--engine`, an engine with the exec "
	"functions.\n"
	"All take a seed and a count:\n"
	"\n"
	"    build/tests/cpu/oracle --engine interp --cases 4000 --sequences 1700000 --seed 31003\n"
	"    build/tests/cpu/vector_test --engine interp --cases 2000 --seed 77\n";

#endif
