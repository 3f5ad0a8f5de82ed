/*
 * Cases: one instruction or several in a row, each made for the registers that the machine's exec
 * functions have come to by then, so that its memory operand lies in the window. What is not the
 * same on every processor, or in the machine, ends a sequence: nothing reads it.
 */
#include "tests/cpu/vector_case.h"

#include <assert.h>
#include <string.h>

#include <Zydis/Zydis.h>

#include "tests/cpu/vector_guest.h"
#include "vmm/cpu/exec.h"
#include "vmm/cpu/vector/x87.h"

/* How often an instruction is tried for one place. */
#define TRIES 100

#define X87_MAP 0

struct builder {
	struct vector_random *random;
	struct machine *machine;
	struct vector_sequence *s;
};

static bool is_masked_store(const struct insn *insn)
{
	return insn->mnemonic == ZYDIS_MNEMONIC_MASKMOVDQU ||
	       insn->mnemonic == ZYDIS_MNEMONIC_MASKMOVQ;
}

static uint64_t masked_store_address(const struct cpu *cpu, const struct insn *insn)
{
	return insn->addr_size == 4 ? (uint32_t)cpu->gpr[RDI] : cpu->gpr[RDI];
}

/*
 * Whether a masked store faults because of bytes that it does not store is left open by the
 * manual. True when no such byte can matter.
 */
static bool masked_store_is_sure(const struct cpu *cpu, const struct insn *insn)
{
	uint64_t address = masked_store_address(cpu, insn);

	return vector_is_writable(address, insn->mnemonic == ZYDIS_MNEMONIC_MASKMOVQ ? 8 : 16);
}

/* Makes it store every byte; the registers are those of the start and of the machine. */
static void mask_everything(struct builder *b, const struct insn *insn)
{
	struct fx_state *fx = &machine_current(b->machine)->fx;
	unsigned reg = insn->operand[1].reg;
	bool xmm = insn->mnemonic == ZYDIS_MNEMONIC_MASKMOVDQU;
	uint8_t *mask = xmm ? fx->xmm[reg] : fx->st[(reg - (fx->fsw >> 11)) & 7];

	for (unsigned i = 0; i < (xmm ? 16 : 8); i++)
		mask[i] |= 0x80;
	b->s->start.state.fx = *fx;
}

/* An address in the sandbox, or none at all. */
static bool operand_is_safe(const struct cpu *cpu, const struct insn *insn)
{
	uint64_t address = masked_store_address(cpu, insn);

	return !is_masked_store(insn) || address - VECTOR_DATA < VECTOR_DATA_BYTES - 16 ||
	       !vector_is_canonical(address);
}

static void choose_address(struct builder *b, const struct vector_form *form,
			   struct vector_address *ret_address)
{
	const struct vector_start *start = &b->s->start;
	const uint64_t *gpr = machine_current(b->machine)->gpr;

	if (vector_form_loads_image(form) && (start->calm || random_below(b->random, 4)))
		vector_address_make_at(b->random, gpr, VECTOR_DATA + start->window + VECTOR_IMAGE,
				       ret_address);
	else
		vector_address_make(b->random, gpr, start, ret_address);
}

/* Encodes it behind what is there. */
static bool place(struct builder *b, const struct vector_form *form)
{
	struct vector_sequence *s = b->s;
	struct vector_part *part = &s->part[s->n];
	uint8_t *bytes = s->code + s->length;
	struct vector_address address;
	unsigned disp_at;

	memset(bytes, 0, INSN_MAX_BYTES);
	choose_address(b, form, &address);
	vector_form_encode(form, b->random, &address, bytes, &disp_at);
	if (insn_decode(bytes, INSN_MAX_BYTES, MODE_CODE64, &part->insn) != INSN_OK ||
	    !operand_is_safe(machine_current(b->machine), &part->insn))
		return false;
	if (disp_at && address.rip_relative) {
		vector_address_finish(&address, VECTOR_CODE + s->length, part->insn.length,
				      bytes + disp_at);
		insn_decode(bytes, INSN_MAX_BYTES, MODE_CODE64, &part->insn);
	}
	assert(part->insn.mnemonic == form->mnemonic);
	part->form = form;
	part->at = s->length;
	part->address = is_masked_store(&part->insn)
				? masked_store_address(machine_current(b->machine), &part->insn)
				: address.linear;
	s->length += part->insn.length;
	s->n++;
	return true;
}

