#include "tests/cpu/random_pieces.h"

#include <string.h>

uint32_t any(struct writer *w, uint32_t n)
{
	w->seed ^= w->seed << 13;
	w->seed ^= w->seed >> 7;
	w->seed ^= w->seed << 17;
	return (uint32_t)((w->seed * UINT64_C(0x2545f4914f6cdd1d)) >> 33) % n;
}

void put(struct writer *w, const void *bytes, unsigned n)
{
	w->starts[w->n_starts++] = w->n;
	memcpy(w->code + w->n, bytes, n);
	w->n += n;
}

void put32(struct writer *w, uint32_t value)
{
	memcpy(w->code + w->n, &value, 4);
	w->n += 4;
}

uint8_t scratch(struct writer *w)
{
	static const uint8_t registers[] = {0, 1, 2, 6, 7, 8, 9, 10};
	return registers[any(w, 8)];
}

/* opcode with a register and another register or memory at RBX, RBP or inside the code. */
static void put_modrm(struct writer *w, unsigned map, uint8_t opcode, uint8_t reg)
{
	uint8_t bytes[8], rex = 0x40 | (any(w, 2) ? 8 : 0) | (reg & 8 ? 4 : 0);
	unsigned n = 0, kind = any(w, 10);
	uint8_t rm = scratch(w);

	if (any(w, 8) == 0)
		bytes[n++] = 0x66;
	bool memory = kind >= 4;
	if (!memory && (rm & 8))
		rex |= 1;
	bytes[n++] = rex;
	if (map)
		bytes[n++] = 0x0f;
	bytes[n++] = opcode;
	if (!memory) {
		bytes[n++] = (uint8_t)(0xc0 | (reg & 7) << 3 | (rm & 7));
		put(w, bytes, n);
		return;
	}
	bytes[n++] = (uint8_t)(0x80 | (reg & 7) << 3 | (any(w, 2) ? 3 : 5));
	put(w, bytes, n);
	put32(w, any(w, 5) ? any(w, 0x400) * 8 - 0x1000 : any(w, 0x2ff0) - 0x1800);
}

static void put_alu(struct writer *w)
{
	put_modrm(w, 0, (uint8_t)(any(w, 8) * 8 + any(w, 4)), scratch(w));
}

static void put_move(struct writer *w)
{
	put_modrm(w, 0, (uint8_t)(0x88 + any(w, 4)), scratch(w));
}

/* One access off RSI: a move, an operation, an aligned move, or one with an index that is small. */
static void put_near(struct writer *w)
{
	uint8_t reg = scratch(w) & 7, disp = (uint8_t)any(w, 80);

	switch (any(w, 6)) {
	case 0: /* add, or … [rsi + d], reg or the reverse */
		put(w, (uint8_t[]){0x48, any(w, 8) * 8 + 1 + 2 * any(w, 2), 0x46 | reg << 3, disp},
		    4);
		break;
	case 1: /* movdqa xmm, [rsi + d] or the reverse */
		put(w,
		    (uint8_t[]){0x66, 0x0f, any(w, 2) ? 0x6f : 0x7f, 0x46 | reg << 3,
				any(w, 8) ? disp & 0x70 : disp},
		    5);
		break;
	case 2: /* mov reg, [rsi + 4 * rcx + d] or the reverse, behind mov ecx, n */
		put(w, (uint8_t[]){0xb9, any(w, 16), 0, 0, 0}, 5);
		put(w, (uint8_t[]){0x89 + 2 * any(w, 2), 0x44 | reg << 3, 0x8e, disp}, 4);
		break;
	default: /* mov reg, [rsi + d] or the reverse */
		put(w, (uint8_t[]){0x48, 0x89 + 2 * any(w, 2), 0x46 | reg << 3, disp}, 4);
	}
}

