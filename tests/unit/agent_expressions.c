/* Every operation of agent expressions (gdb manual, appendix F), and what they must not do. */
#include <string.h>

#include "gdbstub/agent.h"
#include "tests/tap.h"

#define CODE_MAX 64

/* The registers of the view hold 1000 + number, numbers from 100 on do not exist; memory at 0x1000
 * holds the bytes 0xf0, 0xf1, ... and ends at 0x1010. */
static bool read_register(void *ctx, unsigned number, uint64_t *ret_value)
{
	if (number >= 100)
		return false;
	*ret_value = 1000 + number;
	return true;
}

static bool read_memory(void *ctx, uint64_t address, void *buffer, size_t n)
{
	uint8_t *bytes = buffer;

	if (address < 0x1000 || address + n > 0x1010)
		return false;
	for (size_t i = 0; i < n; i++)
		bytes[i] = (uint8_t)(0xf0 + address - 0x1000 + i);
	return true;
}

#define CONST8(x)  0x22, x
#define CONST16(x) 0x23, (x) >> 8 & 0xff, (x)&0xff
#define END        0x27
#define MINUS(x)   CONST8(0), CONST8(x), 0x03 /* 0 - x */

struct agent_case {
	const char *name;
	uint8_t code[CODE_MAX];
	size_t n;
	bool fails;
	uint64_t value;
};

#define CASE(title, wanted, ...)                                                                   \
	{                                                                                          \
		.name = title, .code = {__VA_ARGS__}, .n = sizeof((const uint8_t[]){__VA_ARGS__}), \
		.value = wanted                                                                    \
	}
#define BAD(title, ...)                                                                            \
	{                                                                                          \
		.name = title, .code = {__VA_ARGS__}, .n = sizeof((const uint8_t[]){__VA_ARGS__}), \
		.fails = true                                                                      \
	}

