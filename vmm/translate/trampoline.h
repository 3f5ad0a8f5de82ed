/* How translated code is entered and left: emitted once, in front of the translations. */
#ifndef REPRISE_VMM_TRANSLATE_TRAMPOLINE_H
#define REPRISE_VMM_TRANSLATE_TRAMPOLINE_H

#include "vmm/translate/cache.h"

/* Emits both, and the second lookup, which branches share; sets cache->leave and second_lookup. The
 * enter trampoline lies at RUNTIME_CODE. */
void trampolines_emit(struct code_cache *cache, const struct translator_config *config);

#endif
