/*
 * Writes docs/instruction-coverage.md: every row of the instruction table, its encodings, and what
 * compares them with hardware or else tests them.
 *
 * Usage: coverage_table [FILE]
 *   without FILE it writes the page to stdout; with it, it is a test: the page must be what the
 * file holds, and every row must have a state.
 */
#include <stdlib.h>
#include <string.h>

#include <Zydis/Zydis.h>

#include "tests/cpu/coverage_text.h"
#include "tests/cpu/oracle_template.h"
#include "tests/cpu/vector_case.h"
#include "tests/tap.h"
#include "vmm/cpu/exec.h"

#define MAX_FORMS 4000

/* What the oracles do not reach, or not in every form. Test programs are those of tests/cpu. */
static const struct {
	uint16_t mnemonic;
	const char *where, *why;
} elsewhere[] = {
#define BY(name, where_, why_) {ZYDIS_MNEMONIC_##name, where_, why_},
#include "tests/cpu/coverage_elsewhere.h"
#undef BY
};

enum part { PART_INTEGER, PART_SYSTEM, PART_VECTOR };

struct row {
	uint16_t mnemonic;
	uint8_t part;
	unsigned forms, compared; /* encodings, and how many of them an oracle makes */
	bool template_used[256];
	bool vector;
};

static struct row rows[] = {
#define ROW(name, function, flags) {.mnemonic = ZYDIS_MNEMONIC_##name, .part = PART_INTEGER},
#include "vmm/cpu/rows_integer.h"
#undef ROW
#define ROW(name, function, flags) {.mnemonic = ZYDIS_MNEMONIC_##name, .part = PART_SYSTEM},
#include "vmm/cpu/rows_system.h"
#undef ROW
#define ROW(name, function, flags) {.mnemonic = ZYDIS_MNEMONIC_##name, .part = PART_VECTOR},
#include "vmm/cpu/rows_vector.h"
#undef ROW
};
#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

static struct vector_form vector_form[MAX_FORMS];
static unsigned n_vector_forms;

/* One encoding: what is tried. */
struct form {
	unsigned mode;
	uint8_t map, opcode, prefix, modrm;
	bool rex_w;
};

static struct row *find_row(uint16_t mnemonic)
{
	for (unsigned i = 0; i < N_ROWS; i++)
		if (rows[i].mnemonic == mnemonic)
			return &rows[i];
	return NULL;
}

static bool decode_form(const struct form *form, struct insn *ret_insn)
{
	uint8_t bytes[INSN_MAX_BYTES] = {0};
	unsigned n = 0;

	if (form->prefix)
		bytes[n++] = form->prefix;
	if (form->rex_w)
		bytes[n++] = 0x48;
	if (form->map)
		bytes[n++] = 0x0f;
	if (form->map > 1)
		bytes[n++] = form->map == 2 ? 0x38 : 0x3a;
	bytes[n++] = form->opcode;
	bytes[n] = form->modrm;
	return insn_decode(bytes, sizeof(bytes), oracle_mode_bits((enum oracle_mode)form->mode),
			   ret_insn) == INSN_OK &&
	       ret_insn->opcode == form->opcode && ret_insn->opcode_map == form->map;
}

/* Opcodes whose ModRM.rm is part of the opcode, with a register. */
static bool rm_selects(const struct form *form)
{
	return (form->map == 0 && form->opcode >= 0xd8 && form->opcode <= 0xdf) ||
	       (form->map == 1 && (form->opcode == 0x01 || form->opcode == 0xae));
}

/* F2, F3 and REX.W that change nothing are left out, and register numbers. */
static bool is_separate(const struct form *form, const struct insn *insn)
{
	struct form plain = *form;
	struct insn without;

	if (insn->modrm != form->modrm && form->modrm != 3) /* has no ModRM */
		return false;
	if ((form->modrm & 7) != 3 && !rm_selects(form))
		return false;
	plain.rex_w = false;
	if (form->rex_w && decode_form(&plain, &without) && without.mnemonic == insn->mnemonic &&
	    (without.op_size == insn->op_size || find_row(insn->mnemonic)->part == PART_VECTOR))
		return false;
	plain.rex_w = form->rex_w;
	if (form->prefix != 0xf2 && form->prefix != 0xf3)
		return true;
	if (insn_row(insn->mnemonic)->flags & ROW_REP)
		return true;
	plain.prefix = 0;
	return !decode_form(&plain, &without) || without.mnemonic != insn->mnemonic;
}

static bool template_matches(const struct oracle_template *t, const struct form *form)
{
	unsigned reg = (form->modrm >> 3) & 7;
	bool memory = form->modrm < 0xc0;

	if (!oracle_template_in_mode(t, (enum oracle_mode)form->mode) || t->map != form->map ||
	    form->opcode < t->opcode || form->opcode >= t->opcode + t->count)
		return false;
	if (t->prefix != form->prefix && (t->prefix || form->prefix != 0x66) &&
	    !((t->flags & STRING) && form->prefix >= 0xf2))
		return false;
	if (t->modrm == MODRM_BYTE)
		return form->modrm == t->byte;
	if (form->rex_w && (t->flags & (NARROW | NO_REX)))
		return false;
	return (t->modrm == MODRM_NONE || t->modrm == MODRM_ANY || t->modrm == (int)reg) &&
	       (memory || !(t->flags & MEMORY));
}

static bool vector_matches(const struct vector_form *v, const struct form *form)
{
	return v->map == form->map && v->opcode == form->opcode &&
	       (v->prefix == form->prefix || form->prefix == 0x66) &&
	       v->memory == (form->modrm < 0xc0) &&
	       (v->reg == 0xff || v->reg == ((form->modrm >> 3) & 7)) &&
	       (v->rm == 0xff || v->memory || v->rm == (form->modrm & 7));
}

