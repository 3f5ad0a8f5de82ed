#include "gdbstub/registers.h"

#include <string.h>

/* How a register's value is found. */
enum source {
	FROM_GPR,     /* index: enum gpr_index */
	FROM_FIELD,   /* index: offset in struct cpu */
	FROM_SEGMENT, /* index: enum seg_index; its selector */
	FROM_RFLAGS,
	FROM_ST,  /* index: of the stack */
	FROM_XMM, /* index */
	FROM_X87, /* index: enum x87_register */
	FROM_ORIG_RAX,
};

enum x87_register { X87_CONTROL, X87_STATUS, X87_TAG, X87_OTHER };

enum feature {
	FEATURE_CORE,
	FEATURE_SSE,
	FEATURE_SEGMENTS,
	FEATURE_LINUX,
	FEATURE_SYSTEM,
	FEATURE_COUNT
};

static const char *const feature_name[FEATURE_COUNT] = {
	[FEATURE_CORE] = "org.gnu.gdb.i386.core",
	[FEATURE_SSE] = "org.gnu.gdb.i386.sse",
	[FEATURE_SEGMENTS] = "org.gnu.gdb.i386.segments",
	[FEATURE_LINUX] = "org.gnu.gdb.i386.linux",
	[FEATURE_SYSTEM] = "org.reprise.system",
};

struct set {
	bool has[FEATURE_COUNT];
};

/* A kernel is for gdb a program of Linux too. */
static const struct set sets[] = {
	[REGISTERS_MACHINE] = {.has = {true, true, true, true, true}},
	[REGISTERS_PROCESS] = {.has = {[FEATURE_CORE] = true,
				       [FEATURE_SSE] = true,
				       [FEATURE_SEGMENTS] = true,
				       [FEATURE_LINUX] = true}},
};

struct row {
	const char *name;
	const char *type;
	const char *group; /* NULL: general */
	uint16_t index;
	uint8_t bytes;
	uint8_t source, feature;
};

#define GPR(n, i, t)                                                                               \
	{                                                                                          \
		.name = n, .type = t, .bytes = 8, .source = FROM_GPR, .index = i                   \
	}
#define SELECTOR(n, i)                                                                             \
	{                                                                                          \
		.name = n, .type = "int32", .bytes = 4, .source = FROM_SEGMENT, .index = i         \
	}
#define ST(i)                                                                                      \
	{                                                                                          \
		.name = "st" #i, .type = "i387_ext", .bytes = 10, .source = FROM_ST, .index = i    \
	}
#define X87(n, i)                                                                                  \
	{                                                                                          \
		.name = n, .type = "int", .group = "float", .bytes = 4, .source = FROM_X87,        \
		.index = i                                                                         \
	}
#define XMM(i)                                                                                     \
	{                                                                                          \
		.name = "xmm" #i, .type = "vec128", .bytes = 16, .source = FROM_XMM,               \
		.feature = FEATURE_SSE, .index = i                                                 \
	}
#define FIELD(n, f, t, s)                                                                          \
	{                                                                                          \
		.name = n, .type = t, .bytes = 8, .source = FROM_FIELD, .feature = s,              \
		.index = offsetof(struct cpu, f)                                                   \
	}
#define SYSTEM(n, f)                                                                               \
	{                                                                                          \
		.name = n, .type = "int64", .group = "system", .bytes = 8, .source = FROM_FIELD,   \
		.feature = FEATURE_SYSTEM, .index = offsetof(struct cpu, f)                        \
	}

