#include "tests/cpu/random_pieces.h"

/* opcode /extension [rbx + d] */
static void put_x87_memory(struct writer *w, uint8_t opcode, unsigned extension)
{
	put(w, (uint8_t[]){opcode, 0x83 | extension << 3}, 2);
	put32(w, any(w, 8) ? any(w, 0x200) * 8 - 0x800 : any(w, 0x2ff0) - 0x1800);
}

/* x87 and MMX: loads, stores and operations on memory and the stack, comparisons that set flags,
 * the control word with what it unmasks, and what ends MMX. */
void put_x87(struct writer *w)
{
	static const uint8_t on_memory[][2] = {
		{0xd9, 0}, {0xdd, 0}, {0xdb, 0}, {0xdf, 5}, {0xd8, 0}, {0xdc, 1},
		{0xd8, 6}, {0xda, 4}, {0xd9, 2}, {0xd9, 3}, {0xdd, 2}, {0xdd, 3},
		{0xdb, 2}, {0xdb, 3}, {0xdf, 7}, {0xdd, 1}, {0xdd, 7}, {0xd9, 7},
		{0xdb, 5}, {0xdb, 7}, {0xd8, 2}, {0xdc, 3}};
	static const uint8_t on_stack[][2] = {
		{0xd9, 0xe8}, {0xd9, 0xeb}, {0xd9, 0xc9}, {0xde, 0xc1}, {0xda, 0xc1}, {0xdb, 0xf1},
		{0xdf, 0xe0}, {0xd9, 0xe0}, {0xd9, 0xfa}, {0xdd, 0xc2}, {0xdf, 0xf1}, {0xd8, 0xf9},
		{0xd9, 0xf7}, {0xd9, 0xee}, {0xdb, 0xe3}, {0xdb, 0xe2}};
	static const uint8_t mmx[] = {0x6f, 0x7f, 0xef, 0xfd, 0x6e, 0x7e, 0xe7, 0xf6};
	unsigned n;

	switch (any(w, 8)) {
	case 0:
	case 1:
	case 2:
		n = any(w, sizeof(on_memory) / sizeof(on_memory[0]));
		put_x87_memory(w, on_memory[n][0], on_memory[n][1]);
		break;
	case 3:
	case 4:
		put(w, on_stack[any(w, sizeof(on_stack) / sizeof(on_stack[0]))], 2);
		break;
	case 5:
		put(w, (uint8_t[]){0x0f, mmx[any(w, sizeof(mmx))], 0x83 | any(w, 8) << 3}, 3);
		put32(w, any(w, 0x200) * 8 - 0x800);
		break;
	case 6: /* emms; pmovmskb eax, mm; movq2dq */
		put(w,
		    any(w, 2) ? (const uint8_t *)"\x0f\x77\x90" : (const uint8_t *)"\x0f\xd7\xc1",
		    3);
		break;
	default: /* mov word [rbx], cw; fldcw [rbx] */
		PUT(w, "\x66\xc7\x03");
		w->code[w->n++] = any(w, 3) ? 0x7f : (uint8_t)any(w, 256);
		w->code[w->n++] = (uint8_t)any(w, 16);
		PUT(w, "\xd9\x2b");
	}
}
