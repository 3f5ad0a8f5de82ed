/* Comparing what the host and the machine made of a case. */
#include "tests/cpu/vector_compare.h"

#include <string.h>

#include <Zydis/Zydis.h>

#include "tests/tap.h"

/* ---- what is forgiven ---- */

/* Of the registers: pointers, mask, reserved bytes. */
static void clear_undefined(struct fx_state *fx)
{
	fx->fop = 0;
	fx->fip = fx->fdp = 0;
	fx->reserved = 0;
	fx->mxcsr_mask = 0;
	memset(fx->unused, 0, sizeof(fx->unused));
	for (unsigned i = 0; i < 8; i++)
		memset(fx->st[i] + 10, 0, 6);
}

/* Of what was stored: the pointers, which are 0 in the machine, and the mask. */
static void clear_stored(const struct vector_part *part, struct vector_side host,
			 struct vector_side machine)
{
	uint64_t at = part->address - VECTOR_DATA;
	bool short_form = part->form->prefix;

	switch (part->insn.mnemonic) {
	case ZYDIS_MNEMONIC_FXSAVE:
	case ZYDIS_MNEMONIC_FXSAVE64:
		memset(host.data + at + 6, 0, 18);
		memcpy(host.data + at + 28, machine.data + at + 28, 4);
		break;
	case ZYDIS_MNEMONIC_FNSTENV:
	case ZYDIS_MNEMONIC_FNSAVE:
		memset(host.data + at + (short_form ? 6 : 12), 0, short_form ? 8 : 14);
		break;
	default:
		break;
	}
}

/* FCOMI and its relatives. */
static bool sets_flags_by_x87(const struct vector_form *form)
{
	return form->map == 0 && (form->opcode == 0xdb || form->opcode == 0xdf) && !form->memory;
}

static bool has_mmx(const struct insn *insn)
{
	for (unsigned i = 0; i < insn->n_operands; i++)
		if (insn->operand[i].kind == OPERAND_REG && insn->operand[i].reg_class == REG_MMX)
			return true;
	return false;
}

static bool is_address_fault(unsigned vector)
{
	return vector == VECTOR_PF || vector == VECTOR_GP || vector == VECTOR_SS;
}

/* Bytes of the operands that processors access in pieces; 0: it is none of them. */
static unsigned pieces_bytes(const struct vector_part *part)
{
	switch (part->insn.mnemonic) {
	case ZYDIS_MNEMONIC_FXSAVE:
	case ZYDIS_MNEMONIC_FXSAVE64:
	case ZYDIS_MNEMONIC_FXRSTOR:
	case ZYDIS_MNEMONIC_FXRSTOR64:
		return 512;
	case ZYDIS_MNEMONIC_FNSAVE:
	case ZYDIS_MNEMONIC_FRSTOR:
		return 108;
	case ZYDIS_MNEMONIC_FNSTENV:
	case ZYDIS_MNEMONIC_FLDENV:
		return 28;
	case ZYDIS_MNEMONIC_MASKMOVDQU:
		return 16;
	case ZYDIS_MNEMONIC_FBSTP:
		return 10;
	case ZYDIS_MNEMONIC_FSTP:
		return part->form->memory && part->form->opcode == 0xdb ? 10 : 0;
	default:
		return 0;
	}
}

static bool is_nan(const uint8_t *p, unsigned bytes)
{
	uint64_t value = 0;

	memcpy(&value, p, bytes);
	return bytes == 4 ? value << 33 > UINT64_C(0xff000000) << 32
			  : value << 1 > UINT64_C(0xffe0000000000000);
}

/* Takes NaNs of 4 or 8 bytes for the same. */
static void forgive_nans(struct fx_state *host, const struct fx_state *machine, unsigned bytes)
{
	for (unsigned i = 0; i < sizeof(host->xmm); i += bytes) {
		uint8_t *h = &host->xmm[0][0] + i;
		const uint8_t *m = &machine->xmm[0][0] + i;
		if (is_nan(h, bytes) && is_nan(m, bytes))
			memcpy(h, m, bytes);
	}
}

/* Any piece that has a fault may be the first to be accessed, and those before it are stored. */
static void forgive_pieces(const struct vector_part *part, struct vector_side host,
			   struct vector_side machine)
{
	struct vector_outcome *h = host.outcome;
	const struct vector_outcome *m = machine.outcome;
	unsigned bytes = pieces_bytes(part);

	if (h->vector != VECTOR_PF || m->vector != VECTOR_PF || h->cr2 - part->address >= bytes)
		return;
	if (h->cr2 / 4096 != m->cr2 / 4096)
		h->error = m->error;
	h->cr2 = m->cr2;
	for (uint64_t at = part->address - VECTOR_DATA, end = at + bytes; at < end; at++)
		if (vector_pages[at / 4096] == VECTOR_PAGE_RW)
			host.data[at] = machine.data[at];
}