static const struct agent_case cases[] = {
	CASE("const8", 200, CONST8(200), END),
	CASE("const16", 0x1234, CONST16(0x1234), END),
	CASE("const32", 0x12345678, 0x24, 0x12, 0x34, 0x56, 0x78, END),
	CASE("const64", UINT64_C(0x123456789abcdef0), 0x25, 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc,
	     0xde, 0xf0, END),
	CASE("reg", 1016, 0x26, 0, 16, END),
	CASE("add", 7, CONST8(3), CONST8(4), 0x02, END),
	CASE("sub", 5, CONST8(9), CONST8(4), 0x03, END),
	CASE("sub below zero", (uint64_t)-5, CONST8(4), CONST8(9), 0x03, END),
	CASE("mul", 36, CONST8(9), CONST8(4), 0x04, END),
	CASE("div_signed", (uint64_t)-4, MINUS(9), CONST8(2), 0x05, END),
	CASE("div_signed, the largest", UINT64_C(1) << 63, CONST8(1), CONST8(63), 0x09, MINUS(1),
	     0x05, END),
	CASE("div_unsigned", UINT64_C(0x7ffffffffffffffb), MINUS(9), CONST8(2), 0x06, END),
	CASE("rem_signed", (uint64_t)-1, MINUS(9), CONST8(2), 0x07, END),
	CASE("rem_signed, the largest", 0, CONST8(1), CONST8(63), 0x09, MINUS(1), 0x07, END),
	CASE("rem_unsigned", 1, CONST8(9), CONST8(2), 0x08, END),
	CASE("lsh", 0x90, CONST8(9), CONST8(4), 0x09, END),
	CASE("lsh by all", 0, CONST8(9), CONST8(64), 0x09, END),
	CASE("rsh_signed", (uint64_t)-2, MINUS(8), CONST8(2), 0x0a, END),
	CASE("rsh_signed by all", UINT64_MAX, MINUS(8), CONST8(200), 0x0a, END),
	CASE("rsh_unsigned", 2, CONST8(8), CONST8(2), 0x0b, END),
	CASE("rsh_unsigned by all", 0, MINUS(8), CONST8(64), 0x0b, END),
	CASE("log_not of 0", 1, CONST8(0), 0x0e, END),
	CASE("log_not of 5", 0, CONST8(5), 0x0e, END),
	CASE("bit_and", 8, CONST8(12), CONST8(9), 0x0f, END),
	CASE("bit_or", 13, CONST8(12), CONST8(9), 0x10, END),
	CASE("bit_xor", 5, CONST8(12), CONST8(9), 0x11, END),
	CASE("bit_not", UINT64_MAX - 12, CONST8(12), 0x12, END),
	CASE("equal", 1, CONST8(9), CONST8(9), 0x13, END),
	CASE("not equal", 0, CONST8(9), CONST8(8), 0x13, END),
	CASE("less_signed", 1, MINUS(1), CONST8(1), 0x14, END),
	CASE("less_unsigned", 0, MINUS(1), CONST8(1), 0x15, END),
	CASE("ext 8", (uint64_t)-128, CONST8(128), 0x16, 8, END),
	CASE("ext 16 of a positive", 0x7fff, CONST16(0x7fff), 0x16, 16, END),
	CASE("ext 64", UINT64_MAX, MINUS(1), 0x16, 64, END),
	CASE("zero_ext", 0xff, MINUS(1), 0x2a, 8, END),
	CASE("ref8", 0xf3, CONST16(0x1003), 0x17, END),
	CASE("ref16", 0xf4f3, CONST16(0x1003), 0x18, END),
	CASE("ref32", 0xf6f5f4f3, CONST16(0x1003), 0x19, END),
	CASE("ref64", UINT64_C(0xfaf9f8f7f6f5f4f3), CONST16(0x1003), 0x1a, END),
	CASE("if_goto taken", 2, CONST8(1), 0x20, 0, 8, CONST8(1), END, CONST8(2), END),
	CASE("if_goto not taken", 1, CONST8(0), 0x20, 0, 8, CONST8(1), END, CONST8(2), END),
	CASE("goto", 2, 0x21, 0, 6, CONST8(1), END, CONST8(2), END),
	CASE("dup", 6, CONST8(3), 0x28, 0x02, END),
	CASE("pop", 3, CONST8(3), CONST8(4), 0x29, END),
	CASE("swap", 1, CONST8(3), CONST8(4), 0x2b, 0x03, END),
	CASE("pick 0", 4, CONST8(3), CONST8(4), 0x32, 0, END),
	CASE("pick 1", 3, CONST8(3), CONST8(4), 0x32, 1, END),
	CASE("pick 2", 2, CONST8(2), CONST8(3), CONST8(4), 0x32, 2, END),
	CASE("rot: a b c becomes c a b", 3, CONST8(2), CONST8(3), CONST8(4), 0x33, END),
	CASE("rot twice", 2, CONST8(2), CONST8(3), CONST8(4), 0x33, 0x33, END),
	BAD("nothing"),
	BAD("no end", CONST8(1)),
	BAD("end with nothing on the stack", END),
	BAD("an operation that gdb does not send in conditions: float", CONST8(1), 0x01, END),
	BAD("one of tracepoints: trace_quick", CONST8(1), 0x0d, 8, END),
	BAD("one that does not exist", 0xff, END),
	BAD("0x00", 0x00, END),
	BAD("add of one", CONST8(1), 0x02, END),
	BAD("dup of none", 0x28, END),
	BAD("swap of one", CONST8(1), 0x2b, END),
	BAD("rot of two", CONST8(1), CONST8(1), 0x33, END),
	BAD("pick too deep", CONST8(1), 0x32, 1, END),
	BAD("pick of none", 0x32, 0, END),
	BAD("division by zero", CONST8(1), CONST8(0), 0x06, END),
	BAD("remainder by zero", CONST8(1), CONST8(0), 0x07, END),
	BAD("a register that does not exist", 0x26, 0, 100, END),
	BAD("memory that is not there", CONST16(0x1009), 0x1a, END),
	BAD("goto to nowhere", 0x21, 0, 100, END),
	BAD("goto to the end", 0x21, 0, 4, END),
	BAD("a loop", 0x21, 0, 0, END),
	BAD("a stack without bounds", CONST8(1), 0x21, 0, 0, END),
	BAD("an operand that is cut off", 0x25, 1, 2, 3),
};

int main(void)
{
	const struct agent_view view = {read_register, read_memory, NULL};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct agent_case *c = &cases[i];
		uint64_t value = 12345;
		bool good = agent_evaluate(c->code, c->n, &view, &value);
		if (!tap_ok(good != c->fails && value == (c->fails ? 12345 : c->value), "%s",
			    c->name))
			tap_note("%s, value 0x%llx", good ? "evaluated" : "refused",
				 (unsigned long long)value);
	}
	return tap_done();
}
