/* The interpreter's named cases: code that changes, page crossings, breakpoints, shadows, windows.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/cpu/interp_guest.h"
#include "tests/tap.h"

#define RIG_SPARE_ENTRY (RIG_ALIAS_PT + 8 * 10)
#define HANDLER(vector) (RIG_HANDLERS + 32u * (vector))

static void start(struct rig *rig, enum rig_mode mode, const void *code, uint32_t n)
{
	rig_create(rig, mode);
	rig_load(rig, RIG_CODE, code, n);
}
#define START(rig, mode, literal) start((rig), (mode), (literal), sizeof(literal) - 1)

static void step(struct rig *rig, unsigned n)
{
	while (n--)
		rig_run(rig, rig->machine->icount + 1, false);
}

static void go(struct rig *rig, uint64_t rip, unsigned steps)
{
	rig->cpu->rip = rip;
	rig_run(rig, rig->machine->icount + steps, false);
}

static void test_invalid_changes(void)
{
	struct rig rig;

	START(&rig, RIG_KERNEL64, "\x0f\xff\xc0");
	go(&rig, RIG_CODE, 1);
	tap_ok(rig.cpu->rip == HANDLER(VECTOR_UD), "an invalid opcode raises #UD");
	rig_load(&rig, RIG_CODE + 1, "\x1f", 1); /* nop eax */
	go(&rig, RIG_CODE, 1);
	tap_ok(rig.cpu->rip == RIG_CODE + 3, "its second byte replaced, it does not");
	rig_load(&rig, RIG_CODE + 0xffe, "\x0f\x38\xff\xc1", 4);
	go(&rig, RIG_CODE + 0xffe, 1);
	tap_ok(rig.cpu->rip == HANDLER(VECTOR_UD), "one that crosses into the next page");
	rig_load(&rig, RIG_CODE + 0x1000, "\xf0", 1);    /* movbe eax, [rcx] is not offered; */
	rig_load(&rig, RIG_CODE + 0xfff, "\x1f\xc0", 2); /* nop eax */
	go(&rig, RIG_CODE + 0xffe, 1);
	tap_ok(rig.cpu->rip == RIG_CODE + 0x1001, "replaced too");
	rig_load(&rig, RIG_CODE + 0x1fff, "\x0f\x38\xff\xc1", 4);
	go(&rig, RIG_CODE + 0x1fff, 1);
	rig_load(&rig, RIG_CODE + 0x2001, "\x08", 1); /* psignb mm0, mm1 */
	go(&rig, RIG_CODE + 0x1fff, 1);
	tap_ok(rig.cpu->rip == RIG_CODE + 0x2003, "by its third byte, in the second page");
	rig_destroy(&rig);
}

static void test_code_by_dma(void)
{
	struct rig rig;

	START(&rig, RIG_KERNEL64, "\x90\x90\xb8\x01\0\0\0\x90");
	go(&rig, RIG_CODE, 4);
	rig_load(&rig, RIG_CODE + 3, "\x02", 1);
	go(&rig, RIG_CODE, 4);
	tap_ok(rig.cpu->gpr[RAX] == 2, "DMA into code");
	rig_load(&rig, RIG_CODE + 64, "\xff", 1);
	go(&rig, RIG_CODE, 4);
	tap_ok(rig.cpu->gpr[RAX] == 2, "data beside code");
	rig_destroy(&rig);
}

