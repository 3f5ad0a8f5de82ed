/* Forms and starting states of the vector comparison. */
#include "tests/cpu/vector_case.h"

#include <string.h>

#include <Zydis/Zydis.h>

/* xorshift64* */
uint64_t random_next(struct vector_random *random)
{
	random->state ^= random->state >> 12;
	random->state ^= random->state << 25;
	random->state ^= random->state >> 27;
	return random->state * UINT64_C(0x2545f4914f6cdd1d);
}

/* ---- forms ---- */

static const uint16_t tested[] = {
#define ROW(name, function, flags) ZYDIS_MNEMONIC_##name,
#include "vmm/cpu/rows_vector.h"
#undef ROW
};

/* Checked by hand in vector_state_test.c: they depend on more than the registers here. */
static bool is_excluded(uint16_t mnemonic)
{
	switch (mnemonic) {
	case ZYDIS_MNEMONIC_XSAVE:
	case ZYDIS_MNEMONIC_XSAVE64:
	case ZYDIS_MNEMONIC_XRSTOR:
	case ZYDIS_MNEMONIC_XRSTOR64:
	case ZYDIS_MNEMONIC_XGETBV:
	case ZYDIS_MNEMONIC_XSETBV:
		return true;
	default:
		return false;
	}
}

static bool is_tested(uint16_t mnemonic)
{
	for (unsigned i = 0; i < sizeof(tested) / sizeof(tested[0]); i++)
		if (tested[i] == mnemonic)
			return !is_excluded(mnemonic);
	return false;
}

const char *vector_mnemonic_name(uint16_t mnemonic)
{
	if (mnemonic == ZYDIS_MNEMONIC_MOVSD_XMM)
		return "movsd";
	if (mnemonic == ZYDIS_MNEMONIC_CMPSD_XMM)
		return "cmpsd";
	return ZydisMnemonicGetString(mnemonic);
}

/* Opcodes whose ModRM.reg is part of the opcode. */
static bool reg_selects(const struct vector_form *form)
{
	if (form->map == 0)
		return form->opcode >= 0xd8 && form->opcode <= 0xdf;
	return form->map == 1 && ((form->opcode >= 0x71 && form->opcode <= 0x73) ||
				  form->opcode == 0xae || form->opcode == 0x18);
}

/* Register forms where ModRM.rm is part of the opcode, too. */
static bool rm_selects(const struct vector_form *form)
{
	return !form->memory && ((form->map == 0 && form->opcode >= 0xd8 && form->opcode <= 0xdf) ||
				 (form->map == 1 && form->opcode == 0xae));
}

static bool has_modrm(const struct vector_form *form)
{
	return form->map == 0 ? form->opcode != 0x90 && form->opcode != 0x9b
			      : form->map != 1 || form->opcode != 0x77;
}

static uint8_t *put(uint8_t *p, uint64_t number, unsigned n)
{
	memcpy(p, &number, n);
	return p + n;
}

/* The mandatory prefix and the address's, in any order; then REX. */
static uint8_t *put_prefixes(const struct vector_form *form, struct vector_random *random,
			     const struct vector_address *address, uint8_t *p)
{
	uint8_t rex = form->rex_w ? 0x48 : 0;
	bool first = random_below(random, 2);

	if (form->memory && has_modrm(form) && address->rex)
		rex |= 0x40 | address->rex;
	if (form->map && form->reg == 0xff && random_below(random, 2))
		rex |= 0x44;
	if (form->map && !form->memory && form->rm == 0xff && random_below(random, 2))
		rex |= 0x41;
	if (form->prefix && first)
		*p++ = form->prefix;
	for (unsigned i = 0; i < address->n_prefixes; i++)
		*p++ = address->prefix[i];
	if (form->prefix && !first)
		*p++ = form->prefix;
	if (rex)
		*p++ = rex;
	return p;
}

unsigned vector_form_encode(const struct vector_form *form, struct vector_random *random,
			    const struct vector_address *address, uint8_t *ret_bytes,
			    unsigned *ret_disp_at)
{
	unsigned reg = form->reg == 0xff ? random_below(random, 8) : form->reg;
	unsigned rm = form->rm == 0xff ? random_below(random, 8) : form->rm;
	uint8_t *p = put_prefixes(form, random, address, ret_bytes);

	*ret_disp_at = 0;
	if (form->map)
		*p++ = 0x0f;
	if (form->map > 1)
		*p++ = form->map == 2 ? 0x38 : 0x3a;
	*p++ = form->opcode;
	if (!has_modrm(form))
		return (unsigned)(p - ret_bytes);
	if (!form->memory) {
		*p++ = (uint8_t)(0xc0 | reg << 3 | rm);
	} else {
		*p++ = (uint8_t)(address->mod << 6 | reg << 3 | address->rm);
		if (address->has_sib)
			*p++ = address->sib;
		*ret_disp_at = (unsigned)(p - ret_bytes);
		p = put(p, (uint32_t)address->disp, address->disp_bytes);
	}
	*p++ = (uint8_t)random_next(random); /* the immediate, where there is one */
	return (unsigned)(p - ret_bytes);
}

