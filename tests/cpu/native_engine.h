/*
 * An engine for tests: translated code runs natively inside the test's process, so that the
 * translator is tested without a virtual machine. What the hardware MMU of the VM does is done by
 * mappings of guest RAM at a bias, made as translated code faults, by the rules of the machine (A
 * and D bits set, the page's flag byte 0 for writing). Everything else runs by interp.
 *
 * One at a time in a process. Guest addresses from 4 GiB on are run by interp.
 */
#ifndef REPRISE_TESTS_CPU_NATIVE_ENGINE_H
#define REPRISE_TESTS_CPU_NATIVE_ENGINE_H

#include "vmm/engine.h"
#include "vmm/translate/translator.h"

/* How engines are made from here on; zeros: as the product does. */
struct native_engine_options {
	uint32_t cache_bytes, max_insns;
	bool distrust_host, poll_often;
};
extern struct native_engine_options native_engine_options;

extern const struct engine_ops native_engine_ops;

/* The translator of an engine of these ops. */
struct translator *native_engine_translator(const struct engine *engine);

/* Says how much of what the engine's machine ran was translated; true when it is a fair part. */
bool native_engine_report(struct engine *engine, char *text, size_t n);

/* Whether the host can run it: FSGSBASE in user mode. */
bool native_engine_possible(void);

#endif
