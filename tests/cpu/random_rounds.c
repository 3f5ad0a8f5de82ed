/* Loops that go through memory. */
#include <string.h>

#include "tests/cpu/random_pieces.h"

/* How one moves: off RSI, which moves; or off RSI + RCX << scale, where RCX does. */
struct passage {
	bool indexed;
	uint8_t scale;
	uint8_t second; /* what moves too, by the same: RDI, or 0 */
};

/* opcode reg, [RSI, RDI or RSI + RCX + a small d] */
static void put_passing(struct writer *w, const struct passage *passage, uint8_t prefix,
			uint8_t map, uint8_t opcode, uint8_t reg)
{
	uint8_t bytes[10], rex = 0x40 | (any(w, 3) ? 8 : 0) | (reg & 8 ? 4 : 0);
	unsigned n = 0;
	uint8_t base = passage->second && any(w, 2) ? RDI : RSI;

	if (prefix)
		bytes[n++] = prefix;
	bytes[n++] = rex;
	if (map)
		bytes[n++] = 0x0f;
	bytes[n++] = opcode;
	bytes[n++] = 0x40 | (reg & 7) << 3 | (passage->indexed ? 4 : base);
	if (passage->indexed)
		bytes[n++] = (uint8_t)(passage->scale << 6 | RCX << 3 | base);
	bytes[n++] = (uint8_t)(prefix == 0x66 ? any(w, 4) * 16 : any(w, 100));
	put(w, bytes, n);
}

static uint8_t passenger(struct writer *w)
{
	static const uint8_t registers[] = {0, 2, 8, 9, 10, 11, 15};
	return registers[any(w, any(w, 2) ? 7 : 4)];
}

/* op reg, reg */
static void put_between(struct writer *w, uint8_t map, uint8_t opcode)
{
	uint8_t reg = passenger(w), rm = any(w, 8) ? passenger(w) : scratch(w);
	uint8_t bytes[4] = {
		(uint8_t)(0x40 | (any(w, 2) ? 8 : 0) | (reg & 8 ? 4 : 0) | (rm & 8 ? 1 : 0))};
	unsigned n = 1;

	if (map)
		bytes[n++] = 0x0f;
	bytes[n++] = opcode;
	bytes[n++] = (uint8_t)(0xc0 | (reg & 7) << 3 | (rm & 7));
	put(w, bytes, n);
}

/* Instructions of a round; those that take registers without naming them among them. */
static void put_in_round(struct writer *w, const struct passage *passage)
{
	static const char *unnamed[] = {"\x48\x98", "\x48\x99", "\x9f", "\x9e", "\x90", "\xf7\xe2"};
	uint8_t r = passenger(w);

	switch (any(w, 12)) {
	case 0:
	case 1:
		put_passing(w, passage, 0, 0, (uint8_t)(any(w, 8) * 8 + 1 + 2 * any(w, 2)), r);
		break;
	case 2:
		put_passing(w, passage, 0, 0, any(w, 2) ? 0x8b : 0x89, r);
		break;
	case 3:
		put_passing(w, passage, 0, 1, any(w, 2) ? 0xb6 : 0xaf, r);
		break;
	case 4: /* movdqa, movdqu, paddd */
		put_passing(w, passage, any(w, 3) ? 0x66 : 0xf3, 1, "\x6f\x7f\x6f"[any(w, 3)],
			    r & 7);
		break;
	case 5: /* cmpxchg, xadd */
		put_passing(w, passage, 0, 1, any(w, 2) ? 0xb1 : 0xc1, r);
		break;
	case 6: /* rotate or shift by imm, 1 or CL */
		put(w,
		    (uint8_t[]){0x48 | (r & 8 ? 1 : 0), any(w, 2) ? 0xd1 : 0xd3,
				0xc0 | any(w, 8) << 3 | (r & 7)},
		    3);
		break;
	case 7: /* lea reg, [rsi + d] or [r10 + r11] */
		if (any(w, 2))
			put(w, (uint8_t[]){0x48 | (r & 8 ? 4 : 0), 0x8d, 0x46 | (r & 7) << 3, 5},
			    4);
		else
			put(w, (uint8_t[]){0x4b | (r & 8 ? 4 : 0), 0x8d, 0x04 | (r & 7) << 3, 0x1a},
			    4);
		break;
	case 8: { /* cdqe, cqo, lahf, sahf, nop, mul edx */
		const char *bytes = unnamed[any(w, 6)];
		put(w, bytes, (unsigned)strlen(bytes));
		break;
	}
	case 9: /* setcc or cmovcc */
		put_between(w, 1, (uint8_t)((any(w, 2) ? 0x90 : 0x40) + any(w, 16)));
		break;
	case 10: /* adc, sbb and others */
		put_between(w, 0, (uint8_t)(any(w, 8) * 8 + 1));
		break;
	default:
		put_between(w, 0, any(w, 2) ? 0x8b : 0x85);
	}
}

