#include "tools/engine.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tools/file_limit.h"
#include "tools/message.h"
#include "tools/text.h"
#include "vmm/jit/jit.h"

#ifdef REPRISE_KVM
#include "vmm/kvm/kvm.h"
#endif

const char *const engine_names[] = {"auto", "interp", "kvm", "jit", NULL};

/* An engine of this build. */
struct available {
	const char *name;
	const struct engine_ops *ops;
	const struct engine_ops *instead; /* when the host cannot; NULL: an error */
	bool needs_kvm;
};

static const struct available available[] = {
	{.name = "interp", .ops = &interp_engine_ops},
	{.name = "jit", .ops = &jit_engine_ops},
#ifdef REPRISE_KVM
	{.name = "auto",
	 .ops = &auto_engine_ops,
	 .instead = &jit_or_interp_engine_ops,
	 .needs_kvm = true},
	{.name = "kvm", .ops = &kvm_engine_ops, .needs_kvm = true},
#else
	{.name = "auto", .ops = &jit_or_interp_engine_ops},
#endif
};

#ifdef REPRISE_KVM
static bool host_has_kvm(struct kvm_vm_error *error)
{
	return kvm_engine_check(error) == 0;
}
#else
struct kvm_vm_error {
	const char *text;
};

static bool host_has_kvm(struct kvm_vm_error *error)
{
	error->text = "not in this build";
	return false;
}
#endif

static const struct available *find(const char *name)
{
	for (size_t i = 0; i < sizeof(available) / sizeof(available[0]); i++)
		if (!strcmp(available[i].name, name))
			return &available[i];
	return NULL;
}

/* What auto stands for may be said by the environment, for whole suites and scripts. */
static const char *resolve(unsigned name)
{
	const char *instead = getenv(ENGINE_VARIABLE);

	return name || !instead || !*instead ? engine_names[name] : instead;
}

/* The line that every command says when auto goes on with less. hint: NULL, or what is known
 * besides.
 */
static void tell_without_kvm(const char *why, const char *hint)
{
	message("engine kvm cannot start: %s%s%s%s; running without KVM", why, hint ? " (" : "",
		hint ? hint : "", hint ? ")" : "");
}

const struct engine_ops *engine_choose(const char *command, unsigned number, bool quiet)
{
	const char *name = resolve(number);
	const struct available *engine = find(name);
	struct kvm_vm_error error;

	if (!engine) {
		message("%s: --engine %s is not in this build; try auto", command, name);
		return NULL;
	}
	if (!engine->needs_kvm || host_has_kvm(&error))
		return engine->ops;
	if (!engine->instead)
		message("%s: --engine %s: %s", command, name, error.text);
	else if (!quiet)
		tell_without_kvm(error.text, NULL);
	return engine->instead;
}

void engine_print_instead(int instead, bool quiet)
{
	char limit[FILE_LIMIT_HINT_BYTES];

	if (instead && !quiet)
		tell_without_kvm(strerror(-instead), file_limit_hint(instead, limit));
}

void engine_print_uses(const struct engine_use *uses, unsigned n)
{
	char instructions[TEXT_NUMBER_BYTES], seconds[TEXT_NUMBER_BYTES],
		entries[TEXT_NUMBER_BYTES];

	for (unsigned i = 0; i < n; i++)
		message("engine %s: %s instructions%s%s, entered %s times%s", uses[i].name,
			text_count(instructions, uses[i].instructions), uses[i].ns ? " in " : "",
			uses[i].ns ? text_seconds(seconds, uses[i].ns) : "",
			text_count(entries, uses[i].entries),
			uses[i].unexpected ? ", with unexpected exits" : "");
}
