/* Segment registers, descriptor queries, system tables. */
#include <string.h>

#include "tests/cpu/system_guest.h"

/* ---- MOV to a segment register: every check ---- */

struct load_case {
	const char *name;
	enum guest_mode mode;
	char seg; /* 'd': DS, 's': SS, 'f': FS */
	uint16_t selector;
	unsigned vector;
	uint32_t error;
};

static const struct load_case load_cases[] = {
	{"DS data", GUEST_PROTECTED0, 'd', SEL_DATA0, RETIRED, 0},
	{"DS null", GUEST_PROTECTED0, 'd', 3, RETIRED, 0},
	{"DS beyond the GDT", GUEST_PROTECTED0, 'd', SEL_END, VECTOR_GP, SEL_END},
	{"DS in no LDT", GUEST_PROTECTED0, 'd', 4, VECTOR_GP, 4},
	{"DS execute-only code", GUEST_PROTECTED0, 'd', SEL_EXECUTE_ONLY0, VECTOR_GP,
	 SEL_EXECUTE_ONLY0},
	{"DS readable code", GUEST_PROTECTED0, 'd', SEL_CODE0, RETIRED, 0},
	{"DS TSS", GUEST_PROTECTED0, 'd', SEL_TSS, VECTOR_GP, SEL_TSS},
	{"DS absent", GUEST_PROTECTED0, 'd', SEL_ABSENT_DATA0, VECTOR_NP, SEL_ABSENT_DATA0},
	{"DS RPL above DPL", GUEST_PROTECTED0, 'd', SEL_DATA0 | 3, VECTOR_GP, SEL_DATA0},
	{"DS DPL 0 at CPL 3", GUEST_PROTECTED3, 'd', SEL_DATA0, VECTOR_GP, SEL_DATA0},
	{"DS conforming code at CPL 3", GUEST_PROTECTED3, 'd', SEL_CONFORMING0 | 3, RETIRED, 0},
	{"SS data", GUEST_PROTECTED0, 's', SEL_DATA0, RETIRED, 0},
	{"SS null", GUEST_PROTECTED0, 's', 0, VECTOR_GP, 0},
	{"SS read-only", GUEST_PROTECTED0, 's', SEL_READ_ONLY0, VECTOR_GP, SEL_READ_ONLY0},
	{"SS code", GUEST_PROTECTED0, 's', SEL_CODE0, VECTOR_GP, SEL_CODE0},
	{"SS RPL not CPL", GUEST_PROTECTED0, 's', SEL_DATA0 | 1, VECTOR_GP, SEL_DATA0},
	{"SS DPL not CPL", GUEST_PROTECTED0, 's', SEL_DATA3, VECTOR_GP, SEL_DATA3},
	{"SS absent", GUEST_PROTECTED0, 's', SEL_ABSENT_DATA0, VECTOR_SS, SEL_ABSENT_DATA0},
	{"SS null in 64-bit mode, CPL 0", GUEST_LONG0, 's', 0, RETIRED, 0},
	{"SS null with RPL 3 in 64-bit mode, CPL 0", GUEST_LONG0, 's', 3, VECTOR_GP, 0},
	{"SS null in 64-bit mode, CPL 3", GUEST_LONG3, 's', 3, VECTOR_GP, 0},
	{"SS null in compatibility mode", GUEST_COMPAT0, 's', 0, VECTOR_GP, 0},
	{"FS null in 64-bit mode", GUEST_LONG3, 'f', 0, RETIRED, 0},
	{"DS in real mode", GUEST_REAL, 'd', 0x1234, RETIRED, 0},
	{"DS in virtual-8086 mode", GUEST_V8086, 'd', 0x1234, RETIRED, 0},
};