/* Sets form->mnemonic. */
static bool form_is_tested(struct vector_form *form)
{
	const struct vector_address at_rsi = {.rm = RSI};
	struct vector_random random = {.state = 1};
	uint8_t bytes[INSN_MAX_BYTES] = {0};
	struct insn insn;
	unsigned disp_at;

	vector_form_encode(form, &random, &at_rsi, bytes, &disp_at);
	if (insn_decode(bytes, sizeof(bytes), MODE_CODE64, &insn) != INSN_OK ||
	    !is_tested(insn.mnemonic) || insn.opcode != form->opcode ||
	    insn.opcode_map != form->map)
		return false;
	/* Prefixes that select nothing are left out, but for 66 of FNSAVE and the like. */
	if (form->prefix && insn.mandatory != form->prefix &&
	    !(form->map == 0 && form->memory && form->prefix == 0x66))
		return false;
	if (form->rex_w && form->map == 0)
		return false;
	form->mnemonic = insn.mnemonic;
	return true;
}

static unsigned add_forms(struct vector_form form, struct vector_form *forms, unsigned n,
			  unsigned max)
{
	unsigned regs = reg_selects(&form) ? 8 : 1, rms = rm_selects(&form) ? 8 : 1;

	for (unsigned reg = 0; reg < regs; reg++)
		for (unsigned rm = 0; rm < rms; rm++) {
			form.reg = regs == 1 ? 0xff : (uint8_t)reg;
			form.rm = rms == 1 ? 0xff : (uint8_t)rm;
			if (n < max && form_is_tested(&form))
				forms[n++] = form;
		}
	return n;
}

unsigned vector_forms(struct vector_form *forms, unsigned max)
{
	static const uint8_t prefixes[] = {0, 0x66, 0xf3, 0xf2};
	unsigned n = 0;

	for (unsigned code = 0; code < 4 * 256; code++)
		for (unsigned variant = 0; variant < 16; variant++)
			n = add_forms((struct vector_form){.map = (uint8_t)(code >> 8),
							   .opcode = (uint8_t)code,
							   .prefix = prefixes[variant & 3],
							   .memory = variant & 4,
							   .rex_w = variant & 8},
				      forms, n, max);
	return n;
}

uint16_t vector_forms_missing(const struct vector_form *forms, unsigned n)
{
	for (unsigned i = 0; i < sizeof(tested) / sizeof(tested[0]); i++) {
		unsigned k = 0;
		while (k < n && forms[k].mnemonic != tested[i])
			k++;
		if (k == n && !is_excluded(tested[i]))
			return tested[i];
	}
	return 0;
}

/* ---- values ---- */

static const uint32_t singles[] = {
	0x00000000, 0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00000,
	0xffc00001, 0x7f800001, 0xffbfffff, 0x00000001, 0x80000001, 0x007fffff, 0x00800000,
	0x80800000, 0x7f7fffff, 0xff7fffff, 0x4f000000, 0xcf000000, 0x5f000000, 0xdf000000,
	0x3f000000, 0x3effffff, 0x4effffff, 0x40490fdb, 0x00400000, 0x20000000, 0x1fffffff,
};

static const uint64_t doubles[] = {
	0x0000000000000000, 0x8000000000000000, 0x3ff0000000000000, 0xbff0000000000000,
	0x7ff0000000000000, 0xfff0000000000000, 0x7ff8000000000000, 0xfff8000000000001,
	0x7ff0000000000001, 0xfff7ffffffffffff, 0x0000000000000001, 0x8000000000000001,
	0x000fffffffffffff, 0x0010000000000000, 0x7fefffffffffffff, 0xffefffffffffffff,
	0x41e0000000000000, 0xc1e0000000000000, 0x43e0000000000000, 0xc3e0000000000000,
	0x41dfffffffc00000, 0x3fe0000000000000, 0x3fdfffffffffffff, 0x400921fb54442d18,
	0x36a0000000000000, 0x3690000000000000, 0x47efffffffffffff, 0x2000000000000000,
	0x1fffffffffffffff, 0x3800000000000000, 0xb7ffffffffffffff, 0x4330000000000001,
};