/* mov eax, imm32 whose last byte lies in the next page. */
static void test_crossing(uint64_t second_gpa, const char *name)
{
	struct rig rig;
	uint64_t at = RIG_ALIAS_SPARE + 0xffc;

	START(&rig, RIG_KERNEL64, "");
	rig_store64(&rig, RIG_SPARE_ENTRY, RIG_CODE | 7);
	rig_store64(&rig, RIG_SPARE_ENTRY + 8, second_gpa | 7);
	rig_load(&rig, RIG_CODE + 0xffc, "\xb8\x01\0\0", 4);
	rig_load(&rig, second_gpa, "\x11\x90", 2);
	go(&rig, at, 2);
	tap_ok(rig.cpu->gpr[RAX] == 0x11000001 && rig.cpu->rip == at + 6, "%s: runs", name);
	rig_load(&rig, second_gpa, "\x22", 1);
	go(&rig, at, 1);
	tap_ok(rig.cpu->gpr[RAX] == 0x22000001, "%s: the second page's byte changes", name);
	rig_load(&rig, RIG_CODE + 0xffd, "\x03", 1);
	go(&rig, at, 1);
	tap_ok(rig.cpu->gpr[RAX] == 0x22000003, "%s: the first page's", name);
	rig_load(&rig, RIG_DATA, "\x33", 1);
	rig_store64(&rig, RIG_SPARE_ENTRY + 8, RIG_DATA | 7);
	go(&rig, at, 1);
	tap_ok(rig.cpu->gpr[RAX] == 0x33000003, "%s: the second page is mapped elsewhere", name);
	rig_store64(&rig, RIG_SPARE_ENTRY + 8, RIG_DATA | 7 | UINT64_C(1) << 63);
	go(&rig, at, 1);
	tap_ok(rig.cpu->rip == HANDLER(VECTOR_PF) && rig.cpu->cr2 == at + 4,
	       "%s: the second page is not executable", name);
	rig_store64(&rig, RIG_SPARE_ENTRY + 8, second_gpa | 7);
	go(&rig, at, 1);
	tap_ok(rig.cpu->gpr[RAX] == 0x22000003 && (rig_fetch(&rig, RIG_SPARE_ENTRY + 8, 1) & 0x20),
	       "%s: mapped back; its A bit is set", name);
	rig_destroy(&rig);
}

static void test_not_canonical_fetch(void)
{
	struct rig rig;
	uint64_t at = UINT64_C(0x7ffffffffffc);

	START(&rig, RIG_KERNEL64, "");
	rig_store64(&rig, 0x1000 + 8 * 255, 0x2000 | 7);
	rig_store64(&rig, 0x2000 + 8 * 511, 0x3000 | 7);
	rig_store64(&rig, 0x3000 + 8 * 511, RIG_ALIAS_PT | 7);
	rig_store64(&rig, RIG_ALIAS_PT + 8 * 511, RIG_CODE | 7);
	rig_load(&rig, RIG_CODE + 0xffc, "\xb8\x01\0\0", 4);
	go(&rig, at, 1);
	tap_ok(rig.cpu->rip == HANDLER(VECTOR_GP),
	       "an instruction that runs out of the canonical half raises #GP");
	rig_load(&rig, RIG_CODE + 0xffc, "\x90\x90\x90\x90", 4);
	go(&rig, at, 5);
	tap_ok(rig.cpu->rip == HANDLER(VECTOR_GP), "and so does going on behind it");
	rig_destroy(&rig);
}

static void test_data_breakpoints(void)
{
	struct rig rig;

	START(&rig, RIG_KERNEL64, "\x8b\x04\x25\x00\x80\x20\x00"); /* mov eax, [ALIAS_DEVICE] */
	rig.cpu->dr[0] = RIG_ALIAS_DEVICE;
	rig.cpu->dr7 = 0xf0401;
	cpu_update_mode(rig.cpu);
	go(&rig, RIG_CODE, 1);
	tap_ok(rig.cpu->rip == RIG_CODE + 7 && rig.n_inputs == 1 && rig.cpu->pending_db == 1,
	       "a watched device register is read once, then the trap is due");
	step(&rig, 1);
	tap_ok(rig.cpu->rip == HANDLER(VECTOR_DB) && (rig.cpu->dr6 & 15) == 1, "and comes");
	rig_destroy(&rig);

	START(&rig, RIG_KERNEL64, "\xff\x34\x25\x00\x00\x03\x00"); /* push qword [DATA] */
	rig.cpu->dr[0] = RIG_DATA;
	rig.cpu->dr7 = 0xf0401;
	rig.cpu->gpr[RSP] = RIG_ALIAS_ABSENT + 8;
	cpu_update_mode(rig.cpu);
	go(&rig, RIG_CODE, 1);
	tap_ok(rig.cpu->rip == HANDLER(VECTOR_PF) && rig.cpu->pending_db == 0,
	       "an instruction that faults leaves no trap behind");
	rig_destroy(&rig);
}

