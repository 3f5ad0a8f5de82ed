#include "gdbstub/agent.h"

#include <string.h>

#define STACK_MAX 100
#define STEPS_MAX 10000

/* The operations that make sense without tracepoints and floating point. */
enum agent_op {
	AGENT_ADD = 0x02,
	AGENT_SUB = 0x03,
	AGENT_MUL = 0x04,
	AGENT_DIV_SIGNED = 0x05,
	AGENT_DIV_UNSIGNED = 0x06,
	AGENT_REM_SIGNED = 0x07,
	AGENT_REM_UNSIGNED = 0x08,
	AGENT_LSH = 0x09,
	AGENT_RSH_SIGNED = 0x0a,
	AGENT_RSH_UNSIGNED = 0x0b,
	AGENT_LOG_NOT = 0x0e,
	AGENT_BIT_AND = 0x0f,
	AGENT_BIT_OR = 0x10,
	AGENT_BIT_XOR = 0x11,
	AGENT_BIT_NOT = 0x12,
	AGENT_EQUAL = 0x13,
	AGENT_LESS_SIGNED = 0x14,
	AGENT_LESS_UNSIGNED = 0x15,
	AGENT_EXT = 0x16,
	AGENT_REF8 = 0x17,
	AGENT_REF16 = 0x18,
	AGENT_REF32 = 0x19,
	AGENT_REF64 = 0x1a,
	AGENT_IF_GOTO = 0x20,
	AGENT_GOTO = 0x21,
	AGENT_CONST8 = 0x22,
	AGENT_CONST16 = 0x23,
	AGENT_CONST32 = 0x24,
	AGENT_CONST64 = 0x25,
	AGENT_REG = 0x26,
	AGENT_END = 0x27,
	AGENT_DUP = 0x28,
	AGENT_POP = 0x29,
	AGENT_ZERO_EXT = 0x2a,
	AGENT_SWAP = 0x2b,
	AGENT_PICK = 0x32,
	AGENT_ROT = 0x33,
	AGENT_OP_COUNT,
};

/* Of each operation: the bytes of its operand, what it takes from the stack and what it puts there.
 */
struct row {
	bool known;
	uint8_t operand_bytes, pops, pushes;
};

static const struct row rows[AGENT_OP_COUNT] = {
	[AGENT_ADD] = {true, 0, 2, 1},          [AGENT_SUB] = {true, 0, 2, 1},
	[AGENT_MUL] = {true, 0, 2, 1},          [AGENT_DIV_SIGNED] = {true, 0, 2, 1},
	[AGENT_DIV_UNSIGNED] = {true, 0, 2, 1}, [AGENT_REM_SIGNED] = {true, 0, 2, 1},
	[AGENT_REM_UNSIGNED] = {true, 0, 2, 1}, [AGENT_LSH] = {true, 0, 2, 1},
	[AGENT_RSH_SIGNED] = {true, 0, 2, 1},   [AGENT_RSH_UNSIGNED] = {true, 0, 2, 1},
	[AGENT_LOG_NOT] = {true, 0, 1, 1},      [AGENT_BIT_AND] = {true, 0, 2, 1},
	[AGENT_BIT_OR] = {true, 0, 2, 1},       [AGENT_BIT_XOR] = {true, 0, 2, 1},
	[AGENT_BIT_NOT] = {true, 0, 1, 1},      [AGENT_EQUAL] = {true, 0, 2, 1},
	[AGENT_LESS_SIGNED] = {true, 0, 2, 1},  [AGENT_LESS_UNSIGNED] = {true, 0, 2, 1},
	[AGENT_EXT] = {true, 1, 1, 1},          [AGENT_REF8] = {true, 0, 1, 1},
	[AGENT_REF16] = {true, 0, 1, 1},        [AGENT_REF32] = {true, 0, 1, 1},
	[AGENT_REF64] = {true, 0, 1, 1},        [AGENT_IF_GOTO] = {true, 2, 1, 0},
	[AGENT_GOTO] = {true, 2, 0, 0},         [AGENT_CONST8] = {true, 1, 0, 1},
	[AGENT_CONST16] = {true, 2, 0, 1},      [AGENT_CONST32] = {true, 4, 0, 1},
	[AGENT_CONST64] = {true, 8, 0, 1},      [AGENT_REG] = {true, 2, 0, 1},
	[AGENT_END] = {true, 0, 1, 1},          [AGENT_DUP] = {true, 0, 1, 2},
	[AGENT_POP] = {true, 0, 1, 0},          [AGENT_ZERO_EXT] = {true, 1, 1, 1},
	[AGENT_SWAP] = {true, 0, 2, 2},         [AGENT_PICK] = {true, 1, 0, 1},
	[AGENT_ROT] = {true, 0, 3, 3},
};

struct agent {
	const uint8_t *code;
	size_t n, at;
	const struct agent_view *view;
	uint64_t stack[STACK_MAX];
	unsigned depth;
};

static bool divide(uint8_t op, uint64_t a, uint64_t b, uint64_t *ret)
{
	bool overflows = a == UINT64_C(1) << 63 && b == UINT64_MAX;

	if (!b)
		return false;
	switch (op) {
	case AGENT_DIV_SIGNED:
		*ret = overflows ? a : (uint64_t)((int64_t)a / (int64_t)b);
		break;
	case AGENT_REM_SIGNED:
		*ret = overflows ? 0 : (uint64_t)((int64_t)a % (int64_t)b);
		break;
	case AGENT_DIV_UNSIGNED:
		*ret = a / b;
		break;
	default:
		*ret = a % b;
	}
	return true;
}