/* Accesses close to each other, and to a page's end, off RSI, which moves a little in between. */
static void put_cluster(struct writer *w)
{
	PUT(w, "\x48\x8d\xb3"); /* lea rsi, [rbx + d] */
	put32(w, (any(w, 3) - 1) * 0x1000 + any(w, 10) * 16 - 0x60);
	for (unsigned i = 2 + any(w, 8); i; i--) {
		put_near(w);
		switch (any(w, 8)) {
		case 0: /* add or sub rsi, imm */
			put(w, (uint8_t[]){0x48, 0x83, any(w, 2) ? 0xc6 : 0xee, any(w, 24)}, 4);
			break;
		case 1: /* inc or dec rsi */
			put(w, (uint8_t[]){0x48, 0xff, any(w, 2) ? 0xc6 : 0xce}, 3);
			break;
		case 2: /* lea rsi, [rsi + d] */
			put(w, (uint8_t[]){0x48, 0x8d, 0x76, any(w, 24)}, 4);
			break;
		case 3: /* mov rdi, rsi; mov [rdi + d], eax */
			put(w, (uint8_t[]){0x48, 0x89, 0xf7, 0x89, 0x47, any(w, 80)}, 6);
			break;
		default:
			break;
		}
	}
}

static void put_other(struct writer *w)
{
	static const uint8_t two[] = {0x44, 0x4f, 0x45, 0x42, 0xb6, 0xb7, 0xbe, 0xbf, 0xaf, 0xa3,
				      0xab, 0xb3, 0xbb, 0xc0, 0xc1, 0xb0, 0xb1, 0xbc, 0xbd, 0x94};
	static const uint8_t one[] = {0x84, 0x85, 0x86, 0x87, 0x8d, 0x63,
				      0xd1, 0xd3, 0xd2, 0xff, 0xf7};
	if (any(w, 2)) {
		put_modrm(w, 1, two[any(w, sizeof(two))], scratch(w));
		return;
	}
	uint8_t opcode = one[any(w, sizeof(one))];
	uint8_t reg = opcode == 0xff ? any(w, 2) : opcode == 0xf7 ? 2 + any(w, 2) : scratch(w);
	put_modrm(w, 0, opcode, reg);
}

static void put_immediate(struct writer *w)
{
	uint8_t reg = scratch(w) & 7;
	switch (any(w, 4)) {
	case 0:
		put(w, (uint8_t[]){0x83, 0xc0 | any(w, 8) << 3 | reg, any(w, 256)}, 3);
		break;
	case 1:
		put(w, (uint8_t[]){0x48, 0xc1, 0xc0 | any(w, 8) << 3 | reg, any(w, 256)}, 4);
		break;
	default:
		put(w, (uint8_t[]){0xb8 | reg}, 1);
		if (w->n_patchable < 4096)
			w->patchable[w->n_patchable++] = w->n;
		put32(w, any(w, 4) ? any(w, 0x100000) : any(w, 0x7fffffff));
	}
}

static void put_branch(struct writer *w)
{
	if (any(w, 2)) /* cmp or test in front */
		put(w, (uint8_t[]){any(w, 2) ? 0x39 : 0x85, 0xc0 | any(w, 3) << 3 | any(w, 3)}, 2);
	put(w, (uint8_t[]){0x70 | any(w, 16), 0}, 2);
	uint32_t at = w->n;
	for (unsigned i = any(w, 3); i; i--)
		any(w, 2) ? put_alu(w) : put_immediate(w);
	w->code[at - 1] = any(w, 20) ? (uint8_t)(w->n - at) : (uint8_t)any(w, 24);
}

static void put_loop(struct writer *w)
{
	PUT(w, "\x41\xbb"); /* mov r11d, n */
	put32(w, 1 + any(w, 6));
	uint32_t top = w->n;
	for (unsigned i = 1 + any(w, 3); i; i--)
		any(w, 2) ? put_alu(w) : put_move(w);
	PUT(w, "\x41\xff\xcb"); /* dec r11d; jnz top */
	put(w, (uint8_t[]){0x75, (uint8_t)(top - (w->n + 2))}, 2);
}

static void put_string(struct writer *w)
{
	static const uint8_t opcodes[] = {0xa4, 0xa5, 0xaa, 0xab, 0xa6, 0xa7,
					  0xae, 0xac, 0xa4, 0xab, 0x6c};
	uint8_t opcode = opcodes[any(w, sizeof(opcodes))];

	PUT(w, "\x48\x8d\xb3"); /* lea rsi, [rbx + d] */
	put32(w, any(w, 0x1800) - 0xc00);
	put(w, (uint8_t[]){0x48, 0x8d, 0xb8 | (any(w, 2) ? 3 : 5)},
	    3); /* lea rdi, [rbx or rbp + d] */
	put32(w, any(w, 0x1800) - 0xc00);
	if (any(w, 4) == 0) /* overlap closely */
		put(w, (uint8_t[]){0x48, 0x8d, 0x7e, any(w, 18)}, 4);
	if (opcode == 0x6c) {
		PUT(w, "\xba"); /* mov edx, port */
		put32(w, RIG_PORT);
	}
	PUT(w, "\xb9"); /* mov ecx, n */
	put32(w, any(w, 4) ? any(w, 12) : any(w, 300));
	if (any(w, 5) == 0)
		PUT(w, "\xfd"); /* std */
	put(w, (uint8_t[]){any(w, 6) ? 0xf3 : 0xf2, any(w, 2) ? 0x48 : 0x40, opcode}, 3);
	PUT(w, "\xfc"); /* cld */
}