/*
 * Which of two things that are wrong with an address comes first. The machine does as Intel's
 * processors do (vector_state_test.c has its side): misalignment before #SS for what is not
 * canonical, an exception that stops an x87 store before any fault of its address. Not tried on
 * others.
 */
static void forgive_order(const struct vector_part *part, struct vector_outcome *host,
			  const struct vector_outcome *machine)
{
	const struct fx_state *fx = &machine->state.fx;
	bool x87 = part->form->map == 0 && part->form->memory;

	if (host->vector == VECTOR_SS && machine->vector == VECTOR_GP && part->address % 16)
		host->vector = VECTOR_GP;
	if (x87 && is_address_fault(host->vector) && machine->vector == VECTOR_RETIRED &&
	    (fx->fsw & ~fx->fcw & 0x1f))
		*host = *machine;
}

/*
 * Where CPU models differ, and the one thing the machine does not know:
 *  - FCOMI that raises an unmasked invalid operation changes RFLAGS on AMD, not by the SDM;
 *  - a conversion that raises #XM has already made the switch to MMX on AMD, a store of MMX that
 *    faults on Intel; in the machine an instruction that faults has changed nothing;
 *  - of several NaNs, DPPS and DPPD give another on Intel's processors than on AMD's and in the
 *    machine;
 *  - whether a result that overflows or underflows, unmasked, would be inexact with an unbounded
 *    exponent (PE beside OE or UE in MXCSR).
 */
static void forgive_models(const struct vector_part *part, struct vector_outcome *host,
			   struct vector_outcome *machine)
{
	const struct vector_form *form = part->form;
	struct fx_state *h = &host->state.fx, *m = &machine->state.fx;

	if (sets_flags_by_x87(form) && (h->fsw & ~h->fcw & 1))
		host->state.flags = machine->state.flags;
	if (form->mnemonic == ZYDIS_MNEMONIC_DPPS)
		forgive_nans(h, m, 4);
	if (form->mnemonic == ZYDIS_MNEMONIC_DPPD)
		forgive_nans(h, m, 8);
	if (has_mmx(&part->insn) && host->vector == machine->vector &&
	    (is_address_fault(host->vector) || host->vector == VECTOR_XM)) {
		h->fsw = m->fsw;
		h->ftw = m->ftw;
		memcpy(h->st, m->st, sizeof(m->st));
	}
	if (host->vector != VECTOR_XM || machine->vector != VECTOR_XM)
		return;
	if (h->mxcsr & ~(h->mxcsr >> 7) & 0x18) {
		h->mxcsr |= 0x20;
		m->mxcsr |= 0x20;
	}
}

/*
 * Faults of pages, and of what is not canonical, have been compared with Intel's processors alone
 * so far. Others may differ in ways that nobody has looked at (docs/undefined-flags.md has those
 * that are known): what they do there is not compared.
 */
static bool is_untried(const struct vector_part *part, const struct vector_outcome *host,
		       const struct vector_outcome *machine)
{
	bool fault = is_address_fault(host->vector) || is_address_fault(machine->vector);

	if (__builtin_cpu_is("intel"))
		return false;
	return host->vector == VECTOR_PF || machine->vector == VECTOR_PF ||
	       (fault && !vector_is_canonical(part->address));
}

void vector_forgive(const struct vector_sequence *sequence, struct vector_side host,
		    struct vector_side machine)
{
	const struct vector_part *end = vector_sequence_end(sequence);

	if (is_untried(end, host.outcome, machine.outcome)) {
		*host.outcome = *machine.outcome;
		vector_copy_data(host.data, machine.data);
		return;
	}
	clear_undefined(&host.outcome->state.fx);
	clear_undefined(&machine.outcome->state.fx);
	if (host.outcome->vector == VECTOR_RETIRED && machine.outcome->vector == VECTOR_RETIRED)
		clear_stored(end, host, machine);
	forgive_order(end, host.outcome, machine.outcome);
	forgive_pieces(end, host, machine);
	forgive_models(end, host.outcome, machine.outcome);
}

/* ---- differences ---- */

/* The bits of a page fault's error code that the architecture fixes: P, W, U, I. */
#define PF_ERROR_MASK 0x17u

static bool data_differs(const uint8_t *a, const uint8_t *b)
{
	for (unsigned i = 0; i < VECTOR_PAGES; i++)
		if (vector_pages[i] != VECTOR_PAGE_ABSENT &&
		    memcmp(a + 4096 * i, b + 4096 * i, 4096))
			return true;
	return false;
}

void vector_copy_data(uint8_t *to, const uint8_t *from)
{
	memcpy(to, from, VECTOR_DATA_BYTES);
}

