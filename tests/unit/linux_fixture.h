/*
 * A made-up Linux kernel in guest memory: nothing but the tables that debuggers look for, in the
 * layouts of several versions.
 */
#ifndef REPRISE_TESTS_UNIT_LINUX_FIXTURE_H
#define REPRISE_TESTS_UNIT_LINUX_FIXTURE_H

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/machine.h"

#define FIXTURE_LINEAR    UINT64_C(0xffffffff93200000) /* as with KASLR */
#define FIXTURE_GPA       UINT64_C(0x200000)
#define FIXTURE_BYTES     0x80000u
#define FIXTURE_FUNCTIONS 700u
#define FIXTURE_RAM       (UINT64_C(4) << 20)

/* Where the parts lie in the image. */
#define FIXTURE_IRET     0x3000u
#define FIXTURE_BANNER   0x4000u
#define FIXTURE_FREE     0x5000u /* up to FIXTURE_KALLSYMS */
#define FIXTURE_KALLSYMS 0x10000u
#define FIXTURE_BTF      0x30000u
#define FIXTURE_ORC_IP   0x50000u
#define FIXTURE_ORC      0x58000u
#define FIXTURE_MODULE   0x60000u /* one module, with all that it points to */

/* In the module's part. */
#define MODULE_KALLSYMS 0x100u
#define MODULE_SYMBOLS  0x200u
#define MODULE_STRINGS  0x300u
#define MODULE_TYPES    0x380u
#define MODULE_ORC_IP   0x400u
#define MODULE_ORC      0x480u
#define MODULE_CODE     0x1000u
#define MODULE_BYTES    0x3000u

#define FIXTURE_PAGE_TABLES 0x3f0000u /* guest-physical */

enum fixture_seqs { SEQS_NONE, SEQS_BEHIND_MARKERS, SEQS_LAST };

struct fixture_layout {
	const char *name;
	bool addresses_last;  /* behind token_index, since Linux 6.4 */
	bool absolute;        /* u64 each */
	bool absolute_percpu; /* negative offsets are relative */
	enum fixture_seqs seqs;
	bool new_orc; /* three bits of type */
	bool no_btf;
};

struct fixture {
	const struct fixture_layout *layout;
	uint8_t image[FIXTURE_BYTES];
	size_t at; /* where the next byte goes */
	size_t names, markers;
	uint32_t n; /* symbols so far */
	uint64_t address[FIXTURE_FUNCTIONS + 32];
};

static void fixture_put(struct fixture *f, const void *data, size_t n)
{
	memcpy(f->image + f->at, data, n);
	f->at += n;
}

static void fixture_put32(struct fixture *f, uint32_t value)
{
	fixture_put(f, &value, sizeof(value));
}

static void fixture_put64(struct fixture *f, uint64_t value)
{
	fixture_put(f, &value, sizeof(value));
}

static void fixture_align(struct fixture *f)
{
	while (f->at % 8)
		f->image[f->at++] = 0;
}

/* Every printable character stands for itself, 1 for "fn_", the others for something. */
static void fixture_token(unsigned code, char text[8])
{
	if (code == 1)
		strcpy(text, "fn_");
	else if (code > ' ' && code < 0x7f)
		sprintf(text, "%c", (char)code);
	else
		sprintf(text, "x%u", code);
}

/* The name in tokens: type, name. Names longer than 127 bytes take a length of two bytes. */
static void fixture_name(struct fixture *f, uint64_t address, char type, const char *name)
{
	char tokens[512];
	size_t n = 0;

	tokens[n++] = type;
	while (*name) {
		if (!strncmp(name, "fn_", 3)) {
			tokens[n++] = 1;
			name += 3;
		} else {
			tokens[n++] = *name++;
		}
	}
	f->address[f->n++] = address;
	if (n >= 0x80) {
		f->image[f->at++] = (uint8_t)(0x80 | (n & 0x7f));
		f->image[f->at++] = (uint8_t)(n >> 7);
	} else {
		f->image[f->at++] = (uint8_t)n;
	}
	fixture_put(f, tokens, n);
}