static void put_stack(struct writer *w)
{
	uint8_t a = scratch(w) & 7, b = scratch(w) & 7;
	switch (any(w, 5)) {
	case 0:
		put(w, (uint8_t[]){0x50 | a}, 1);
		put_alu(w);
		put(w, (uint8_t[]){0x58 | b}, 1);
		break;
	case 1: /* call the next; pop */
		PUT(w, "\xe8\0\0\0\0");
		put(w, (uint8_t[]){0x58 | b}, 1);
		break;
	case 2: /* lea rax, [rip + 2]; push rax; ret */
		PUT(w, "\x48\x8d\x05\x02\0\0\0");
		PUT(w, "\x50");
		PUT(w, "\xc3");
		break;
	case 3: /* call a function that lies in front: jmp over; f: alu; ret; over: call f */
		PUT(w, "\xeb\0");
		uint32_t function = w->n;
		put_alu(w);
		PUT(w, "\xc3");
		w->code[function - 1] = (uint8_t)(w->n - function);
		PUT(w, "\xe8");
		put32(w, function - (w->n + 4));
		break;
	default: { /* push flags; popfq */
		static const uint32_t flags[] = {0x202,  0x2,    0x3202, 0x3302,
						 0x3202, 0x3a46, 0x3602, 0x3202};
		PUT(w, "\x68");
		uint32_t ac = w->mode == RIG_KERNEL64 && any(w, 8) == 0 ? FLAG_AC : 0;
		put32(w, flags[any(w, 8)] | ac | (any(w, 256) & 0xd5));
		PUT(w, "\x9d");
		break;
	}
	}
}

/* Writes into the code: an immediate, or now and then any byte. */
static void put_self_modification(struct writer *w)
{
	uint32_t offset = w->n_patchable && any(w, 4)
				  ? w->patchable[w->n_patchable - 1 -
						 any(w, w->n_patchable < 12 ? w->n_patchable : 12)]
				  : w->n + any(w, 40) - 10;
	bool alias = any(w, 3) == 0;

	if (offset >= RIG_CODE_BYTES)
		offset = 0;
	if (any(w, 3) == 0 && offset + 40 < RIG_CODE_BYTES)
		offset = w->n + 7 + 1; /* of a mov that follows at once */
	put(w, (uint8_t[]){0x41, 0xc6, 0x80 | (alias ? 5 : 4)},
	    3); /* mov byte [r12 or r13 + d], imm */
	put32(w, offset - 0x2000);
	w->code[w->n++] = (uint8_t)any(w, 256);
	if (any(w, 2)) {
		put(w, (uint8_t[]){0xb8 | (scratch(w) & 7)}, 1);
		put32(w, any(w, 1000));
	}
}

/* mov eax, value */
static void put_eax(struct writer *w, uint32_t value)
{
	PUT(w, "\xb8");
	put32(w, value);
}

/* On with the other mapping of the code, the low one if it is one of 32 bits: lea rax, [rip + 8];
 * xor rax or eax, ...; jmp rax */
static void put_crossover(struct writer *w, bool wide)
{
	PUT(w, "\x48\x8d\x05\x08\0\0\0");
	put(w, (uint8_t[]){wide ? 0x48 : 0x40, 0x35}, 2);
	put32(w, RIG_CODE ^ RIG_ALIAS_CODE);
	PUT(w, "\xff\xe0");
}

/* From mapping to mapping and back again, while the page's entry in one of them changes: mov r9d,
 * n; top: mov dword [entry], frame | flags; the other mapping; dec r9d; jnz top */