/* In the order of their numbers, which gdb's features prescribe up to mxcsr. */
static const struct row rows[] = {
	GPR("rax", RAX, "int64"),
	GPR("rbx", RBX, "int64"),
	GPR("rcx", RCX, "int64"),
	GPR("rdx", RDX, "int64"),
	GPR("rsi", RSI, "int64"),
	GPR("rdi", RDI, "int64"),
	GPR("rbp", RBP, "data_ptr"),
	GPR("rsp", RSP, "data_ptr"),
	GPR("r8", R8, "int64"),
	GPR("r9", R9, "int64"),
	GPR("r10", R10, "int64"),
	GPR("r11", R11, "int64"),
	GPR("r12", R12, "int64"),
	GPR("r13", R13, "int64"),
	GPR("r14", R14, "int64"),
	GPR("r15", R15, "int64"),
	FIELD("rip", rip, "code_ptr", FEATURE_CORE),
	{.name = "eflags", .type = "i386_eflags", .bytes = 4, .source = FROM_RFLAGS},
	SELECTOR("cs", SEG_CS),
	SELECTOR("ss", SEG_SS),
	SELECTOR("ds", SEG_DS),
	SELECTOR("es", SEG_ES),
	SELECTOR("fs", SEG_FS),
	SELECTOR("gs", SEG_GS),
	ST(0),
	ST(1),
	ST(2),
	ST(3),
	ST(4),
	ST(5),
	ST(6),
	ST(7),
	X87("fctrl", X87_CONTROL),
	X87("fstat", X87_STATUS),
	X87("ftag", X87_TAG),
	X87("fiseg", X87_OTHER),
	X87("fioff", X87_OTHER),
	X87("foseg", X87_OTHER),
	X87("fooff", X87_OTHER),
	X87("fop", X87_OTHER),
	XMM(0),
	XMM(1),
	XMM(2),
	XMM(3),
	XMM(4),
	XMM(5),
	XMM(6),
	XMM(7),
	XMM(8),
	XMM(9),
	XMM(10),
	XMM(11),
	XMM(12),
	XMM(13),
	XMM(14),
	XMM(15),
	{.name = "mxcsr",
	 .type = "i386_mxcsr",
	 .group = "vector",
	 .bytes = 4,
	 .source = FROM_FIELD,
	 .feature = FEATURE_SSE,
	 .index = offsetof(struct cpu, fx.mxcsr)},
	FIELD("fs_base", seg[SEG_FS].base, "int", FEATURE_SEGMENTS),
	FIELD("gs_base", seg[SEG_GS].base, "int", FEATURE_SEGMENTS),
	{.name = "orig_rax",
	 .type = "int",
	 .group = "system",
	 .bytes = 8,
	 .source = FROM_ORIG_RAX,
	 .feature = FEATURE_LINUX},
	SYSTEM("k_gs_base", kernel_gs_base),
	SYSTEM("cr0", cr0),
	SYSTEM("cr2", cr2),
	SYSTEM("cr3", cr3),
	SYSTEM("cr4", cr4),
	SYSTEM("efer", efer),
	SYSTEM("gdtr", gdtr.base),
	SYSTEM("idtr", idtr.base),
	SYSTEM("ldtr_base", seg[SEG_LDTR].base),
	SYSTEM("tr_base", seg[SEG_TR].base),
	SYSTEM("star", star),
	SYSTEM("lstar", lstar),
	SYSTEM("xcr0", xcr0),
};

#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

/* The row of register n, or NULL. */
static const struct row *find_row(const struct set *set, unsigned n)
{
	for (size_t i = 0; i < N_ROWS; i++)
		if (set->has[rows[i].feature] && !n--)
			return &rows[i];
	return NULL;
}

unsigned registers_count(enum register_set set)
{
	unsigned n = 0;

	for (size_t i = 0; i < N_ROWS; i++)
		n += sets[set].has[rows[i].feature];
	return n;
}

/* ---- values ---- */

/* The tag word of FSAVE, made of the abridged one and the contents (SDM 1 table 10-3). */
static uint16_t x87_tag(const struct fx_state *fx)
{
	unsigned top = fx->fsw >> 11 & 7;
	uint16_t tag = 0;

	for (unsigned physical = 0; physical < 8; physical++) {
		const uint8_t *value = fx->st[(physical - top) & 7];
		uint64_t mantissa;
		uint16_t exponent;
		unsigned kind = 2; /* special */

		memcpy(&mantissa, value, 8);
		memcpy(&exponent, value + 8, 2);
		exponent &= 0x7fff;
		if (!(fx->ftw >> physical & 1))
			kind = 3; /* empty */
		else if (!exponent && !mantissa)
			kind = 1; /* zero */
		else if (exponent && exponent != 0x7fff && mantissa >> 63)
			kind = 0; /* valid */
		tag |= (uint16_t)(kind << 2 * physical);
	}
	return tag;
}

static uint64_t x87_value(const struct fx_state *fx, unsigned which)
{
	switch (which) {
	case X87_CONTROL:
		return fx->fcw;
	case X87_STATUS:
		return fx->fsw;
	case X87_TAG:
		return x87_tag(fx);
	default:
		return 0;
	}
}

