#include "tests/cpu/encodings.h"

#include <string.h>

struct walk {
	encoding_visit visit;
	void *ctx;
	uint8_t bytes[ENCODING_BYTES];
};

/* ModRM is at bytes[n]. Memory: by a register, with SIB, without a base (RIP in 64-bit code). */
static void visit_operands(struct walk *walk, unsigned n)
{
	static const uint8_t memory[] = {0, 4, 5};

	for (unsigned reg = 0; reg < 8; reg++) {
		for (unsigned i = 0; i < sizeof(memory); i++) {
			walk->bytes[n] = (uint8_t)(reg << 3 | memory[i]);
			walk->visit(walk->ctx, walk->bytes);
		}
		for (unsigned rm = 0; rm < 8; rm++) {
			walk->bytes[n] = (uint8_t)(0xc0 | reg << 3 | rm);
			walk->visit(walk->ctx, walk->bytes);
		}
	}
	walk->bytes[n] = 0;
}

/* Likewise where a register operand's number says nothing. */
static void visit_few_operands(struct walk *walk, unsigned n)
{
	static const uint8_t operand[] = {0, 4, 0xc0, 0xc1};

	for (unsigned reg = 0; reg < 8; reg++)
		for (unsigned i = 0; i < sizeof(operand); i++) {
			walk->bytes[n] = (uint8_t)(reg << 3 | operand[i]);
			walk->visit(walk->ctx, walk->bytes);
		}
	walk->bytes[n] = 0;
}

static void visit_opcodes(struct walk *walk, unsigned n,
			  void (*operands)(struct walk *walk, unsigned n))
{
	for (unsigned opcode = 0; opcode < 256; opcode++) {
		walk->bytes[n] = (uint8_t)opcode;
		operands(walk, n + 1);
	}
	walk->bytes[n] = 0;
}

/* ---- legacy maps ---- */

static void visit_maps(struct walk *walk, unsigned n)
{
	visit_opcodes(walk, n, visit_operands);
	walk->bytes[n] = 0x0f;
	visit_opcodes(walk, n + 1, visit_operands);
	walk->bytes[n + 1] = 0x38;
	visit_opcodes(walk, n + 2, visit_operands);
	walk->bytes[n + 1] = 0x3a;
	visit_opcodes(walk, n + 2, visit_operands);
	memset(walk->bytes + n, 0, 2);
}

static void visit_legacy(struct walk *walk, bool bits64)
{
	static const struct {
		uint8_t bytes[2], n;
	} prefixes[] = {{{0}, 0},    {{0x66}, 1},       {{0xf2}, 1},      {{0xf3}, 1},
			{{0xf0}, 1}, {{0x66, 0xf2}, 2}, {{0x66, 0xf3}, 2}};

	for (unsigned i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		unsigned n = prefixes[i].n;
		memcpy(walk->bytes, prefixes[i].bytes, n);
		visit_maps(walk, n);
		if (bits64) {
			walk->bytes[n] = 0x48;
			visit_maps(walk, n + 1);
		}
		memset(walk->bytes, 0, n + 1);
	}
}

/* The opcode stands behind the operands. */
static void visit_3dnow(struct walk *walk)
{
	walk->bytes[0] = walk->bytes[1] = 0x0f;
	for (unsigned opcode = 0; opcode < 256; opcode++)
		for (unsigned memory = 0; memory < 2; memory++) {
			walk->bytes[2] = memory ? 0 : 0xc0;
			walk->bytes[3] = (uint8_t)opcode;
			walk->visit(walk->ctx, walk->bytes);
		}
	memset(walk->bytes, 0, 4);
}

/* ---- VEX, XOP, EVEX ---- */

/* Inverted: no register, which is number 0, or number 15. */
static const uint8_t vvvv[] = {0x78, 0};

/* The three-byte forms of VEX and XOP. */
static void visit_vex(struct walk *walk, uint8_t first, unsigned map, bool bits64)
{
	unsigned lengths = 2;

	walk->bytes[0] = first;
	walk->bytes[1] = (uint8_t)(0xe0 | map);
	for (unsigned i = 0; i < 2 * 4 * lengths * sizeof(vvvv); i++) {
		uint8_t pp = i & 3, l = i >> 2 & 1, w = i >> 3 & 1, v = vvvv[i >> 4];
		/* Outside of 64-bit code the highest bit of vvvv must be set. */
		walk->bytes[2] = (uint8_t)(w << 7 | (bits64 ? v : v | 0x40) | l << 2 | pp);
		visit_opcodes(walk, 3, visit_few_operands);
	}
	memset(walk->bytes, 0, 3);
}

/* With mask register 1, which all that can be masked takes, and without; with b in registers'
 * rounding and memory's broadcast. */
static void visit_evex(struct walk *walk, unsigned map)
{
	walk->bytes[0] = 0x62;
	walk->bytes[1] = (uint8_t)(0xf0 | map);
	for (unsigned i = 0; i < 2 * 2 * 2 * 4 * 3; i++) {
		uint8_t w = i & 1, aaa = i >> 1 & 1, b = i >> 2 & 1, pp = i >> 3 & 3,
			ll = (uint8_t)(i >> 5);
		walk->bytes[2] = (uint8_t)(w << 7 | 0x7c | pp);
		walk->bytes[3] = (uint8_t)(ll << 5 | b << 4 | 8 | aaa);
		visit_opcodes(walk, 4, visit_few_operands);
		walk->bytes[2] = (uint8_t)(w << 7 | 0x44 | pp);
		visit_opcodes(walk, 4, visit_few_operands);
	}
	memset(walk->bytes, 0, 4);
}

void encodings_each(bool bits64, encoding_visit visit, void *ctx)
{
	struct walk walk = {visit, ctx, {0}};

	visit_legacy(&walk, bits64);
	visit_3dnow(&walk);
	for (unsigned map = 1; map <= 3; map++)
		visit_vex(&walk, 0xc4, map, bits64);
	for (unsigned map = 8; map <= 10; map++)
		visit_vex(&walk, 0x8f, map, bits64);
	for (unsigned map = 1; map <= 6; map++)
		visit_evex(&walk, map);
}