static uint64_t shift(uint8_t op, uint64_t a, uint64_t b)
{
	if (op == AGENT_RSH_SIGNED)
		return (uint64_t)((int64_t)a >> (b > 63 ? 63 : b));
	if (b > 63)
		return 0;
	return op == AGENT_LSH ? a << b : a >> b;
}

/* Operations of two values. */
static bool binary(uint8_t op, uint64_t a, uint64_t b, uint64_t *ret)
{
	switch (op) {
	case AGENT_ADD:
		*ret = a + b;
		return true;
	case AGENT_SUB:
		*ret = a - b;
		return true;
	case AGENT_MUL:
		*ret = a * b;
		return true;
	case AGENT_BIT_AND:
		*ret = a & b;
		return true;
	case AGENT_BIT_OR:
		*ret = a | b;
		return true;
	case AGENT_BIT_XOR:
		*ret = a ^ b;
		return true;
	case AGENT_EQUAL:
		*ret = a == b;
		return true;
	case AGENT_LESS_SIGNED:
		*ret = (int64_t)a < (int64_t)b;
		return true;
	case AGENT_LESS_UNSIGNED:
		*ret = a < b;
		return true;
	case AGENT_LSH:
	case AGENT_RSH_SIGNED:
	case AGENT_RSH_UNSIGNED:
		*ret = shift(op, a, b);
		return true;
	default:
		return divide(op, a, b, ret);
	}
}

static uint64_t extend(uint64_t value, unsigned bits, bool is_signed)
{
	if (!bits || bits > 63)
		return value;
	value <<= 64 - bits;
	return is_signed ? (uint64_t)((int64_t)value >> (64 - bits)) : value >> (64 - bits);
}

static bool fetch(const struct agent *agent, uint64_t address, unsigned bytes, uint64_t *ret)
{
	uint64_t value = 0;

	if (!agent->view->read_memory(agent->view->ctx, address, &value, bytes))
		return false;
	*ret = value;
	return true;
}

static bool jump(struct agent *agent, uint64_t to)
{
	agent->at = to;
	return to < agent->n;
}

/* Operations of one value or none; top is the stack's, behind what the operation pushes. */
static bool unary(struct agent *agent, uint8_t op, uint64_t operand, uint64_t *top)
{
	switch (op) {
	case AGENT_LOG_NOT:
		*top = !*top;
		return true;
	case AGENT_BIT_NOT:
		*top = ~*top;
		return true;
	case AGENT_EXT:
	case AGENT_ZERO_EXT:
		*top = extend(*top, (unsigned)operand, op == AGENT_EXT);
		return true;
	case AGENT_REF8:
	case AGENT_REF16:
	case AGENT_REF32:
	case AGENT_REF64:
		return fetch(agent, *top, 1u << (op - AGENT_REF8), top);
	case AGENT_CONST8:
	case AGENT_CONST16:
	case AGENT_CONST32:
	case AGENT_CONST64:
		*top = operand;
		return true;
	case AGENT_REG:
		return agent->view->read_register(agent->view->ctx, (unsigned)operand, top);
	case AGENT_DUP:
		*top = top[-1];
		return true;
	case AGENT_PICK:
		if (operand + 1 >= agent->depth)
			return false;
		*top = top[-1 - (int)operand];
		return true;
	case AGENT_GOTO:
		return jump(agent, operand);
	default: /* POP, END */
		return true;
	}
}

static void reorder(uint8_t op, uint64_t *top)
{
	uint64_t last = top[0];

	top[0] = top[-1];
	if (op == AGENT_SWAP) {
		top[-1] = last;
		return;
	}
	top[-1] = top[-2]; /* ROT: a b c becomes c a b */
	top[-2] = last;
}

static bool take_operand(struct agent *agent, unsigned bytes, uint64_t *ret)
{
	uint64_t value = 0;

	if (agent->n - agent->at < bytes)
		return false;
	while (bytes--)
		value = value << 8 | agent->code[agent->at++];
	*ret = value;
	return true;
}

/* One operation. Returns false when it cannot be done. */
static bool step(struct agent *agent, uint8_t op)
{
	const struct row *row = op < AGENT_OP_COUNT ? &rows[op] : &rows[0];
	uint64_t operand, *top;

	if (!row->known || !take_operand(agent, row->operand_bytes, &operand) ||
	    agent->depth < row->pops || agent->depth - row->pops + row->pushes > STACK_MAX)
		return false;
	top = agent->stack + agent->depth - 1; /* with an empty stack nothing looks at it */
	if (op == AGENT_IF_GOTO) {
		agent->depth--;
		return !*top || jump(agent, operand);
	}
	agent->depth = agent->depth - row->pops + row->pushes;
	if (op == AGENT_SWAP || op == AGENT_ROT) {
		reorder(op, top);
		return true;
	}
	if (row->pops == 2)
		return binary(op, top[-1], top[0], &top[-1]);
	if (!agent->depth)
		return unary(agent, op, operand, NULL);
	return unary(agent, op, operand, &agent->stack[agent->depth - 1]);
}

bool agent_evaluate(const uint8_t *code, size_t n, const struct agent_view *view,
		    uint64_t *ret_value)
{
	struct agent agent = {.code = code, .n = n, .view = view};

	for (unsigned steps = 0; steps < STEPS_MAX && agent.at < n; steps++) {
		uint8_t op = code[agent.at++];
		if (!step(&agent, op))
			return false;
		if (op == AGENT_END) {
			*ret_value = agent.stack[agent.depth - 1];
			return true;
		}
	}
	return false;
}