unsigned register_read(enum register_set set, const struct thread_registers *registers, unsigned n,
		       uint8_t value[REGISTER_MAX_BYTES])
{
	const struct row *row = find_row(&sets[set], n);
	const struct cpu *cpu = &registers->cpu;
	uint64_t number = 0;

	if (!row)
		return 0;
	switch (row->source) {
	case FROM_GPR:
		number = cpu->gpr[row->index];
		break;
	case FROM_FIELD:
		memcpy(&number, (const uint8_t *)cpu + row->index, row->bytes);
		break;
	case FROM_SEGMENT:
		number = cpu->seg[row->index].selector;
		break;
	case FROM_RFLAGS:
		number = registers->rflags;
		break;
	case FROM_X87:
		number = x87_value(&cpu->fx, row->index);
		break;
	case FROM_ORIG_RAX:
		number = registers->orig_rax;
		break;
	case FROM_ST:
		memcpy(value, cpu->fx.st[row->index], row->bytes);
		return row->bytes;
	case FROM_XMM:
		memcpy(value, cpu->fx.xmm[row->index], row->bytes);
		return row->bytes;
	}
	memcpy(value, &number, row->bytes);
	return row->bytes;
}

/* ---- the description ---- */

struct flag {
	const char *name;
	uint8_t bit;
};

static const struct flag eflags[] = {
	{"CF", 0},  {"PF", 2},   {"AF", 4},   {"ZF", 6},  {"SF", 7},  {"TF", 8},
	{"IF", 9},  {"DF", 10},  {"OF", 11},  {"NT", 14}, {"RF", 16}, {"VM", 17},
	{"AC", 18}, {"VIF", 19}, {"VIP", 20}, {"ID", 21},
};

static const struct flag mxcsr[] = {
	{"IE", 0}, {"DE", 1}, {"ZE", 2}, {"OE", 3},  {"UE", 4},  {"PE", 5},  {"DAZ", 6},
	{"IM", 7}, {"DM", 8}, {"ZM", 9}, {"OM", 10}, {"UM", 11}, {"PM", 12}, {"FZ", 15},
};

static void describe_flags(struct reply *reply, const char *id, const struct flag *flags, size_t n)
{
	reply_print(reply, "<flags id=\"%s\" size=\"4\">", id);
	for (size_t i = 0; i < n; i++)
		reply_print(reply, "<field name=\"%s\" start=\"%u\" end=\"%u\"/>", flags[i].name,
			    flags[i].bit, flags[i].bit);
	reply_print(reply, "</flags>");
}

/* A vector register seen as any kind of element. */
static void describe_vector(struct reply *reply)
{
	static const struct {
		const char *id, *type;
		unsigned count;
	} views[] = {
		{"v4_float", "ieee_single", 4}, {"v2_double", "ieee_double", 2},
		{"v16_int8", "int8", 16},       {"v8_int16", "int16", 8},
		{"v4_int32", "int32", 4},       {"v2_int64", "int64", 2},
	};
	const size_t n = sizeof(views) / sizeof(views[0]);

	for (size_t i = 0; i < n; i++)
		reply_print(reply, "<vector id=\"%s_view\" type=\"%s\" count=\"%u\"/>", views[i].id,
			    views[i].type, views[i].count);
	reply_print(reply, "<union id=\"vec128\">");
	for (size_t i = 0; i < n; i++)
		reply_print(reply, "<field name=\"%s\" type=\"%s_view\"/>", views[i].id,
			    views[i].id);
	reply_print(reply, "<field name=\"uint128\" type=\"uint128\"/></union>");
}

static void describe_types(struct reply *reply, enum feature feature)
{
	if (feature == FEATURE_CORE) {
		describe_flags(reply, "i386_eflags", eflags, sizeof(eflags) / sizeof(eflags[0]));
	} else if (feature == FEATURE_SSE) {
		describe_vector(reply);
		describe_flags(reply, "i386_mxcsr", mxcsr, sizeof(mxcsr) / sizeof(mxcsr[0]));
	}
}

void registers_describe(enum register_set set, struct reply *reply)
{
	reply_print(reply, "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\">"
			   "<target><architecture>i386:x86-64</architecture>"
			   "<osabi>GNU/Linux</osabi>");
	for (unsigned feature = 0; feature < FEATURE_COUNT; feature++) {
		if (!sets[set].has[feature])
			continue;
		reply_print(reply, "<feature name=\"%s\">", feature_name[feature]);
		describe_types(reply, feature);
		for (size_t i = 0; i < N_ROWS; i++) {
			if (rows[i].feature != feature)
				continue;
			reply_print(reply, "<reg name=\"%s\" bitsize=\"%u\" type=\"%s\"",
				    rows[i].name, rows[i].bytes * 8u, rows[i].type);
			if (rows[i].group)
				reply_print(reply, " group=\"%s\"", rows[i].group);
			reply_print(reply, "/>");
		}
		reply_print(reply, "</feature>");
	}
	reply_print(reply, "</target>");
}