static const struct {
	uint64_t significand;
	uint16_t exponent;
} extendeds[] = {
	{0, 0},
	{0, 0x8000},
	{0x8000000000000000, 0x3fff},
	{0x8000000000000000, 0xbfff},
	{0x8000000000000000, 0x7fff},
	{0x8000000000000000, 0xffff},
	{0xc000000000000000, 0x7fff},
	{0xc000000000000000, 0xffff},
	{0xc000000000000001, 0x7fff},
	{0x8000000000000001, 0x7fff},
	{1, 0},
	{0x7fffffffffffffff, 0x8000},
	{0x8000000000000000, 0}, /* pseudo-denormal */
	{0x8000000000000000, 1},
	{0xffffffffffffffff, 0x7ffe},
	{0xffffffffffffffff, 0xfffe},
	{0x4000000000000000, 0x3fff}, /* unnormal */
	{0, 0x7fff},                  /* pseudo-infinity */
	{0x4000000000000000, 0x7fff}, /* pseudo-NaN */
	{0xc90fdaa22168c235, 0x4000},
	{0x8000000000000000, 0x403e},
	{0x8000000000000000, 0xc03e},
	{0xffffffffffffffff, 0x403d},
	{0x8000000000000000, 0x3ffe},
	{0xa000000000000000, 0x4002},
	{0xffffff8000000000, 0x407e},
	{0x8000000000000000, 0x3f80},
	{0x8000000000000001, 0x3c00},
};

/* 16 bytes: all random, or singles, doubles or small integers. */
static void fill_vector(struct vector_random *random, uint8_t *to)
{
	uint64_t words[2] = {random_next(random), random_next(random)};
	uint32_t elements[4];

	switch (random_below(random, 5)) {
	case 0:
		break;
	case 1:
		for (unsigned i = 0; i < 4; i++)
			elements[i] = random_below(random, 4) ? singles[random_below(random, 28)]
							      : (uint32_t)random_next(random);
		memcpy(words, elements, 16);
		break;
	case 2:
		for (unsigned i = 0; i < 2; i++)
			if (random_below(random, 4))
				words[i] = doubles[random_below(random, 32)];
		break;
	case 3: /* numbers of like size, so that sums and compares are not all trivial */
		for (unsigned i = 0; i < 4; i++)
			elements[i] = 0x3f000000u + (uint32_t)(random_next(random) >> 40);
		if (random_below(random, 2))
			for (unsigned i = 1; i < 4; i += 2)
				elements[i] = 0x3fe00000u + (elements[i] & 0x3fffff);
		memcpy(words, elements, 16);
		break;
	case 4:
		for (unsigned i = 0; i < 2; i++)
			words[i] &= UINT64_C(0x8180ff7f8001ff03) | words[1 - i] << 32;
		break;
	}
	memcpy(to, words, 16);
}

static void fill_x87(struct vector_random *random, uint8_t *to)
{
	uint64_t significand = random_next(random) | UINT64_C(1) << 63;
	uint16_t exponent = (uint16_t)(0x3fe0 + random_below(random, 64));
	unsigned n = random_below(random, 2 * sizeof(extendeds) / sizeof(extendeds[0]));

	if (n < sizeof(extendeds) / sizeof(extendeds[0])) {
		significand = extendeds[n].significand;
		exponent = extendeds[n].exponent;
	} else if (random_below(random, 4) == 0) {
		significand = random_next(random);
		exponent = (uint16_t)random_next(random);
	}
	memcpy(to, &significand, 8);
	memcpy(to + 8, &exponent, 2);
	memset(to + 10, 0, 6);
}

static void make_control(struct vector_random *random, struct fx_state *fx)
{
	fx->fcw = (uint16_t)(0x40 | random_below(random, 4) << 10);
	fx->fcw |= (uint16_t)((random_below(random, 3) ? 3 : random_below(random, 2) * 2) << 8);
	fx->fcw |= random_below(random, 3) ? 0x3f : random_below(random, 64);
	fx->fsw = (uint16_t)(random_next(random) & 0x7f00);
	if (random_below(random, 2))
		fx->fsw |= (uint16_t)(random_next(random) & fx->fcw & 0x3f);
	else if (random_below(random, 8) == 0)
		fx->fsw |= (uint16_t)random_below(random, 128);
	if (fx->fsw & ~fx->fcw & 0x3f)
		fx->fsw |= 0x8080;
	fx->ftw = random_below(random, 2) ? 0xff : (uint8_t)random_next(random);
	fx->mxcsr = 0x1f80;
	if (random_below(random, 2))
		fx->mxcsr |= (uint32_t)random_next(random) & 0xe07f;
	if (random_below(random, 3) == 0)
		fx->mxcsr &= (uint32_t)random_next(random) | ~0x1f80u;
}

/* ---- memory ---- */