static void put_back_and_forth(struct writer *w)
{
	static const uint8_t flags[] = {0x07, 0x07, 0x27, 0x67};
	uint32_t index = w->n / 0x1000 % 4, page = any(w, 6) ? index : any(w, 4);

	PUT(w, "\x41\xb9");
	put32(w, 2 + any(w, 6));
	uint32_t top = w->n;
	PUT(w, "\xc7\x04\x25");
	put32(w, any(w, 3) ? RIG_ALIAS_PT + 8 * index : RIG_PT + 8 * (RIG_CODE / 0x1000 + index));
	put32(w, (RIG_CODE + page * 0x1000) | flags[any(w, 4)]);
	put_crossover(w, true);
	PUT(w, "\x41\xff\xc9");
	put(w, (uint8_t[]){0x75, (uint8_t)(top - (w->n + 2))}, 2);
}

static void put_paging(struct writer *w)
{
	static const uint8_t flags[] = {0x07, 0x27, 0x67, 0x07, 0x05, 0x06, 0x03};
	uint32_t index = any(w, 8), value;

	switch (any(w, 6)) {
	case 0: /* clear A of a code page: mov byte [PT entry], 7 */
		PUT(w, "\xc6\x04\x25");
		put32(w, RIG_PT + 8 * (0x20 + any(w, 4)));
		w->code[w->n++] = 7;
		break;
	case 1:
		put_crossover(w, any(w, 4));
		break;
	case 2: /* lea rdi, [r14 + 8 * index]; mov eax, frame | 7; mov ecx, n; rep stosq */
		PUT(w, "\x49\x8d\xbe");
		put32(w, 8 * index);
		PUT(w, "\xb8");
		put32(w, (RIG_DATA + index % 4 * 0x1000) | 7);
		PUT(w, "\xb9");
		put32(w, any(w, 5));
		PUT(w, "\xf3\x48\xab");
		break;
	case 3:
		put_back_and_forth(w);
		break;
	default: /* mov dword [r14 + 8 * index], frame | flags */
		value = (index < 4 ? RIG_CODE : RIG_DATA) + any(w, 4) * 0x1000;
		if (any(w, 3))
			value = (index < 4 ? RIG_CODE : RIG_DATA) + index % 4 * 0x1000;
		PUT(w, "\x41\xc7\x86");
		put32(w, 8 * index);
		put32(w, value | flags[any(w, any(w, 3) ? 4 : sizeof(flags))]);
	}
}

/* System calls, or interrupts, from one place: mov r9d, n; the call; nop; dec r9d; jnz back */
static void put_calls(struct writer *w)
{
	PUT(w, "\x41\xb9");
	put32(w, 2 + any(w, 12));
	put(w, (const uint8_t *)(any(w, 3) ? "\x0f\x05" : "\xcd\x50"), 2);
	PUT(w, "\x90");
	PUT(w, "\x41\xff\xc9");
	PUT(w, "\x75\xf8");
}

/* The clock, and what it says: kept in memory, or a way to go by one of its bits. */
static void put_clock(struct writer *w)
{
	bool aux = any(w, 2);

	if (aux)
		PUT(w, "\x0f\x01\xf9"); /* rdtscp */
	else
		PUT(w, "\x0f\x31"); /* rdtsc */
	switch (any(w, 4)) {
	case 0: /* add [rbx + d], rax, rdx or, of RDTSCP, rcx */
		put(w, (uint8_t[]){0x48, 0x01, 0x83 | "\0\2\1"[any(w, aux ? 3 : 2)] << 3}, 3);
		put32(w, any(w, 0x100) * 8 - 0x400);
		break;
	case 1: /* test al, 1 << n; jz over; alu; over: */
		put(w, (uint8_t[]){0xa8, 1 << any(w, 8)}, 2);
		put(w, (uint8_t[]){0x74, 0}, 2);
		uint32_t at = w->n;
		put_alu(w);
		w->code[at - 1] = (uint8_t)(w->n - at);
		break;
	default:
		break;
	}
}