/* Runs the last part. Returns true when it retired. */
static bool step(struct builder *b)
{
	struct cpu *cpu = machine_current(b->machine);
	struct vector_outcome *out = &b->s->out;

	out->vector = vector_guest_step(b->machine, &b->s->part[b->s->n - 1].insn);
	out->error = out->cr2 = 0;
	if (out->vector == VECTOR_RETIRED)
		return true;
	if (cpu->fault.has_error)
		out->error = cpu->fault.error;
	if (out->vector == VECTOR_PF)
		out->cr2 = cpu->fault.address;
	cpu->stop = CPU_STOP_NONE;
	return false;
}

/* After these, what can be read differs: pointers that the machine has as 0, which of several NaNs
 * a result is, flags after an unmasked invalid operation. */
static bool ends_sequence(const struct vector_part *part, const struct fx_state *fx)
{
	switch (part->insn.mnemonic) {
	case ZYDIS_MNEMONIC_FXSAVE:
	case ZYDIS_MNEMONIC_FXSAVE64:
	case ZYDIS_MNEMONIC_FNSAVE:
	case ZYDIS_MNEMONIC_FNSTENV:
	case ZYDIS_MNEMONIC_DPPS:
	case ZYDIS_MNEMONIC_DPPD:
		return true;
	case ZYDIS_MNEMONIC_FCOMI:
	case ZYDIS_MNEMONIC_FCOMIP:
	case ZYDIS_MNEMONIC_FUCOMI:
	case ZYDIS_MNEMONIC_FUCOMIP:
		return fx->fsw & ~fx->fcw & FSW_IE;
	default:
		return false;
	}
}

bool vector_single_make(struct vector_random *random, const struct vector_form *form,
			struct machine *machine, struct vector_sequence *ret_sequence)
{
	struct builder b = {.random = random, .machine = machine, .s = ret_sequence};
	struct vector_start *start = &ret_sequence->start;
	const struct vector_part *part = ret_sequence->part;

	ret_sequence->n = ret_sequence->length = 0;
	vector_start_make(form, random, start);
	vector_guest_load(machine, start);
	if (!place(&b, form))
		return false;
	if (vector_form_loads_image(form)) {
		vector_start_put_image(start, random, part->address);
		vector_guest_load(machine, start);
	}
	if (is_masked_store(&part->insn) &&
	    !masked_store_is_sure(machine_current(machine), &part->insn))
		mask_everything(&b, &part->insn);
	step(&b);
	vector_guest_save(machine, &ret_sequence->out.state);
	return true;
}

/* There are many more encodings of x87 than of the others. */
static const struct vector_form *choose_form(struct vector_random *random,
					     const struct vector_form *forms, unsigned n,
					     unsigned x87_in_8)
{
	bool x87 = random_below(random, 8) < x87_in_8;

	for (;;) {
		const struct vector_form *form = &forms[random_below(random, n)];
		if ((form->map == X87_MAP) == x87)
			return form;
	}
}

static bool place_any(struct builder *b, const struct vector_form *forms, unsigned n,
		      unsigned x87_in_8)
{
	for (unsigned i = 0; i < TRIES; i++) {
		const struct vector_form *form = choose_form(b->random, forms, n, x87_in_8);
		const struct vector_part *part = &b->s->part[b->s->n];
		if (!place(b, form))
			continue;
		if (!is_masked_store(&part->insn) ||
		    masked_store_is_sure(machine_current(b->machine), &part->insn))
			return true;
		b->s->length = part->at;
		b->s->n--;
	}
	return false;
}

bool vector_sequence_make(struct vector_random *random, const struct vector_form *forms, unsigned n,
			  struct machine *machine, struct vector_sequence *ret_sequence)
{
	static const uint8_t x87_in_8[] = {0, 1, 3, 7};
	struct builder b = {.random = random, .machine = machine, .s = ret_sequence};
	unsigned wanted = 2 + random_below(random, VECTOR_SEQUENCE_MAX - 1);
	unsigned x87 = x87_in_8[random_below(random, 4)];

	ret_sequence->n = ret_sequence->length = 0;
	vector_start_make(NULL, random, &ret_sequence->start);
	vector_guest_load(machine, &ret_sequence->start);
	while (ret_sequence->n < wanted && place_any(&b, forms, n, x87))
		if (!step(&b) ||
		    ends_sequence(vector_sequence_end(ret_sequence), &machine_current(machine)->fx))
			break;
	vector_guest_save(machine, &ret_sequence->out.state);
	return ret_sequence->n;
}

const struct vector_part *vector_sequence_end(const struct vector_sequence *sequence)
{
	return &sequence->part[sequence->n - 1];
}