static void test_loads(void)
{
	for (unsigned i = 0; i < sizeof(load_cases) / sizeof(load_cases[0]); i++) {
		const struct load_case *c = &load_cases[i];
		const char *bytes = c->seg == 'd'   ? "\x8e\xd8"
				    : c->seg == 's' ? "\x8e\xd0"
						    : "\x8e\xe0";
		unsigned seg = c->seg == 'd' ? SEG_DS : c->seg == 's' ? SEG_SS : SEG_FS;
		struct guest guest;
		guest_create(&guest, c->mode);
		struct segment before = guest.cpu->seg[seg];
		guest.cpu->gpr[RAX] = c->selector;
		guest_expect(&guest, bytes, 2, c->vector, c->error, c->name);
		const struct segment *after = &guest.cpu->seg[seg];
		tap_ok(c->vector == RETIRED ? after->selector == c->selector
					    : !memcmp(&before, after, sizeof(before)),
		       "%s: register", c->name);
		guest_destroy(&guest);
	}
}

static void test_load_effects(void)
{
	struct guest guest;

	guest_create(&guest, GUEST_PROTECTED0);
	guest.cpu->gpr[RAX] = SEL_FRESH_DATA0;
	RUN(&guest, "\x8e\xd8");
	tap_ok(guest_load(&guest, GUEST_GDT + SEL_FRESH_DATA0 + 5, 1) == 0x93,
	       "a load sets the accessed bit in memory");
	tap_ok(guest.cpu->seg[SEG_DS].attr & SEG_ATTR_ACCESSED, "and in the register");
	guest.cpu->gpr[RAX] = 0;
	RUN(&guest, "\x8e\xd8");
	tap_ok(guest.cpu->seg[SEG_DS].attr & SEG_ATTR_NULL, "null marks DS unusable");
	EXPECT(&guest, "\x8b\x03", VECTOR_GP, 0, "reading through it: #GP(0)");
	guest.cpu->gpr[RAX] = SEL_DATA0;
	RUN(&guest, "\x8e\xd0");
	tap_ok(guest.cpu->shadow == SHADOW_SS && !cpu_can_take_nmi(guest.cpu),
	       "MOV SS holds interrupts off");
	EXPECT(&guest, "\x8e\xc8", VECTOR_UD, 0, "MOV CS: #UD");
	guest_destroy(&guest);

	guest_create(&guest, GUEST_REAL);
	guest.cpu->seg[SEG_DS].limit = UINT32_MAX;
	guest.cpu->gpr[RAX] = 0x1234;
	RUN(&guest, "\x8e\xd8");
	tap_ok(guest.cpu->seg[SEG_DS].base == 0x12340 && guest.cpu->seg[SEG_DS].limit == UINT32_MAX,
	       "real mode sets the base and keeps the limit");
	guest_destroy(&guest);

	guest_create(&guest, GUEST_LONG0);
	guest.cpu->seg[SEG_FS].base = 0x7f0012345678;
	guest.cpu->gpr[RAX] = 0;
	RUN(&guest, "\x8e\xe0");
	tap_ok(guest.cpu->seg[SEG_FS].base == 0, "null into FS clears its base");
	guest_destroy(&guest);
}