static void test_code_breakpoint_on_rep(void)
{
	struct rig rig;

	START(&rig, RIG_KERNEL64, "\xf3\xa4\x90");
	rig.cpu->gpr[RCX] = 3;
	rig.cpu->gpr[RSI] = RIG_DATA;
	rig.cpu->gpr[RDI] = RIG_DATA + 64;
	rig.cpu->dr[0] = RIG_CODE;
	rig.cpu->dr7 = 0x401;
	cpu_update_mode(rig.cpu);
	step(&rig, 4); /* the fault and its handler */
	tap_ok(rig.cpu->rip == RIG_CODE && (cpu_rflags(rig.cpu) & FLAG_RF) &&
		       rig_fetch(&rig, RIG_COUNTERS + 4, 4) == 1,
	       "an instruction breakpoint comes before a repeat");
	step(&rig, 3);
	tap_ok(rig.cpu->rip == RIG_CODE + 2 && rig.cpu->gpr[RCX] == 0 &&
		       !(cpu_rflags(rig.cpu) & FLAG_RF),
	       "and not again between its iterations");
	rig_destroy(&rig);
}

static void test_shadow_and_window(void)
{
	struct rig rig;

	START(&rig, RIG_KERNEL64, "\xfb\x90\x90\x90");
	cpu_set_rflags(rig.cpu, FLAG_FIXED);
	enum engine_exit exit = rig_run_once(&rig, 100, true);
	tap_ok(exit == ENGINE_WINDOW && rig.machine->icount == 2 && rig.cpu->rip == RIG_CODE + 2,
	       "the window opens one instruction after STI");
	rig_destroy(&rig);

	START(&rig, RIG_KERNEL64, "\xfb\x0f\x0b");
	cpu_set_rflags(rig.cpu, FLAG_FIXED);
	rig_run(&rig, 2, false);
	tap_ok(rig.cpu->rip == HANDLER(VECTOR_UD) && rig.cpu->shadow == SHADOW_NONE,
	       "a fault ends the shadow of STI");
	rig_destroy(&rig);

	START(&rig, RIG_KERNEL64, "\x8e\xd0\xcc"); /* mov ss, eax; int3 */
	rig.cpu->gpr[RAX] = 0x10;
	cpu_set_rflags(rig.cpu, FLAG_FIXED | FLAG_TF);
	rig_run(&rig, 2, false);
	tap_ok(rig.cpu->rip == HANDLER(VECTOR_BP),
	       "no trap between MOV SS and the next instruction");
	rig_destroy(&rig);
}

static void test_syscall_trap(void)
{
	struct rig rig;

	START(&rig, RIG_KERNEL64, "\x0f\x05");
	rig.cpu->star = UINT64_C(8) << 32;
	rig.cpu->lstar = RIG_CODE + 0x100;
	rig.cpu->sfmask = FLAG_TF;
	cpu_set_rflags(rig.cpu, FLAG_FIXED | FLAG_TF);
	rig_run(&rig, 1, false);
	tap_ok(rig.cpu->rip == RIG_CODE + 0x100 && !rig.cpu->pending_db,
	       "SYSCALL that clears TF is not followed by a trap");
	rig.cpu->sfmask = 0;
	rig.cpu->rip = RIG_CODE;
	cpu_set_rflags(rig.cpu, FLAG_FIXED | FLAG_TF);
	rig_run(&rig, 2, false);
	tap_ok(rig.cpu->pending_db, "one that keeps it is");
	rig_destroy(&rig);
}

static void test_flat_segments(void)
{
	struct rig rig;

	START(&rig, RIG_USER32, "\x2e\x89\x03"); /* mov cs:[ebx], eax */
	rig_run(&rig, 1, false);
	tap_ok(rig.cpu->rip == HANDLER(VECTOR_GP), "code segments cannot be written");
	rig_destroy(&rig);

	START(&rig, RIG_USER32, "\x8b\x03\x89\x03");
	rig.cpu->seg[SEG_DS].attr |= SEG_ATTR_CODE;
	cpu_update_mode(rig.cpu);
	rig_run(&rig, 1, false);
	tap_ok(rig.cpu->rip == RIG_CODE + 2, "a readable one in DS can be read");
	rig_run(&rig, 2, false);
	tap_ok(rig.cpu->rip == HANDLER(VECTOR_GP), "but not written");
	rig_destroy(&rig);
}

