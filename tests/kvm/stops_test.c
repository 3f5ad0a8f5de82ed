/*
 * Stops at every instruction of a block, and at every round of repeated string instructions whose
 * bytes lie across two pages: interp's state at each count, with most of the way there run in the
 * VM. Since the budget is the count to stop at less a constant, it ends at each of them too.
 */
#include <string.h>

#include "tests/cpu/interp_guest.h"
#include "tests/tap.h"
#include "vmm/kvm/kvm.h"

#define WARM      700u
#define STOPS_MAX 32u

/* ---- a block ---- */

#define BLOCK_INSNS 14u

static const uint8_t block[] = {
	0x48, 0x01, 0xc8,       /* L: add rax, rcx */
	0x48, 0x89, 0x03,       /* mov [rbx], rax */
	0x48, 0x03, 0x53, 0x08, /* add rdx, [rbx + 8] */
	0x48, 0x83, 0xd6, 0x11, /* adc rsi, 17 */
	0x50,                   /* push rax */
	0x5f,                   /* pop rdi */
	0x48, 0xd1, 0xc7,       /* rol rdi, 1 */
	0x48, 0x89, 0x7b, 0x08, /* mov [rbx + 8], rdi */
	0x49, 0x01, 0xf3,       /* add r11, rsi */
	0x4d, 0x31, 0xd9,       /* xor r9, r11 */
	0x0f, 0x31,             /* rdtsc */
	0x66, 0x0f, 0xfe, 0xc1, /* paddd xmm0, xmm1 */
	0x48, 0xff, 0xc1,       /* inc rcx */
	0xeb, 0xd8,             /* jmp L */
};

static void start_block(struct rig *rig, const struct engine_ops *engine)
{
	rig_engine = engine;
	rig_create(rig, RIG_USER64);
	rig_load(rig, RIG_CODE, block, sizeof(block));
	memset(rig->cpu->fx.xmm[1], 0x35, sizeof(rig->cpu->fx.xmm[1]));
}

/* ---- strings ---- */

#define STRING_INSNS 32u /* with each round counted */

/* 12 quadwords from 44 bytes in front of a page's end on, the sixth of which lies in both pages. */
static const uint8_t string[] = {
	0x4d, 0x89, 0x6e, 0x28,       /* L: mov [r14 + 40], r13: the second page's entry */
	0x48, 0x89, 0xef,             /* mov rdi, rbp */
	0x48, 0x89, 0xde,             /* mov rsi, rbx */
	0xb9, 0x0c, 0x00, 0x00, 0x00, /* mov ecx, 12 */
	0xf3, 0x48, 0xa5,             /* rep movsq */
	0x48, 0x89, 0xef,             /* mov rdi, rbp */
	0xb9, 0x0c, 0x00, 0x00, 0x00, /* mov ecx, 12 */
	0x48, 0xff, 0xc0,             /* inc rax */
	0xf3, 0x48, 0xab,             /* rep stosq */
	0xeb, 0xde,                   /* jmp L */
};

/* The second page lies elsewhere than behind the first. */
static void start_string(struct rig *rig, const struct engine_ops *engine, uint64_t bits)
{
	rig_engine = engine;
	rig_create(rig, RIG_USER64);
	rig_load(rig, RIG_CODE, string, sizeof(string));
	for (uint64_t at = 0; at < RIG_DATA_BYTES; at += 8)
		rig_store64(rig, RIG_DATA + at, at * UINT64_C(0x1000100010001));
	rig->cpu->gpr[RBX] = RIG_DATA + 0x2000 - 20;
	rig->cpu->gpr[RBP] = RIG_ALIAS_DATA + 0x1000 - 44;
	rig->cpu->gpr[R13] = (RIG_DATA + 0x3000) | bits;
	rig->cpu->gpr[R14] = RIG_ALIAS_PT;
}

/* The page is there, accessed and dirty. */
static void start_mapped(struct rig *rig, const struct engine_ops *engine)
{
	start_string(rig, engine, 0x67);
}

/* It is neither: the VM faults in the middle of the string, each time. */
static void start_fresh(struct rig *rig, const struct engine_ops *engine)
{
	start_string(rig, engine, 0x07);
}

/* ---- comparing ---- */

/* Each is another number of rounds and one instruction behind the one before. */
#define STRIDE(n) (10 * (n) + 1)

/* Runs a loop of n instructions to as many stops, one behind each of them. Returns how many
 * instructions ran in KVM. */
static uint64_t run(void (*start)(struct rig *, const struct engine_ops *),
		    const struct engine_ops *engine, uint32_t n, uint64_t digests[])
{
	struct engine_use uses[ENGINE_MAX_USES] = {{0}};
	struct rig rig;

	start(&rig, engine);
	for (uint32_t i = 0; i < n; i++) {
		rig_run(&rig, WARM + i * STRIDE(n), false);
		digests[i] = rig_digest(&rig);
	}
	if (rig.engine->ops->uses)
		rig.engine->ops->uses(rig.engine, uses);
	rig_destroy(&rig);
	return uses[0].unexpected ? 0 : uses[0].instructions;
}

static void test_stops(void (*start)(struct rig *, const struct engine_ops *), uint32_t n,
		       uint32_t max_insns, const char *what)
{
	uint64_t of_kvm[STOPS_MAX], of_interp[STOPS_MAX], in_kvm;
	uint64_t all = WARM + (n - 1) * STRIDE(n);
	unsigned same = 0;

	kvm_small_options.max_insns = max_insns;
	in_kvm = run(start, &kvm_small_engine_ops, n, of_kvm);
	run(start, &interp_engine_ops, n, of_interp);
	for (uint32_t i = 0; i < n; i++)
		same += of_kvm[i] == of_interp[i];
	tap_ok(same == n, "%s, blocks of up to %u: interp's state at %u of %u stops", what,
	       max_insns, same, n);
	tap_ok(in_kvm * 2 > all, "%llu of %llu instructions in KVM", (unsigned long long)in_kvm,
	       (unsigned long long)all);
}

int main(void)
{
	static const uint32_t sizes[] = {16, 5};
	struct kvm_vm_error error;

	if (kvm_engine_check(&error)) {
		printf("1..0 # SKIP %s\n", error.text);
		return 0;
	}
	for (unsigned i = 0; i < 2; i++) {
		test_stops(start_block, BLOCK_INSNS, sizes[i], "a block");
		test_stops(start_mapped, STRING_INSNS, sizes[i], "strings across pages");
		test_stops(start_fresh, STRING_INSNS, sizes[i],
			   "strings that fault at the second page");
	}
	return tap_done();
}
