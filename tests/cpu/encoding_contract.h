/* Which instruction sets CPUID offers: the table isa_sets.h. */
#ifndef REPRISE_TESTS_CPU_ENCODING_CONTRACT_H
#define REPRISE_TESTS_CPU_ENCODING_CONTRACT_H

#include <stdbool.h>
#include <stdint.h>

struct cpu;

/* isa_set: enum ZydisISASet. Every one of Zydis's has a row in isa_sets.h. */
bool isa_set_is_listed(unsigned isa_set);

/* Whether Zydis does not decode it unless it is told to. */
bool isa_set_is_hidden(unsigned isa_set);

/* Whether its CPUID bit is set, or none is needed. */
bool isa_set_is_offered(const struct cpu *cpu, unsigned isa_set);

#endif