/* More blocks than the cache has room for. */
static void test_cache_full(void)
{
	struct rig rig;
	uint32_t base = 0x100000, n = 0x10000;
	static uint8_t code[0x10000];
	bool good = true;

	START(&rig, RIG_KERNEL64, "");
	for (uint32_t i = 0; i < n; i++) /* add [rbx], al; from the odd bytes: add eax, [rax] */
		code[i] = i & 1 ? 0x03 : 0x00;
	rig_load(&rig, base, code, n);
	for (uint32_t i = 0; i + 200 < n; i++) {
		rig.cpu->gpr[RAX] = RIG_DATA;
		rig.cpu->gpr[RBX] = RIG_DATA;
		memory_write(rig.machine->memory, RIG_DATA, "\0\0\0", 4);
		go(&rig, base + i, i & 1 ? 1 : 64);
		good &= rig.cpu->rip == base + i + (i & 1 ? 2 : 128);
	}
	tap_ok(good, "many blocks");
	rig_load(&rig, base + 2, "\xf4", 1);
	go(&rig, base, 64);
	tap_ok(rig.cpu->rip == base + 3, "a change is still seen");
	rig_destroy(&rig);
}

/* REP with every budget gives the states of single iterations. */
static void test_rep_budgets(uint8_t opcode, uint64_t from, uint64_t to, bool down,
			     const char *name)
{
	struct rig a, b;
	const uint8_t code[] = {0xf3, 0x48, opcode, 0x90};
	enum { COUNT = 700 };
	static uint64_t digests[COUNT + 2];
	bool good = true;

	for (unsigned budget = 0; good && budget < 90; budget++) {
		struct rig *rig = budget ? &b : &a;
		rig_create(rig, RIG_KERNEL64);
		rig_load(rig, RIG_CODE, code, sizeof(code));
		for (unsigned i = 0; i < RIG_DATA_BYTES; i += 8)
			rig_store64(rig, RIG_DATA + i, i * UINT64_C(0x123456789));
		rig->cpu->gpr[RAX] = 0x1122334455667788;
		rig->cpu->gpr[RCX] = COUNT;
		rig->cpu->gpr[RSI] = from;
		rig->cpu->gpr[RDI] = to;
		cpu_set_rflags(rig->cpu, FLAG_FIXED | (down ? FLAG_DF : 0));
		for (uint64_t at = 0; good && at <= COUNT; at += budget ? budget * 8 - 7 : 1) {
			rig_run(rig, at, false);
			uint64_t digest = rig_digest(rig);
			if (!budget)
				digests[at] = digest;
			good = digest == digests[at];
		}
		rig_destroy(rig);
	}
	tap_ok(good, "repeats to every count: %s", name);
}

int main(void)
{
	test_invalid_changes();
	test_code_by_dma();
	test_crossing(RIG_CODE + 0x2000, "another frame");
	test_crossing(0, "frame 0");
	test_crossing(RIG_CODE, "the same frame twice");
	test_not_canonical_fetch();
	test_data_breakpoints();
	test_code_breakpoint_on_rep();
	test_shadow_and_window();
	test_syscall_trap();
	test_flat_segments();
	test_cache_full();
	test_rep_budgets(0xa4, RIG_DATA + 5, RIG_DATA + 0xf03, false, "movsb");
	test_rep_budgets(0xa5, RIG_DATA, RIG_DATA + 8, false, "movsq that feeds itself");
	test_rep_budgets(0xa5, RIG_DATA + 8, RIG_DATA + 3, false, "movsq over itself, downwards");
	test_rep_budgets(0xa5, RIG_DATA + 0x1800, RIG_ALIAS_DATA + 0x1803, false,
			 "movsq over itself through another mapping");
	test_rep_budgets(0xa5, RIG_DATA + 0x2000, RIG_DATA + 0x3f00, true, "movsq, DF set");
	test_rep_budgets(0xab, 0, RIG_DATA + 4, false, "stosq");
	test_rep_budgets(0xab, 0, RIG_ALIAS_DATA + 0x3000, false, "stosq into an absent page");
	return tap_done();
}
