/* The opcode templates: every integer instruction, by its encoding (SDM 2 appendix A). */
#include "tests/cpu/oracle_template.h"

#define ALU(name_, opcode_)                                                                        \
	{name_ " r/m, r and r, r/m", 0, opcode_, 4, MODRM_ANY, .flags = LOCK},                     \
		{name_ " al, imm", 0, (opcode_) + 4, 1, MODRM_NONE, IMM_BYTE},                     \
	{                                                                                          \
		name_ " eax, imm", 0, (opcode_) + 5, 1, MODRM_NONE, IMM_Z                          \
	}

static const struct oracle_template templates[] = {
	ALU("add", 0x00),
	ALU("or", 0x08),
	ALU("adc", 0x10),
	ALU("sbb", 0x18),
	ALU("and", 0x20),
	ALU("sub", 0x28),
	ALU("xor", 0x30),
	ALU("cmp", 0x38),
	{"daa", 0, 0x27, 1, MODRM_NONE, .flags = LEGACY},
	{"das", 0, 0x2f, 1, MODRM_NONE, .flags = LEGACY},
	{"aaa", 0, 0x37, 1, MODRM_NONE, .flags = LEGACY},
	{"aas", 0, 0x3f, 1, MODRM_NONE, .flags = LEGACY},
	{"aam", 0, 0xd4, 1, MODRM_NONE, IMM_BYTE, .flags = LEGACY},
	{"aad", 0, 0xd5, 1, MODRM_NONE, IMM_BYTE, .flags = LEGACY},
	{"salc", 0, 0xd6, 1, MODRM_NONE, .flags = LEGACY},
	{"inc, dec r", 0, 0x40, 16, MODRM_NONE, .flags = LEGACY},
	{"push r", 0, 0x50, 8, MODRM_NONE, .flags = STACK},
	{"pop r", 0, 0x58, 8, MODRM_NONE, .flags = STACK},
	{"pusha", 0, 0x60, 1, MODRM_NONE, .flags = LEGACY | STACK},
	{"popa", 0, 0x61, 1, MODRM_NONE, .flags = LEGACY | STACK},
	{"bound", 0, 0x62, 1, MODRM_ANY, .flags = LEGACY | MEMORY},
	{"movsxd", 0, 0x63, 1, MODRM_ANY, .flags = LONG},
	{"push imm", 0, 0x68, 1, MODRM_NONE, IMM_Z, .flags = STACK},
	{"push imm8", 0, 0x6a, 1, MODRM_NONE, IMM_BYTE, .flags = STACK},
	{"imul r, r/m, imm", 0, 0x69, 1, MODRM_ANY, IMM_Z},
	{"imul r, r/m, imm8", 0, 0x6b, 1, MODRM_ANY, IMM_BYTE},
	{"jcc rel8", 0, 0x70, 16, MODRM_NONE, IMM_REL8, .flags = JUMP},
	{"group 1, byte", 0, 0x80, 1, MODRM_ANY, IMM_BYTE, .flags = LOCK},
	{"group 1", 0, 0x81, 1, MODRM_ANY, IMM_Z, .flags = LOCK},
	{"group 1, byte alias", 0, 0x82, 1, MODRM_ANY, IMM_BYTE, .flags = LOCK | LEGACY},
	{"group 1, imm8", 0, 0x83, 1, MODRM_ANY, IMM_BYTE, .flags = LOCK},
	{"test r/m, r", 0, 0x84, 2, MODRM_ANY},
	{"xchg r/m, r", 0, 0x86, 2, MODRM_ANY, .flags = LOCK},
	{"mov r/m, r and r, r/m", 0, 0x88, 4, MODRM_ANY},
	{"lea", 0, 0x8d, 1, MODRM_ANY, .flags = MEMORY},
	{"pop r/m", 0, 0x8f, 1, 0, .flags = STACK},
	{"xchg eax, r", 0, 0x90, 8, MODRM_NONE},
	{"cbw, cwde, cdqe", 0, 0x98, 1, MODRM_NONE},
	{"cwd, cdq, cqo", 0, 0x99, 1, MODRM_NONE},
	{"sahf, lahf", 0, 0x9e, 2, MODRM_NONE},
	{"mov moffs", 0, 0xa0, 4, MODRM_NONE, IMM_OFFSET},
	{"movs", 0, 0xa4, 2, MODRM_NONE, .flags = STRING},
	{"cmps", 0, 0xa6, 2, MODRM_NONE, .flags = STRING},
	{"test al, imm", 0, 0xa8, 1, MODRM_NONE, IMM_BYTE},
	{"test eax, imm", 0, 0xa9, 1, MODRM_NONE, IMM_Z},
	{"stos", 0, 0xaa, 2, MODRM_NONE, .flags = STRING},
	{"lods", 0, 0xac, 2, MODRM_NONE, .flags = STRING},
	{"scas", 0, 0xae, 2, MODRM_NONE, .flags = STRING},
	{"mov r8, imm", 0, 0xb0, 8, MODRM_NONE, IMM_BYTE},
	{"mov r, imm", 0, 0xb8, 8, MODRM_NONE, IMM_V},
	{"shift by imm", 0, 0xc0, 2, MODRM_ANY, IMM_BYTE},
	{"shift by 1 or cl", 0, 0xd0, 4, MODRM_ANY},
	{"ret imm", 0, 0xc2, 1, MODRM_NONE, IMM_WORD, .flags = STACK | JUMP},
	{"ret", 0, 0xc3, 1, MODRM_NONE, .flags = STACK | JUMP},
	{"mov r/m8, imm", 0, 0xc6, 1, 0, IMM_BYTE},
	{"mov r/m, imm", 0, 0xc7, 1, 0, IMM_Z},
	{"enter", 0, 0xc8, 1, MODRM_NONE, IMM_ENTER, .flags = STACK},
	{"leave", 0, 0xc9, 1, MODRM_NONE, .flags = STACK},
	{"xlat", 0, 0xd7, 1, MODRM_NONE},
	{"loop, jrcxz", 0, 0xe0, 4, MODRM_NONE, IMM_REL8, .flags = JUMP},
	{"call rel", 0, 0xe8, 1, MODRM_NONE, IMM_RELZ, .flags = STACK | JUMP},
	{"jmp rel", 0, 0xe9, 1, MODRM_NONE, IMM_RELZ, .flags = JUMP},
	{"jmp rel8", 0, 0xeb, 1, MODRM_NONE, IMM_REL8, .flags = JUMP},
	{"cmc", 0, 0xf5, 1, MODRM_NONE},
	{"clc, stc", 0, 0xf8, 2, MODRM_NONE},
	{"cld, std", 0, 0xfc, 2, MODRM_NONE},
	{"test r/m8, imm", 0, 0xf6, 1, 0, IMM_BYTE},
	{"test r/m, imm", 0, 0xf7, 1, 1, IMM_Z},
	{"not", 0, 0xf6, 2, 2, .flags = LOCK},
	{"neg", 0, 0xf6, 2, 3, .flags = LOCK},
	{"mul", 0, 0xf6, 2, 4},
	{"imul r/m", 0, 0xf6, 2, 5},
	{"div", 0, 0xf6, 2, 6},
	{"idiv", 0, 0xf6, 2, 7},
	{"inc r/m", 0, 0xfe, 2, 0, .flags = LOCK},
	{"dec r/m", 0, 0xfe, 2, 1, .flags = LOCK},
	{"call r/m", 0, 0xff, 1, 2, .flags = STACK | JUMP},
	{"jmp r/m", 0, 0xff, 1, 4, .flags = JUMP},
	{"push r/m", 0, 0xff, 1, 6, .flags = STACK},
	{"prefetchw", 1, 0x0d, 1, 1, .flags = MEMORY},
	{"hint nop", 1, 0x19, 1, MODRM_ANY},
	{"nop r/m", 1, 0x1f, 1, 0},
	{"cmovcc", 1, 0x40, 16, MODRM_ANY},
	{"jcc rel", 1, 0x80, 16, MODRM_NONE, IMM_RELZ, .flags = JUMP},
	{"setcc", 1, 0x90, 16, MODRM_ANY},
	{"bt r/m, r", 1, 0xa3, 1, MODRM_ANY, .flags = LOCK},
	{"bts r/m, r", 1, 0xab, 1, MODRM_ANY, .flags = LOCK},
	{"btr r/m, r", 1, 0xb3, 1, MODRM_ANY, .flags = LOCK},
	{"btc r/m, r", 1, 0xbb, 1, MODRM_ANY, .flags = LOCK},
	{"bt r/m, imm", 1, 0xba, 1, 4, IMM_BYTE},
	{"bts r/m, imm", 1, 0xba, 1, 5, IMM_BYTE, .flags = LOCK},
	{"btr r/m, imm", 1, 0xba, 1, 6, IMM_BYTE, .flags = LOCK},
	{"btc r/m, imm", 1, 0xba, 1, 7, IMM_BYTE, .flags = LOCK},
	{"shld imm", 1, 0xa4, 1, MODRM_ANY, IMM_BYTE},
	{"shld cl", 1, 0xa5, 1, MODRM_ANY},
	{"shrd imm", 1, 0xac, 1, MODRM_ANY, IMM_BYTE},
	{"shrd cl", 1, 0xad, 1, MODRM_ANY},
	{"imul r, r/m", 1, 0xaf, 1, MODRM_ANY},
	{"cmpxchg", 1, 0xb0, 2, MODRM_ANY, .flags = LOCK},
	{"movzx", 1, 0xb6, 2, MODRM_ANY},
	{"movsx", 1, 0xbe, 2, MODRM_ANY},
	{"popcnt", 1, 0xb8, 1, MODRM_ANY, .prefix = 0xf3},
	{"bsf", 1, 0xbc, 1, MODRM_ANY},
	{"bsr", 1, 0xbd, 1, MODRM_ANY},
	{"xadd", 1, 0xc0, 2, MODRM_ANY, .flags = LOCK},
	{"cmpxchg8b, 16b", 1, 0xc7, 1, 1, .flags = LOCK | MEMORY | PLAIN},
	{"bswap", 1, 0xc8, 8, MODRM_NONE},
	{"crc32", 2, 0xf0, 2, MODRM_ANY, .prefix = 0xf2},
};

const struct oracle_template *oracle_template(unsigned n)
{
	return n < sizeof(templates) / sizeof(templates[0]) ? &templates[n] : NULL;
}

const char *oracle_template_name(const struct oracle_template *template)
{
	return template->name;
}

bool oracle_template_in_mode(const struct oracle_template *template, enum oracle_mode mode)
{
	return !(template->flags & (mode == ORACLE_64 ? LEGACY : LONG));
}