static void test_far_pointers(void)
{
	struct guest guest;

	guest_create(&guest, GUEST_PROTECTED0);
	guest.cpu->gpr[RBX] = GUEST_DATA;
	guest_store(&guest, GUEST_DATA, 0x12345678, 4);
	guest_store(&guest, GUEST_DATA + 4, SEL_DATA3, 2);
	EXPECT(&guest, "\x0f\xb4\x0b", RETIRED, 0, "LFS");
	tap_ok(guest.cpu->gpr[RCX] == 0x12345678 && guest.cpu->seg[SEG_FS].selector == SEL_DATA3,
	       "LFS loads both");
	guest_store(&guest, GUEST_DATA, 0x23456789, 4);
	guest_store(&guest, GUEST_DATA + 4, SEL_DATA16, 2);
	EXPECT(&guest, "\x0f\xb5\x13", RETIRED, 0, "LGS");
	tap_ok(guest.cpu->gpr[RDX] == 0x23456789 && guest.cpu->seg[SEG_GS].selector == SEL_DATA16 &&
		       guest.cpu->seg[SEG_GS].limit == 0xffff &&
		       guest.cpu->seg[SEG_FS].selector == SEL_DATA3,
	       "LGS loads both, and GS alone");
	guest_store(&guest, GUEST_DATA + 4, SEL_TSS, 2);
	EXPECT(&guest, "\x0f\xb5\x13", VECTOR_GP, SEL_TSS, "LGS of a system segment");
	tap_ok(guest.cpu->gpr[RDX] == 0x23456789 && guest.cpu->seg[SEG_GS].selector == SEL_DATA16,
	       "leaves both");
	guest_store(&guest, GUEST_DATA + 4, SEL_ABSENT_DATA0, 2);
	guest.cpu->gpr[RCX] = 1;
	EXPECT(&guest, "\xc5\x0b", VECTOR_NP, SEL_ABSENT_DATA0, "LDS of an absent segment");
	tap_ok(guest.cpu->gpr[RCX] == 1, "a faulting LDS leaves its register");
	guest_destroy(&guest);

	guest_create(&guest, GUEST_LONG0);
	guest.cpu->gpr[RBX] = GUEST_DATA;
	guest_store(&guest, GUEST_DATA, 0x123456789abc, 8);
	guest_store(&guest, GUEST_DATA + 8, SEL_DATA0, 2);
	EXPECT(&guest, "\x48\x0f\xb2\x0b", RETIRED, 0, "LSS with REX.W");
	tap_ok(guest.cpu->gpr[RCX] == 0x123456789abc, "a 64-bit offset");
	EXPECT(&guest, "\x48\x0f\xb5\x13", RETIRED, 0, "LGS with REX.W");
	tap_ok(guest.cpu->gpr[RDX] == 0x123456789abc &&
		       guest.cpu->seg[SEG_GS].selector == SEL_DATA0,
	       "a 64-bit offset");
	guest.cpu->seg[SEG_GS].base = 0x5000;
	guest_store(&guest, GUEST_DATA + 4, 0, 2);
	EXPECT(&guest, "\x0f\xb5\x13", RETIRED, 0, "LGS of a null selector");
	tap_ok(guest.cpu->gpr[RDX] == 0x56789abc && guest.cpu->seg[SEG_GS].base == 0,
	       "32 bits, zero-extended; the base is cleared");
	guest_destroy(&guest);
}

static void test_push_pop(void)
{
	struct guest guest;

	guest_create(&guest, GUEST_PROTECTED0);
	guest_store(&guest, GUEST_STACK - 4, UINT32_MAX, 4);
	EXPECT(&guest, "\x1e", RETIRED, 0, "PUSH DS");
	tap_ok(guest_load(&guest, GUEST_STACK - 4, 4) == SEL_DATA0, "four bytes, zero-extended");
	guest_store(&guest, GUEST_STACK - 4, SEL_DATA16, 4);
	EXPECT(&guest, "\x17", RETIRED, 0, "POP SS");
	tap_ok(guest.cpu->gpr[RSP] == GUEST_STACK &&
		       guest.cpu->seg[SEG_SS].selector == SEL_DATA16 &&
		       guest.cpu->shadow == SHADOW_SS,
	       "POP SS moves the pointer by the old width and casts a shadow");
	guest_destroy(&guest);

	guest_create(&guest, GUEST_PROTECTED0);
	guest_store(&guest, GUEST_STACK, SEL_TSS, 4);
	EXPECT(&guest, "\x1f", VECTOR_GP, SEL_TSS, "POP DS of a system segment");
	tap_ok(guest.cpu->gpr[RSP] == GUEST_STACK, "the pointer stays");
	guest_destroy(&guest);
}

/* ---- LAR, LSL, VERR, VERW, ARPL ---- */

struct query_case {
	const char *name;
	enum guest_mode mode;
	uint16_t selector;
	bool lar, lsl, verr, verw;
	uint32_t rights, limit;
};