static void count_form(const struct form *form, const struct insn *insn)
{
	struct row *row = find_row(insn->mnemonic);
	bool compared = false;

	if (!row || !is_separate(form, insn))
		return;
	/* The vector instructions' exec functions know no modes; their oracle runs 64-bit code. */
	if (row->part == PART_VECTOR && form->mode != ORACLE_64)
		return;
	for (unsigned i = 0; oracle_template(i); i++)
		if (template_matches(oracle_template(i), form))
			row->template_used[i] = compared = true;
	for (unsigned i = 0; i < n_vector_forms; i++)
		if (vector_form[i].mnemonic == row->mnemonic &&
		    vector_matches(&vector_form[i], form))
			row->vector = compared = true;
	row->forms++;
	row->compared += compared;
}

static void count_opcode(struct form form)
{
	static const uint8_t prefixes[] = {0, 0x66, 0xf2, 0xf3};
	struct insn insn;

	for (unsigned p = 0; p < (form.mode == ORACLE_64 ? 8 : 4); p++) {
		form.prefix = prefixes[p & 3];
		form.rex_w = p & 4;
		for (unsigned modrm = 0; modrm < 256; modrm++) {
			form.modrm = (uint8_t)modrm;
			/* One memory form: without a displacement. */
			if ((modrm < 0xc0 && (modrm & 0xc7) != 3) || !decode_form(&form, &insn))
				continue;
			count_form(&form, &insn);
		}
	}
}

static void count_all(void)
{
	n_vector_forms = vector_forms(vector_form, MAX_FORMS);
	for (unsigned mode = 0; mode < ORACLE_MODES; mode++)
		for (unsigned map = 0; map < 4; map++)
			for (unsigned opcode = 0; opcode < 256; opcode++)
				count_opcode((struct form){.mode = mode,
							   .map = (uint8_t)map,
							   .opcode = (uint8_t)opcode});
}

static int find_elsewhere(uint16_t mnemonic)
{
	for (size_t i = 0; i < sizeof(elsewhere) / sizeof(elsewhere[0]); i++)
		if (elsewhere[i].mnemonic == mnemonic)
			return (int)i;
	return -1;
}

static bool has_state(const struct row *row)
{
	return (row->forms && row->compared == row->forms) || find_elsewhere(row->mnemonic) >= 0;
}

static void write_oracle(FILE *out, const struct row *row)
{
	const char *separator = "";

	if (row->vector) {
		fprintf(out, "vector oracle");
		separator = "; ";
	}
	for (unsigned i = 0, shown = 0; oracle_template(i); i++) {
		if (!row->template_used[i] || shown++ > 4)
			continue;
		fprintf(out, "%s%s", separator,
			shown > 4 ? "…" : oracle_template_name(oracle_template(i)));
		separator = "; ";
	}
	if (!row->compared)
		fprintf(out, "–");
}

static void write_row(FILE *out, const struct row *row)
{
	int other = find_elsewhere(row->mnemonic);

	fprintf(out, "| %s | %u of %u | ", vector_mnemonic_name(row->mnemonic), row->compared,
		row->forms);
	write_oracle(out, row);
	if (other >= 0)
		fprintf(out, " | %s: %s |\n", elsewhere[other].where, elsewhere[other].why);
	else
		fprintf(out, " | |\n");
}

static void write_part(FILE *out, enum part part, const char *title)
{
	fprintf(out,
		"\n## %s\n\n| instruction | encodings compared | oracle: templates | elsewhere |\n"
		"|---|---|---|---|\n",
		title);
	for (unsigned i = 0; i < N_ROWS; i++)
		if (rows[i].part == part)
			write_row(out, &rows[i]);
}

static void write_page(FILE *out)
{
	fputs(coverage_text, out);
	write_part(out, PART_INTEGER, "Integer instructions");
	write_part(out, PART_SYSTEM, "System instructions");
	write_part(out, PART_VECTOR, "x87, MMX and SSE instructions");
}

static char *page(size_t *ret_bytes)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, ret_bytes);

	if (!out)
		return NULL;
	write_page(out);
	fclose(out);
	return text;
}

static bool file_holds(const char *path, const char *text, size_t bytes)
{
	FILE *file = fopen(path, "rb");
	char *held = malloc(bytes + 1);
	bool same = false;

	if (file && held)
		same = fread(held, 1, bytes + 1, file) == bytes && !memcmp(held, text, bytes);
	if (file)
		fclose(file);
	free(held);
	return same;
}

static int test(const char *path)
{
	size_t bytes;
	char *text = page(&bytes);

	for (unsigned i = 0; i < N_ROWS; i++)
		if (!has_state(&rows[i]))
			tap_ok(false, "%s has a state: %u of %u encodings compared",
			       vector_mnemonic_name(rows[i].mnemonic), rows[i].compared,
			       rows[i].forms);
	for (unsigned i = 0; i < sizeof(elsewhere) / sizeof(elsewhere[0]); i++)
		if (!find_row(elsewhere[i].mnemonic))
			tap_ok(false, "%s of coverage_elsewhere.h has a row",
			       vector_mnemonic_name(elsewhere[i].mnemonic));
	tap_ok(tap_failed == 0, "each of %u rows has a state", (unsigned)N_ROWS);
	tap_ok(text && file_holds(path, text, bytes), "%s is up to date (coverage_table writes it)",
	       path);
	free(text);
	return tap_done();
}

int main(int argc, char **argv)
{
	if (native_open())
		return 125;
	count_all();
	if (argc > 1)
		return test(argv[1]);
	write_page(stdout);
	return 0;
}
