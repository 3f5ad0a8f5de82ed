/*
 * W^X in the host's process: while an engine that makes code is there, and has made and run some,
 * no page of this process can be both written and executed; code that the process runs is written
 * through another mapping, and what runs in a VM is not executable here at all.
 */
#include <stdio.h>
#include <string.h>

#include "tests/cpu/interp_guest.h"
#include "tests/tap.h"
#include "vmm/jit/jit.h"
#include "vmm/kvm/kvm.h"

#define STEPS  6000
#define STRIDE 200 /* mappings are looked at in between */

/* Code at L is written, and so translated again, all the time. */
static const uint8_t program[] = {
	0xb9, 0x20, 0x00, 0x00, 0x00,             /* mov ecx, 32 */
	0x48, 0x01, 0x03,                         /* add [rbx], rax */
	0x05, 0x01, 0x00, 0x00, 0x00,             /* L: add eax, 1 */
	0xff, 0xc9,                               /* dec ecx */
	0x75, 0xf4,                               /* jnz back to the add */
	0x89, 0x04, 0x25, 0x09, 0x00, 0x02, 0x00, /* mov [L + 1], eax */
	0xeb, 0xe6,                               /* jmp program */
};

/* Mappings of the process, and of what translated code lies in. */
struct mappings {
	unsigned n, both;                        /* both: writable and executable */
	unsigned code_writable, code_executable; /* of the run-time area */
};

static void look(struct mappings *ret)
{
	FILE *file = fopen("/proc/self/maps", "r");
	char line[512], permissions[5];

	*ret = (struct mappings){0};
	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%*s %4s", permissions) != 1)
			continue;
		bool code = strstr(line, "memfd:reprise-runtime") != NULL;
		bool writable = permissions[1] == 'w', executable = permissions[2] == 'x';
		ret->n++;
		ret->code_writable += code && writable;
		ret->code_executable += code && executable;
		if (writable && executable) {
			ret->both++;
			tap_note("%.*s", (int)strcspn(line, "\n"), line);
		}
	}
	if (file)
		fclose(file);
}

static void test_engine(const char *name, const struct engine_ops *ops, enum rig_mode mode,
			bool runs_here)
{
	struct mappings mappings = {0};
	struct engine_use uses[ENGINE_MAX_USES];
	unsigned looks = 0, both = 0, apart = 0;
	struct rig rig;

	rig_engine = ops;
	rig_create(&rig, mode);
	rig_load(&rig, RIG_CODE, program, sizeof(program));
	for (; rig.machine->icount < STEPS; looks++) {
		rig_run(&rig, rig.machine->icount + STRIDE, false);
		look(&mappings);
		both += mappings.both;
		apart += mappings.code_writable && !mappings.code_executable == !runs_here;
	}
	rig.engine->ops->uses(rig.engine, uses);
	tap_ok(uses[0].instructions > STEPS / 10, "%s: %llu of %u instructions by translated code",
	       name, (unsigned long long)uses[0].instructions, STEPS);
	tap_ok(mappings.n && !both, "%s: no page is writable and executable", name);
	tap_ok(apart == looks,
	       runs_here ? "%s: code is written through one mapping, and run through another"
			 : "%s: code is written, and not executable in this process",
	       name);
	rig_destroy(&rig);
}

int main(void)
{
	struct kvm_vm_error error;

	test_engine("jit", &jit_engine_ops, RIG_KERNEL64, true);
	if (kvm_engine_check(&error))
		tap_note("kvm: %s", error.text);
	else
		test_engine("kvm", &kvm_small_engine_ops, RIG_USER64, false);
	return tap_done();
}