static void put_outside(struct writer *w)
{
	switch (any(w, 9)) {
	case 0:
		PUT(w, "\xba");
		put32(w, RIG_PORT + any(w, 20));
		put(w, (uint8_t[]){0xec | any(w, 4)}, 1);
		break;
	case 1: /* an operation on device memory */
		put(w, (uint8_t[]){(uint8_t)(any(w, 8) * 8 + any(w, 4)), 0x04, 0x25}, 3);
		put32(w, RIG_ALIAS_DEVICE + any(w, 64));
		break;
	case 2:
		PUT(w, "\x0f\xc7\xf0"); /* rdrand eax */
		break;
	case 3:
		put(w, (uint8_t[]){any(w, 3) ? 0xfb : 0xfa}, 1); /* sti, cli */
		if (any(w, 2))                                   /* nop, cld, ret: in the shadow */
			put(w, (uint8_t[]){"\x90\xfc\xc3"[any(w, 3)]}, 1);
		break;
	case 4:
		PUT(w, "\xcd\x50");
		break;
	case 5:
		PUT(w, "\xcc");
		break;
	case 6:
		PUT(w, "\x0f\x05"); /* syscall */
		break;
	case 7:
		put_calls(w);
		break;
	default:
		put_eax(w, 0x10); /* mov ss, eax */
		PUT(w, "\x8e\xd0");
	}
}

static void put_vector(struct writer *w)
{
	static const uint8_t opcodes[] = {0x6f, 0x7f, 0xef, 0x10, 0x28, 0xd6, 0x6e, 0xfe};
	uint8_t prefix = any(w, 4) ? 0x66 : 0xf3;
	put(w, (uint8_t[]){prefix, 0x0f, opcodes[any(w, 8)], 0x83 | any(w, 8) << 3}, 4);
	put32(w, any(w, 3) ? any(w, 0x100) * 16 - 0x800 : any(w, 0x1000) - 0x800);
}

static void put_debug(struct writer *w)
{
	if (any(w, 3)) { /* xor eax, eax; mov dr7, rax */
		PUT(w, "\x31\xc0");
		PUT(w, "\x0f\x23\xf8");
		return;
	}
	uint32_t what = any(w, 3);
	/* where: data, code or the device */
	put_eax(w, what == 0   ? RIG_DATA + 0x1800 + any(w, 64) * 8
		   : what == 1 ? RIG_CODE + w->n + any(w, 80)
			       : RIG_ALIAS_DEVICE + any(w, 64));
	PUT(w, "\x0f\x23\xc0"); /* mov dr0, rax */
	PUT(w, "\xb8");
	put32(w, what == 1 ? 1 : 1 | (any(w, 2) ? 0xb0000 : 0xd0000)); /* 8 bytes access; 4 write */
	PUT(w, "\x0f\x23\xf8");                                        /* mov dr7, rax */
}

/* MSRs of the clock and of segment bases: written, and read again. */
static void put_msr(struct writer *w)
{
	static const uint32_t msrs[] = {0x10, 0x3b, 0xc0000103, 0xc0000100, 0xc0000101, 0xc0000102};
	uint32_t msr = msrs[any(w, 6)];

	PUT(w, "\xb9"); /* mov ecx, msr */
	put32(w, msr);
	put_eax(w, any(w, 0x800) * 8);
	if (any(w, 6)) {
		PUT(w, "\x31\xd2"); /* xor edx, edx */
	} else {
		PUT(w, "\xba"); /* mov edx, n */
		put32(w, any(w, 0x10000));
	}
	PUT(w, "\x0f\x30"); /* wrmsr */
	if (msr < 0xc0000100 || msr == 0xc0000103)
		put_clock(w);
	else /* add [rbx of FS or GS + d], eax */
		put(w, (uint8_t[]){msr & 1 ? 0x65 : 0x64, 0x01, 0x43, any(w, 128)}, 4);
	if (any(w, 3) == 0) {
		PUT(w, "\xb9");
		put32(w, msr);
		PUT(w, "\x0f\x32"); /* rdmsr */
	}
}

/* Bits of CR0 or CR4 that do not keep handlers from running: TS, WP, AM, EM; TSD, DE, PGE, PCE. */
static void put_control(struct writer *w)
{
	static const uint32_t bits[2][4] = {{0x8, 0x10000, 0x40000, 0x4}, {0x4, 0x8, 0x80, 0x100}};
	unsigned which = any(w, 2), reg = which ? 0xe0 : 0xc0;

	put(w, (uint8_t[]){0x0f, 0x20, reg}, 3); /* mov rax, crN; xor eax, bit; mov crN, rax */
	PUT(w, "\x35");
	put32(w, bits[which][any(w, 4)]);
	put(w, (uint8_t[]){0x0f, 0x22, reg}, 3);
}

/* pushfq; pop */
static void put_pushf(struct writer *w)
{
	PUT(w, "\x9c");
	put(w, (uint8_t[]){0x58 | (scratch(w) & 7)}, 1);
}