static void fixture_names(struct fixture *f, uint64_t btf_bytes, uint32_t n_orc)
{
	const uint64_t base = FIXTURE_LINEAR;
	char name[32], longest[301];

	if (f->layout->absolute_percpu) {
		fixture_name(f, 0, 'A', "fixed_percpu_data");
		fixture_name(f, 0x20, 'A', "this_cpu_off");
	}
	fixture_name(f, base, 'T', "_text");
	for (unsigned i = 0; i < FIXTURE_FUNCTIONS; i++) {
		sprintf(name, "fn_%u", i);
		fixture_name(f, base + 0x100 + i * 16, i % 2 ? 't' : 'T', name);
	}
	fixture_name(f, base + FIXTURE_IRET, 'T', "native_irq_return_iret");
	fixture_name(f, base + FIXTURE_BANNER, 'D', "linux_banner");
	if (!f->layout->no_btf) {
		fixture_name(f, base + FIXTURE_BTF, 'R', "__start_BTF");
		fixture_name(f, base + FIXTURE_BTF + btf_bytes, 'R', "__stop_BTF");
	}
	fixture_name(f, base + FIXTURE_ORC_IP, 'R', "__start_orc_unwind_ip");
	fixture_name(f, base + FIXTURE_ORC_IP + (uint64_t)n_orc * 4, 'R', "__stop_orc_unwind_ip");
	fixture_name(f, base + FIXTURE_ORC, 'R', "__start_orc_unwind");
	fixture_name(f, base + FIXTURE_ORC + (uint64_t)n_orc * 6, 'R', "__stop_orc_unwind");
	fixture_name(f, base + FIXTURE_MODULE - 16, 'D', "modules");
	memset(longest, 'n', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	fixture_name(f, base + FIXTURE_MODULE + 0x4000, 'd', longest);
	fixture_name(f, base + FIXTURE_BYTES, 'B', "_end");
}

static void fixture_addresses(struct fixture *f)
{
	const struct fixture_layout *layout = f->layout;

	fixture_align(f);
	for (uint32_t i = 0; i < f->n; i++) {
		uint64_t address = f->address[i];
		if (layout->absolute)
			fixture_put64(f, address);
		else if (!layout->absolute_percpu)
			fixture_put32(f, (uint32_t)(address - FIXTURE_LINEAR));
		else if (address >= FIXTURE_LINEAR)
			fixture_put32(f, (uint32_t)(FIXTURE_LINEAR - 1 - address));
		else
			fixture_put32(f, (uint32_t)address);
	}
	fixture_align(f);
	if (!layout->absolute)
		fixture_put64(f, FIXTURE_LINEAR);
}

static void fixture_seqs(struct fixture *f)
{
	fixture_align(f);
	for (uint32_t i = 0; i < f->n; i++)
		fixture_put(f, (uint8_t[]){(uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i}, 3);
}

/* The names once more, since what stands before them depends on how many there are. */
static void fixture_counted_names(struct fixture *f, uint64_t btf_bytes, uint32_t n_orc)
{
	uint32_t marker[16], n_markers = 0;

	fixture_align(f);
	fixture_put64(f, f->n);
	f->n = 0;
	f->names = f->at;
	fixture_names(f, btf_bytes, n_orc);
	size_t end = f->at, at = f->names;
	for (uint32_t i = 0; at < end; i++) {
		if (i % 256 == 0)
			marker[n_markers++] = (uint32_t)(at - f->names);
		uint32_t length = f->image[at++];
		if (length & 0x80)
			length = (length & 0x7f) | (uint32_t)f->image[at++] << 7;
		at += length;
	}
	fixture_align(f);
	f->markers = f->at;
	fixture_put(f, marker, n_markers * sizeof(marker[0]));
}

static void fixture_tokens(struct fixture *f)
{
	uint16_t index[256];
	char text[8];

	fixture_align(f);
	size_t table = f->at;
	for (unsigned i = 0; i < 256; i++) {
		fixture_token(i, text);
		index[i] = (uint16_t)(f->at - table);
		fixture_put(f, text, strlen(text) + 1);
	}
	fixture_align(f);
	fixture_put(f, index, sizeof(index));
}

static void fixture_kallsyms(struct fixture *f, uint64_t btf_bytes, uint32_t n_orc)
{
	f->at = FIXTURE_KALLSYMS;
	fixture_names(f, btf_bytes, n_orc);
	memset(f->image + FIXTURE_KALLSYMS, 0, f->at - FIXTURE_KALLSYMS);
	f->at = FIXTURE_KALLSYMS;
	if (!f->layout->addresses_last)
		fixture_addresses(f);
	fixture_counted_names(f, btf_bytes, n_orc);
	if (f->layout->seqs == SEQS_BEHIND_MARKERS)
		fixture_seqs(f);
	fixture_tokens(f);
	if (f->layout->addresses_last)
		fixture_addresses(f);
	if (f->layout->seqs == SEQS_LAST)
		fixture_seqs(f);
}

/* A row at the beginning of each function, two within it. */
static uint32_t fixture_orc(struct fixture *f)
{
	unsigned call = f->layout->new_orc ? 2 : 0;
	uint32_t n = FIXTURE_FUNCTIONS * 2;

	for (uint32_t i = 0; i < n; i++) {
		int32_t distance = (int32_t)(0x100 + i * 8 - (FIXTURE_ORC_IP + i * 4));
		int16_t entry[3] = {i % 2 ? 16 : 8, i % 2 ? -16 : 0,
				    (int16_t)(5 | (i % 2 ? 1 : 0) << 4 | call << 8)};
		if (i == 10)
			entry[2] = (int16_t)(5 | (call + 1) << 8); /* pt_regs */
		memcpy(f->image + FIXTURE_ORC_IP + (size_t)i * 4, &distance, sizeof(distance));
		memcpy(f->image + FIXTURE_ORC + (size_t)i * 6, entry, sizeof(entry));
	}
	return n;
}

/* ---- types ---- */

#define FIXTURE_STRINGS                                                                            \
	"\0int\0char\0unsigned long\0task\0pid\0comm\0thread\0sp\0next\0flags\0state\0RUNNING\0"   \
	"STOPPED\0fn_1\0count\0this_cpu_off\0module\0list\0name\0kallsyms\0core_"                  \
	"layout\0base\0size\0"                                                                     \
	"text_size\0arch\0num_orcs\0orc_unwind_ip\0orc_unwind\0mod_kallsyms\0symtab\0"             \
	"num_symtab\0strtab\0typetab"

static uint32_t fixture_string(const char *text)
{
	static const char strings[] = FIXTURE_STRINGS;

	for (uint32_t i = 0; i + 1 < sizeof(strings); i += (uint32_t)strlen(strings + i) + 1)
		if (!strcmp(strings + i, text))
			return i;
	abort();
}

static void fixture_type(struct fixture *f, const char *name, uint32_t kind, uint32_t n,
			 uint32_t last)
{
	fixture_put32(f, fixture_string(name));
	fixture_put32(f, kind << 24 | n);
	fixture_put32(f, last);
}

static void fixture_member(struct fixture *f, const char *name, uint32_t type, uint32_t bit)
{
	fixture_put32(f, fixture_string(name));
	fixture_put32(f, type);
	fixture_put32(f, bit);
}

/* struct module and what it holds, with the members that count. */
static void fixture_module_types(struct fixture *f)
{
	fixture_type(f, "", 4, 3, 16); /* 13 */
	fixture_member(f, "base", 3, 0);
	fixture_member(f, "size", 1, 64);
	fixture_member(f, "text_size", 1, 96);
	fixture_type(f, "", 4, 3, 24); /* 14 */
	fixture_member(f, "num_orcs", 1, 0);
	fixture_member(f, "orc_unwind_ip", 3, 64);
	fixture_member(f, "orc_unwind", 3, 128);
	fixture_type(f, "module", 4, 5, 80); /* 15 */
	fixture_member(f, "list", 3, 0);
	fixture_member(f, "name", 4, 128);
	fixture_member(f, "kallsyms", 3, 256);
	fixture_member(f, "core_layout", 13, 320);
	fixture_member(f, "arch", 14, 448);
	fixture_type(f, "mod_kallsyms", 4, 4, 32); /* 16 */
	fixture_member(f, "symtab", 3, 0);
	fixture_member(f, "num_symtab", 1, 64);
	fixture_member(f, "strtab", 3, 128);
	fixture_member(f, "typetab", 3, 192);
}

/*
 * struct task { int pid; char comm[16]; struct { unsigned long sp; } thread; union { struct task
 * *next; }; int flags : 3; }; enum { RUNNING, STOPPED }; int fn_1(struct task *task, ...)
 */
static void fixture_types(struct fixture *f)
{
	fixture_type(f, "int", 1, 0, 4); /* 1 */
	fixture_put32(f, 1u << 24 | 32);
	fixture_type(f, "char", 1, 0, 1); /* 2 */
	fixture_put32(f, 1u << 24 | 8);
	fixture_type(f, "unsigned long", 1, 0, 8); /* 3 */
	fixture_put32(f, 64);
	fixture_type(f, "", 3, 0, 0); /* 4: char[16] */
	fixture_put32(f, 2);
	fixture_put32(f, 1);
	fixture_put32(f, 16);
	fixture_type(f, "", 4, 1, 8); /* 5 */
	fixture_member(f, "sp", 3, 0);
	fixture_type(f, "", 5, 1, 8); /* 6 */
	fixture_member(f, "next", 8, 0);
	fixture_type(f, "task", 4 | 0x80, 5, 48); /* 7 */
	fixture_member(f, "pid", 1, 0);
	fixture_member(f, "comm", 4, 32);
	fixture_member(f, "thread", 5, 192);
	fixture_member(f, "", 6, 256);
	fixture_member(f, "flags", 1, 3u << 24 | 320);
	fixture_type(f, "", 2, 0, 7);      /* 8: task * */
	fixture_type(f, "state", 6, 2, 4); /* 9 */
	fixture_put32(f, fixture_string("RUNNING"));
	fixture_put32(f, 0);
	fixture_put32(f, fixture_string("STOPPED"));
	fixture_put32(f, 4);
	fixture_type(f, "", 13, 2, 1); /* 10 */
	fixture_put32(f, fixture_string("task"));
	fixture_put32(f, 8);
	fixture_put32(f, 0);
	fixture_put32(f, 0);
	fixture_type(f, "fn_1", 12, 1, 10);        /* 11 */
	fixture_type(f, "this_cpu_off", 14, 0, 3); /* 12 */
	fixture_put32(f, 1);
	fixture_module_types(f);
}

static uint64_t fixture_btf(struct fixture *f)
{
	static const char strings[] = FIXTURE_STRINGS;
	size_t from = FIXTURE_BTF + 24;

	f->at = from;
	fixture_types(f);
	size_t types = f->at - from;
	fixture_put(f, strings, sizeof(strings));
	size_t end = f->at;
	f->at = FIXTURE_BTF;
	fixture_put32(f, 0x0001eb9f);
	fixture_put32(f, 24);
	fixture_put32(f, 0);
	fixture_put32(f, (uint32_t)types);
	fixture_put32(f, (uint32_t)types);
	fixture_put32(f, sizeof(strings));
	return end - FIXTURE_BTF;
}

/* A module "made_up" with a function and a variable. */
static void fixture_module(struct fixture *f)
{
	const uint64_t at = FIXTURE_LINEAR + FIXTURE_MODULE, code = at + MODULE_CODE;
	const Elf64_Sym symbols[] = {
		{0},
		{1, ELF64_ST_INFO(STB_GLOBAL, STT_FUNC), 0, 1, code + 0x20, 0x30},
		{9, ELF64_ST_INFO(STB_LOCAL, STT_OBJECT), 0, 2, code + 0x1100, 8},
	};
	const int32_t ips[] = {(int32_t)(MODULE_CODE - MODULE_ORC_IP),
			       (int32_t)(MODULE_CODE + 0x100 - MODULE_ORC_IP - 4)};
	const int16_t entries[2][3] = {{8, 0, (int16_t)(5 | (f->layout->new_orc ? 2 : 0) << 8)}};

	f->at = FIXTURE_MODULE - 16;
	fixture_put64(f, at); /* the list's head */
	fixture_put64(f, at);
	fixture_put64(f, at - 16);
	fixture_put64(f, at - 16);
	fixture_put(f, "made_up\0\0\0\0\0\0\0\0", 16);
	fixture_put64(f, at + MODULE_KALLSYMS);
	fixture_put64(f, code);
	fixture_put32(f, MODULE_BYTES - MODULE_CODE);
	fixture_put32(f, 0x1000);
	fixture_put64(f, 2);
	fixture_put64(f, at + MODULE_ORC_IP);
	fixture_put64(f, at + MODULE_ORC);
	f->at = FIXTURE_MODULE + MODULE_KALLSYMS;
	fixture_put64(f, at + MODULE_SYMBOLS);
	fixture_put64(f, 3);
	fixture_put64(f, at + MODULE_STRINGS);
	fixture_put64(f, at + MODULE_TYPES);
	memcpy(f->image + FIXTURE_MODULE + MODULE_SYMBOLS, symbols, sizeof(symbols));
	memcpy(f->image + FIXTURE_MODULE + MODULE_STRINGS, "\0made_fn\0made_var", 18);
	memcpy(f->image + FIXTURE_MODULE + MODULE_TYPES, "?Tb", 3);
	memcpy(f->image + FIXTURE_MODULE + MODULE_ORC_IP, ips, sizeof(ips));
	memcpy(f->image + FIXTURE_MODULE + MODULE_ORC, entries, sizeof(entries));
}

static inline void fixture_build(struct fixture *f, const struct fixture_layout *layout)
{
	memset(f, 0, sizeof(*f));
	f->layout = layout;
	strcpy((char *)f->image + FIXTURE_BANNER, "Linux version 6.1.0-made-up (nobody)\n");
	uint32_t n_orc = fixture_orc(f);
	fixture_kallsyms(f, fixture_btf(f), n_orc);
	fixture_module(f);
}

/* The first vCPU runs the kernel at its linear address: 4-level paging, one page of 2 MiB. */
static void fixture_start(struct machine *machine)
{
	struct cpu *cpu = &machine->vcpu[0];
	const uint64_t table = FIXTURE_PAGE_TABLES;
	uint64_t entry;

	for (unsigned level = 0; level < 3; level++) {
		uint64_t index = FIXTURE_LINEAR >> (39 - level * 9) & 0x1ff;
		entry = level < 2 ? table + (level + 1) * PAGE_BYTES : FIXTURE_GPA | 0x80;
		entry |= 0x23; /* present, writable, accessed */
		memory_load(machine->memory, table + level * PAGE_BYTES + index * 8, &entry, 8);
	}
	cpu->cr0 = CR0_PE | CR0_PG;
	cpu->cr4 = CR4_PAE;
	cpu->cr3 = table;
	cpu->efer = EFER_LME | EFER_LMA;
	cpu->lstar = FIXTURE_LINEAR + 0x100;
	cpu_update_mode(cpu);
}

static struct machine *fixture_machine(void)
{
	struct machine_config config = {
		.n_vcpus = 1,
		.cpu_model = "x86-64-v2",
		.regions = {{REGION_RAM, 0, FIXTURE_RAM}},
		.n_regions = 1,
	};
	struct machine *machine;

	if (machine_create(&config, &machine))
		abort();
	machine->vcpu[0].seg[SEG_CS].base = FIXTURE_GPA; /* it runs the kernel */
	machine->vcpu[0].rip = 0x100;
	return machine;
}

#endif