static const char *state_difference(const struct vector_state *x, const struct vector_state *y)
{
	if (x->rip != y->rip)
		return "rip";
	if (memcmp(x->fx.xmm, y->fx.xmm, sizeof(x->fx.xmm)))
		return "xmm";
	if (x->fx.mxcsr != y->fx.mxcsr)
		return "mxcsr";
	if (x->fx.fcw != y->fx.fcw)
		return "fcw";
	if (x->fx.fsw != y->fx.fsw)
		return "fsw";
	if (x->fx.ftw != y->fx.ftw)
		return "ftw";
	if (memcmp(x->fx.st, y->fx.st, sizeof(x->fx.st)))
		return "st";
	if (memcmp(x->gpr, y->gpr, sizeof(x->gpr)))
		return "gpr";
	if (x->flags != y->flags)
		return "flags";
	return NULL;
}

const char *vector_difference(struct vector_side a, struct vector_side b)
{
	const char *what = state_difference(&a.outcome->state, &b.outcome->state);

	if (a.outcome->vector != b.outcome->vector)
		return "vector";
	if (what)
		return what;
	if ((a.outcome->error ^ b.outcome->error) & PF_ERROR_MASK)
		return "error code";
	if (a.outcome->cr2 != b.outcome->cr2)
		return "CR2";
	return data_differs(a.data, b.data) ? "memory" : NULL;
}

/* ---- reports ---- */

static void note_bytes(const char *what, const uint8_t *bytes, unsigned n)
{
	char text[3 * 64 + 1] = "";

	for (unsigned i = 0; i < n && i < 64; i++)
		snprintf(text + 3 * i, 4, "%02x ", bytes[i]);
	tap_note("  %s %s", what, text);
}

static void note_outcome(const char *who, const struct vector_state *s,
			 const struct vector_outcome *out)
{
	tap_note("%s: mxcsr %x fcw %x fsw %x ftw %x flags %x rip +%llx", who, s->fx.mxcsr,
		 s->fx.fcw, s->fx.fsw, s->fx.ftw, s->flags, (unsigned long long)s->rip);
	if (out)
		tap_note("        vector %u error %x cr2 %llx", out->vector, out->error,
			 (unsigned long long)out->cr2);
}

static void note_registers(const struct vector_state *in, const struct vector_state *a,
			   const struct vector_state *b)
{
	for (unsigned i = 0; i < 16; i++)
		if (memcmp(a->fx.xmm[i], b->fx.xmm[i], 16)) {
			tap_note(" xmm%u", i);
			note_bytes("before", in->fx.xmm[i], 16);
			note_bytes("1     ", a->fx.xmm[i], 16);
			note_bytes("2     ", b->fx.xmm[i], 16);
		}
	for (unsigned i = 0; i < 8; i++)
		if (memcmp(a->fx.st[i], b->fx.st[i], 16)) {
			tap_note(" st%u", i);
			note_bytes("before", in->fx.st[i], 10);
			note_bytes("1     ", a->fx.st[i], 10);
			note_bytes("2     ", b->fx.st[i], 10);
		}
	for (unsigned i = 0; i < 16; i++)
		if (a->gpr[i] != b->gpr[i])
			tap_note(" gpr%u: before %llx, 1 %llx, 2 %llx", i,
				 (unsigned long long)in->gpr[i], (unsigned long long)a->gpr[i],
				 (unsigned long long)b->gpr[i]);
}

static void note_data(const uint8_t *a, const uint8_t *b)
{
	for (unsigned i = 0; i < VECTOR_DATA_BYTES; i++) {
		unsigned n = VECTOR_DATA_BYTES - i < 32 ? VECTOR_DATA_BYTES - i : 32;
		if (a[i] == b[i] || vector_pages[i / 4096] == VECTOR_PAGE_ABSENT)
			continue;
		tap_note(" memory at %llx", (unsigned long long)VECTOR_DATA + i);
		note_bytes("1     ", a + i, n);
		note_bytes("2     ", b + i, n);
		break;
	}
}

void vector_note_difference(const struct vector_sequence *sequence, const char *what,
			    const char *names, struct vector_side a, struct vector_side b)
{
	const struct vector_start *start = &sequence->start;

	tap_note("%s differs; %s", what, names);
	for (unsigned i = 0; i < sequence->n; i++) {
		const struct vector_part *part = &sequence->part[i];
		uint64_t in_window = part->address - VECTOR_DATA - start->window;
		tap_note("+%x %s", part->at, vector_mnemonic_name(part->form->mnemonic));
		note_bytes("bytes ", sequence->code + part->at, part->insn.length);
		if (part->form->memory)
			tap_note("  operand at %llx", (unsigned long long)part->address);
		if (part->form->memory && in_window <= VECTOR_WINDOW_BYTES - 16)
			note_bytes("memory", start->data + in_window, 16);
	}
	note_outcome("before", &start->state, NULL);
	note_outcome("1     ", &a.outcome->state, a.outcome);
	note_outcome("2     ", &b.outcome->state, b.outcome);
	note_registers(&start->state, &a.outcome->state, &b.outcome->state);
	note_data(a.data, b.data);
}