/* What faults at CPL 3, but for PUSHF. */
static void put_privileged(struct writer *w)
{
	switch (any(w, 10)) {
	case 0:
	case 1:
		put_pushf(w);
		break;
	case 2: /* clac, stac */
		put(w, (uint8_t[]){0x0f, 0x01, 0xca + any(w, 2)}, 3);
		break;
	case 3: /* swapgs; add [rbx of GS + d], eax */
		PUT(w, "\x0f\x01\xf8");
		put(w, (uint8_t[]){0x65, 0x01, 0x43, any(w, 128)}, 4);
		break;
	case 4: /* invlpg [rbx, rbp or r13 + d] */
		put(w, (uint8_t[]){0x40 | any(w, 2), 0x0f, 0x01, any(w, 2) ? 0xbd : 0xbb}, 4);
		put32(w, any(w, 0x2000) - 0x1000);
		break;
	case 5: /* mov rax, cr3; mov cr3, rax */
		PUT(w, "\x0f\x20\xd8");
		PUT(w, "\x0f\x22\xd8");
		break;
	case 6:
		put_control(w);
		break;
	case 7:
		PUT(w, "\x0f\x06"); /* clts */
		break;
	default:
		put_msr(w);
	}
}

/* At CPL 3 most of the time what does not fault. */
static void put_system(struct writer *w)
{
	if (w->mode == RIG_KERNEL64 || any(w, 8) == 0)
		put_privileged(w);
	else
		any(w, 3) ? put_alu(w) : put_pushf(w);
}

static void put_fault(struct writer *w)
{
	switch (any(w, 4)) {
	case 0:
		PUT(w, "\x8b\x04\x25");
		put32(w, RIG_ALIAS_ABSENT);
		break;
	case 1:
		PUT(w, "\x0f\x0b");
		break;
	case 2:
		PUT(w, "\x0f\xff");
		break;
	default:
		PUT(w, "\x31\xc0"); /* xor eax, eax; div eax */
		PUT(w, "\xf7\xf0");
	}
}

static void put_some_x87(struct writer *w)
{
	if (w->mode == RIG_KERNEL64 && any(w, 6) == 0)
		put_control(w);
	for (unsigned i = 1 + any(w, 12); i; i--)
		put_x87(w);
}

static void put_random(struct writer *w, bool debug)
{
	uint32_t kind = any(w, 100);

	if (w->rounds && any(w, 3) == 0) {
		put_rounds(w);
		return;
	}
	kind < 14            ? put_alu(w)
	: kind < 17          ? put_clock(w)
	: kind < 20          ? put_system(w)
	: kind < 27          ? put_move(w)
	: kind < 32          ? put_cluster(w)
	: kind < 42          ? put_other(w)
	: kind < 52          ? put_immediate(w)
	: kind < 62          ? put_branch(w)
	: kind < 63          ? put_loop(w)
	: kind < 66          ? put_rounds(w)
	: kind < 72          ? put_string(w)
	: kind < 78          ? put_stack(w)
	: kind < 84          ? put_self_modification(w)
	: kind < 90          ? put_paging(w)
	: kind < 93          ? put_outside(w)
	: kind < 95          ? put_vector(w)
	: kind < 97          ? put_some_x87(w)
	: kind < 98 && debug ? put_debug(w)
	: kind < 99          ? put_fault(w)
			     : put_alu(w);
}

void write_program(struct writer *w, uint64_t seed, enum rig_mode mode)
{
	memset(w, 0, sizeof(*w));
	w->mode = mode;
	w->seed = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
	bool debug = any(w, 2);
	w->rounds = any(w, 3) == 0;
	w->quiet = rig_engine != &interp_engine_ops && any(w, 2);
	while (w->n < RIG_CODE_BYTES - 200)
		put_random(w, debug);
	PUT(w, "\x41\xff\xe4"); /* jmp r12 */
}

void load_program(struct rig *rig, const struct writer *w)
{
	uint64_t base = w->high ? RIG_HIGH : 0;

	rig_create(rig, w->mode);
	rig_load(rig, RIG_CODE, w->code, RIG_CODE_BYTES);
	if (w->high)
		rig_map_high(rig);
	rig->cpu->rip += base;
	for (unsigned i = 0; i < 64; i++)
		rig_store64(rig, RIG_SLOTS + 8 * i,
			    base + RIG_CODE + w->starts[(uint64_t)i * w->n_starts / 64]);
	rig->events = !w->quiet;
}