/* Each kind of page, and every two kinds that differ to a reader or a writer, side by side. */
const uint8_t vector_pages[VECTOR_PAGES] = {
	[0] = VECTOR_PAGE_RW, [2] = VECTOR_PAGE_RO, [3] = VECTOR_PAGE_RW,
	[4] = VECTOR_PAGE_RW, [5] = VECTOR_PAGE_RO,
};

bool vector_is_writable(uint64_t address, unsigned n)
{
	uint64_t first = address - VECTOR_DATA, last = first + n - 1;

	return last < VECTOR_DATA_BYTES && first <= last &&
	       vector_pages[first / 4096] == VECTOR_PAGE_RW &&
	       vector_pages[last / 4096] == VECTOR_PAGE_RW;
}

/* Mostly around the two pages that can be written, so that most cases do not fault. */
static uint32_t choose_window(struct vector_random *random, bool calm)
{
	unsigned page =
		calm || random_below(random, 6) ? 4 : 1 + random_below(random, VECTOR_PAGES - 1);

	return page * 4096 - VECTOR_WINDOW_BYTES / 2;
}

uint32_t vector_window_offset(struct vector_random *random, bool calm)
{
	switch (calm ? 2 : random_below(random, 4)) {
	case 0: /* about the end of the page */
		return VECTOR_WINDOW_BYTES / 2 - 32 + random_below(random, 48);
	case 1:
		return random_below(random, VECTOR_WINDOW_BYTES - 64) &
		       (random_below(random, 2) ? ~15u : ~0u);
	default:
		return random_below(random, VECTOR_WINDOW_BYTES - 64) & ~15u;
	}
}

/* What FXRSTOR, LDMXCSR, FLDENV and FRSTOR read is mostly, but not always, acceptable. */
static void make_image(struct vector_random *random, uint8_t *data)
{
	struct fx_state image;

	memcpy(&image, data, sizeof(image));
	make_control(random, &image);
	image.fsw = (uint16_t)random_next(random);
	image.fcw = (uint16_t)random_next(random);
	image.fip = image.fdp = 0;
	image.fop = 0;
	if (random_below(random, 8) == 0)
		image.mxcsr |= 1u << (18 + random_below(random, 14));
	memcpy(data, &image, sizeof(image));
	if (random_below(random, 2))
		memcpy(data, &image.mxcsr, 4);
}

bool vector_form_loads_image(const struct vector_form *form)
{
	return form->map == 1 && form->opcode == 0xae;
}

void vector_start_put_image(struct vector_start *start, struct vector_random *random,
			    uint64_t address)
{
	uint64_t at = address - VECTOR_DATA - start->window;

	if (at <= VECTOR_WINDOW_BYTES - sizeof(struct fx_state))
		make_image(random, start->data + at);
}

/* ---- states ---- */

static uint64_t make_gpr(struct vector_random *random, const struct vector_start *start)
{
	switch (random_below(random, 8)) {
	case 0:
	case 1:
	case 2:
		return VECTOR_DATA + start->window + vector_window_offset(random, start->calm);
	case 3: /* hardly ever canonical */
		return random_next(random);
	case 4:
		return (uint32_t)random_next(random);
	default:
		return (uint64_t)(int64_t)(random_below(random, 41) - 20);
	}
}

/* A sequence goes on only while nothing is unmasked that happens. */
static void mask_exceptions(struct fx_state *fx)
{
	fx->fcw |= 0x3f;
	fx->fsw &= 0x7f7f;
	fx->mxcsr |= 0x1f80;
}

void vector_start_make(const struct vector_form *form, struct vector_random *random,
		       struct vector_start *start)
{
	struct vector_state *s = &start->state;
	uint8_t *data = start->data;

	start->calm = !form && random_below(random, 4);
	start->window = choose_window(random, start->calm);
	memset(s, 0, sizeof(*s));
	make_control(random, &s->fx);
	if (!form && random_below(random, 8))
		mask_exceptions(&s->fx);
	for (unsigned i = 0; i < 8; i++)
		fill_x87(random, s->fx.st[i]);
	for (unsigned i = 0; i < 16; i++)
		fill_vector(random, s->fx.xmm[i]);
	for (unsigned i = 0; i < 16; i++)
		s->gpr[i] = make_gpr(random, start);
	s->gpr[RDI] = VECTOR_DATA + start->window + vector_window_offset(random, start->calm);
	s->flags = (uint32_t)random_next(random) & FLAGS_ARITH;
	for (unsigned i = 0; i < VECTOR_WINDOW_BYTES; i += 16) {
		fill_vector(random, data + i);
		if ((!form || form->map == 0) && random_below(random, 2))
			fill_x87(random, data + i);
	}
	if (!form)
		make_image(random, data + VECTOR_IMAGE);
}