/* What moves: add, sub, lea or inc. Returns by how much. */
static int put_move_on(struct writer *w, uint8_t reg)
{
	static const int8_t steps[] = {1, 2, 4, 8, 8, 16, 16, 24, -4, -8, -16, 100, 3};
	int8_t by = steps[any(w, sizeof(steps))];

	switch (any(w, 4)) {
	case 0:
		put(w, (uint8_t[]){0x48, 0x83, 0xe8 | reg, (uint8_t)-by}, 4);
		return by;
	case 1:
		put(w, (uint8_t[]){0x48, 0x8d, 0x40 | reg << 3 | reg, (uint8_t)by}, 4);
		return by;
	case 2:
		put(w, (uint8_t[]){0x48, 0xff, (by < 0 ? 0xc8 : 0xc0) | reg}, 3);
		return by < 0 ? -1 : 1;
	default:
		put(w, (uint8_t[]){0x48, 0x83, 0xc0 | reg, (uint8_t)by}, 4);
		return by;
	}
}

/* cmp al or test, and a branch out: returns where its displacement stands. */
static uint32_t put_way_out(struct writer *w)
{
	uint8_t r = passenger(w);

	if (any(w, 3))
		put(w, (uint8_t[]){0x40 | (r & 8 ? 1 : 0), 0x83, 0xf8 | (r & 7), any(w, 4)}, 4);
	put(w, (uint8_t[]){0x70 | any(w, 16), 0}, 2);
	return w->n - 1;
}

static void begin_passage(struct writer *w, struct passage *passage)
{
	passage->indexed = any(w, 3) == 0;
	passage->scale = (uint8_t)any(w, 4);
	passage->second = any(w, 3) == 0 ? RDI : 0;
	PUT(w, "\x48\x8d\xb3"); /* lea rsi, [rbx + d] */
	put32(w, (any(w, 3) - 1) * 0x1000 + any(w, 20) * 16 - 0xf0 + (any(w, 4) ? 0 : any(w, 16)));
	put(w, (uint8_t[]){0x48, 0x8d, 0xb8 | (any(w, 2) ? 3 : 5)},
	    3); /* lea rdi, [rbx or rbp + d] */
	put32(w, any(w, 0x1000) - 0x800);
	if (passage->indexed) {
		PUT(w, "\xb9"); /* mov ecx, n */
		put32(w, any(w, 40));
	}
}

/*
 * A loop that is one for the jit too: it goes through memory by a constant, has ways out, and ends
 * by a counter in memory, a comparison, or a jump back. Its first rounds often lie in one page, and
 * later ones in the next.
 */
void put_rounds(struct writer *w)
{
	struct passage passage;
	uint32_t out[4], n_out = 0, top, insns = 1 + any(w, 6);

	begin_passage(w, &passage);
	put(w, (uint8_t[]){0xc7, 0x83}, 2); /* mov dword [rbx + 0x700], n */
	put32(w, 0x700);
	put32(w, 1 + any(w, any(w, 3) ? 40 : 8));
	top = w->n;
	while (insns--) {
		put_in_round(w, &passage);
		if (n_out < 2 && any(w, 6) == 0)
			out[n_out++] = put_way_out(w);
	}
	put_move_on(w, passage.indexed ? RCX : RSI);
	if (passage.second)
		put_move_on(w, RDI);
	put(w, (uint8_t[]){0xff, 0x8b}, 2); /* dec dword [rbx + 0x700]; or sub */
	put32(w, 0x700);
	if (any(w, 4) == 0)
		put_in_round(w, &passage);
	if (any(w, 3)) {
		put(w, (uint8_t[]){0x83, 0xbb}, 2); /* cmp dword [rbx + 0x700], 0 */
		put32(w, 0x700);
		w->code[w->n++] = 0;
	}
	if (any(w, 4)) {
		put(w, (uint8_t[]){0x0f, 0x85}, 2); /* jnz top */
		put32(w, top - (w->n + 4));
	} else {
		put(w, (uint8_t[]){0x74, 0}, 2); /* jz out; jmp top */
		out[n_out++] = w->n - 1;
		PUT(w, "\xe9");
		put32(w, top - (w->n + 4));
	}
	for (unsigned i = 0; i < n_out; i++)
		w->code[out[i]] = (uint8_t)(w->n - out[i] - 1);
}