static const struct query_case query_cases[] = {
	{"null", GUEST_PROTECTED0, 0, 0, 0, 0, 0, 0, 0},
	{"beyond", GUEST_PROTECTED0, SEL_END, 0, 0, 0, 0, 0, 0},
	{"data", GUEST_PROTECTED0, SEL_DATA0, 1, 1, 1, 1, 0xcf9300, UINT32_MAX},
	{"read-only data", GUEST_PROTECTED0, SEL_READ_ONLY0, 1, 1, 1, 0, 0xcf9100, UINT32_MAX},
	{"code", GUEST_PROTECTED0, SEL_CODE0, 1, 1, 1, 0, 0xcf9b00, UINT32_MAX},
	{"execute-only code", GUEST_PROTECTED0, SEL_EXECUTE_ONLY0, 1, 1, 0, 0, 0xcf9900,
	 UINT32_MAX},
	{"byte granularity", GUEST_PROTECTED0, SEL_DATA16, 1, 1, 1, 1, 0x009300, 0xffff},
	{"absent data", GUEST_PROTECTED0, SEL_ABSENT_DATA0, 1, 1, 1, 1, 0xcf1300, UINT32_MAX},
	{"privileged data at CPL 3", GUEST_PROTECTED3, SEL_DATA0, 0, 0, 0, 0, 0, 0},
	{"conforming code at CPL 3", GUEST_PROTECTED3, SEL_CONFORMING0, 1, 1, 1, 0, 0xcf9f00,
	 UINT32_MAX},
	{"RPL above DPL", GUEST_PROTECTED0, SEL_DATA0 | 3, 0, 0, 0, 0, 0, 0},
	{"TSS", GUEST_PROTECTED0, SEL_TSS, 1, 1, 0, 0, 0x008b00, 0xff},
	{"LDT", GUEST_PROTECTED0, SEL_LDT, 1, 1, 0, 0, 0x008200, 0x3f},
	{"call gate", GUEST_PROTECTED0, SEL_GATE, 1, 0, 0, 0, 0x008c00, 0},
	{"16-bit TSS", GUEST_PROTECTED0, SEL_TSS16, 1, 1, 0, 0, 0x008100, 0xff},
	{"16-bit TSS in long mode", GUEST_LONG0, SEL_TSS16, 0, 0, 0, 0, 0, 0},
	{"task gate in long mode", GUEST_LONG0, SEL_TASK_GATE, 0, 0, 0, 0, 0, 0},
	{"64-bit TSS", GUEST_LONG0, SEL_TSS, 1, 1, 0, 0, 0x008b00, 0xff},
};

static bool zf(struct guest *guest)
{
	return cpu_rflags(guest->cpu) & FLAG_ZF;
}

static void test_query(const struct query_case *c)
{
	struct guest guest;
	struct cpu *cpu;

	guest_create(&guest, c->mode);
	cpu = guest.cpu;
	guest_gate(&guest, GUEST_GDT + SEL_GATE, SEL_CODE0, 0, 0x8c, 0);
	guest_store(&guest, GUEST_GDT + SEL_TASK_GATE, UINT64_C(0x85) << 40, 8);
	cpu->gpr[RCX] = c->selector;
	cpu->gpr[RAX] = 0x55;
	RUN(&guest, "\x0f\x02\xc1");
	tap_ok(zf(&guest) == c->lar && cpu->gpr[RAX] == (c->lar ? c->rights : 0x55), "LAR %s",
	       c->name);
	cpu->gpr[RAX] = 0x55;
	RUN(&guest, "\x0f\x03\xc1");
	tap_ok(zf(&guest) == c->lsl && cpu->gpr[RAX] == (c->lsl ? c->limit : 0x55), "LSL %s",
	       c->name);
	RUN(&guest, "\x0f\x00\xe1");
	tap_ok(zf(&guest) == c->verr, "VERR %s", c->name);
	RUN(&guest, "\x0f\x00\xe9");
	tap_ok(zf(&guest) == c->verw, "VERW %s", c->name);
	guest_destroy(&guest);
}

static void test_queries(void)
{
	struct guest guest;

	for (unsigned i = 0; i < sizeof(query_cases) / sizeof(query_cases[0]); i++)
		test_query(&query_cases[i]);
	guest_create(&guest, GUEST_PROTECTED3);
	guest.cpu->gpr[RAX] = 0x10;
	guest.cpu->gpr[RCX] = 0x1b;
	RUN(&guest, "\x63\xc8");
	tap_ok(guest.cpu->gpr[RAX] == 0x13 && zf(&guest), "ARPL raises the RPL");
	RUN(&guest, "\x63\xc8");
	tap_ok(guest.cpu->gpr[RAX] == 0x13 && !zf(&guest), "ARPL leaves one that is not below");
	guest_destroy(&guest);
	guest_create(&guest, GUEST_REAL);
	EXPECT(&guest, "\x0f\x02\xc1", VECTOR_UD, 0, "LAR in real mode: #UD");
	guest_destroy(&guest);
}

/* ---- GDTR, IDTR, LDTR, TR ---- */

static void test_tables(void)
{
	struct guest guest;

	guest_create(&guest, GUEST_LONG0);
	guest.cpu->gpr[RBX] = GUEST_DATA;
	guest_store(&guest, GUEST_DATA, 0x1fff, 2);
	guest_store(&guest, GUEST_DATA + 2, 0xffff800000001000, 8);
	EXPECT(&guest, "\x0f\x01\x1b", RETIRED, 0, "LIDT");
	tap_ok(guest.cpu->idtr.base == 0xffff800000001000 && guest.cpu->idtr.limit == 0x1fff,
	       "ten bytes in 64-bit mode");
	EXPECT(&guest, "\x0f\x01\x4b\x20", RETIRED, 0, "SIDT");
	tap_ok(guest_load(&guest, GUEST_DATA + 0x22, 8) == 0xffff800000001000, "stores them again");
	guest_store(&guest, GUEST_DATA + 2, 0x800000000000, 8);
	EXPECT(&guest, "\x0f\x01\x13", VECTOR_GP, 0, "LGDT of a non-canonical base");
	guest.cpu->gpr[RAX] = SEL_LDT;
	EXPECT(&guest, "\x0f\x00\xd0", RETIRED, 0, "LLDT");
	tap_ok(guest.cpu->seg[SEG_LDTR].base == GUEST_LDT, "base from 16 bytes");
	EXPECT(&guest, "\x0f\x00\xc1", RETIRED, 0, "SLDT");
	tap_ok((uint16_t)guest.cpu->gpr[RCX] == SEL_LDT, "gives the selector");
	guest.cpu->gpr[RAX] = SEL_TSS2;
	EXPECT(&guest, "\x0f\x00\xd8", RETIRED, 0, "LTR");
	tap_ok(guest_load(&guest, GUEST_GDT + SEL_TSS2 + 5, 1) == 0x8b, "marks the TSS busy");
	EXPECT(&guest, "\x0f\x00\xd8", VECTOR_GP, SEL_TSS2, "LTR of a busy TSS");
	guest.cpu->gpr[RAX] = SEL_TSS16;
	EXPECT(&guest, "\x0f\x00\xd8", VECTOR_GP, SEL_TSS16, "LTR of a 16-bit TSS in long mode");
	guest.cpu->gpr[RAX] = 0;
	EXPECT(&guest, "\x0f\x00\xd8", VECTOR_GP, 0, "LTR null");
	EXPECT(&guest, "\x0f\x00\xd0", RETIRED, 0, "LLDT null");
	guest_destroy(&guest);

	guest_create(&guest, GUEST_PROTECTED0);
	guest.cpu->gpr[RBX] = GUEST_DATA;
	guest_store(&guest, GUEST_DATA, UINT64_C(0x12345678ffff), 8);
	EXPECT(&guest, "\x66\x0f\x01\x1b", RETIRED, 0, "LIDT with 16-bit operands");
	tap_ok(guest.cpu->idtr.base == 0x345678, "takes 24 bits of the base");
	guest_destroy(&guest);

	guest_create(&guest, GUEST_LONG3);
	guest.cpu->gpr[RBX] = GUEST_DATA;
	EXPECT(&guest, "\x0f\x01\x03", RETIRED, 0, "SGDT at CPL 3");
	guest.cpu->cr4 |= CR4_UMIP;
	EXPECT(&guest, "\x0f\x01\x03", VECTOR_GP, 0, "SGDT at CPL 3 with UMIP");
	EXPECT(&guest, "\x0f\x01\xe0", VECTOR_GP, 0, "SMSW with UMIP");
	EXPECT(&guest, "\x0f\x00\xc8", VECTOR_GP, 0, "STR with UMIP");
	EXPECT(&guest, "\x0f\x01\x13", VECTOR_GP, 0, "LGDT at CPL 3");
	guest_destroy(&guest);
}

struct base_case {
	const char *name;
	unsigned seg;
	uint8_t read, write; /* ModRM with RAX */
};

static const struct base_case base_cases[] = {
	{"FS", SEG_FS, 0xc0, 0xd0},
	{"GS", SEG_GS, 0xc8, 0xd8},
};

static struct outcome run_base(struct guest *guest, bool wide, uint8_t modrm)
{
	const uint8_t bytes[] = {0xf3, 0x48, 0x0f, 0xae, modrm};
	const uint8_t narrow[] = {0xf3, 0x0f, 0xae, modrm};

	return wide ? guest_run(guest, bytes, sizeof(bytes))
		    : guest_run(guest, narrow, sizeof(narrow));
}

static void test_base(const struct base_case *c, enum guest_mode mode)
{
	struct guest guest;

	guest_create(&guest, mode);
	struct cpu *cpu = guest.cpu;
	uint64_t *rax = &cpu->gpr[RAX], *base = &cpu->seg[c->seg].base;
	*rax = 0x11;
	*base = 0xffff888812345678;
	tap_ok(run_base(&guest, true, c->read).vector == VECTOR_UD &&
		       run_base(&guest, true, c->write).vector == VECTOR_UD && *rax == 0x11,
	       "%s: #UD without CR4.FSGSBASE", c->name);
	cpu->cr4 |= CR4_FSGSBASE;
	tap_ok(run_base(&guest, true, c->read).vector == RETIRED && *rax == 0xffff888812345678,
	       "RD%sBASE of 64 bits", c->name);
	tap_ok(run_base(&guest, false, c->read).vector == RETIRED && *rax == 0x12345678,
	       "RD%sBASE of 32 bits: zero-extended", c->name);
	*rax = 0x7ffffffff123;
	tap_ok(run_base(&guest, true, c->write).vector == RETIRED && *base == 0x7ffffffff123,
	       "WR%sBASE of 64 bits", c->name);
	*rax = 0x800000000000;
	struct outcome outcome = run_base(&guest, true, c->write);
	tap_ok(outcome.vector == VECTOR_GP && !outcome.error && *base == 0x7ffffffff123,
	       "WR%sBASE, non-canonical", c->name);
	*rax = 0xffff800087654321;
	tap_ok(run_base(&guest, false, c->write).vector == RETIRED && *base == 0x87654321,
	       "WR%sBASE of 32 bits: zero-extended", c->name);
	guest_destroy(&guest);
	guest_create(&guest, GUEST_COMPAT0);
	guest.cpu->cr4 |= CR4_FSGSBASE;
	tap_ok(run_base(&guest, false, c->read).vector == VECTOR_UD,
	       "%s: #UD in compatibility mode", c->name);
	guest_destroy(&guest);
}

static void test_bases(void)
{
	struct guest guest;

	for (unsigned i = 0; i < sizeof(base_cases) / sizeof(base_cases[0]); i++) {
		test_base(&base_cases[i], GUEST_LONG0);
		test_base(&base_cases[i], GUEST_LONG3);
	}
	guest_create(&guest, GUEST_LONG0);
	guest.cpu->seg[SEG_GS].base = 0xffff888812345678;
	guest.cpu->kernel_gs_base = 0x1000;
	EXPECT(&guest, "\x0f\x01\xf8", RETIRED, 0, "SWAPGS");
	tap_ok(guest.cpu->seg[SEG_GS].base == 0x1000 &&
		       guest.cpu->kernel_gs_base == 0xffff888812345678,
	       "exchanges the bases");
	guest_destroy(&guest);
	guest_create(&guest, GUEST_LONG3);
	EXPECT(&guest, "\x0f\x01\xf8", VECTOR_GP, 0, "SWAPGS at CPL 3");
	guest_destroy(&guest);
}

int main(void)
{
	test_loads();
	test_load_effects();
	test_far_pointers();
	test_push_pop();
	test_queries();
	test_tables();
	test_bases();
	return tap_done();
}
