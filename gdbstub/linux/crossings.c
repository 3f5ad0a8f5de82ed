#include "gdbstub/linux/crossings.h"

#include <stdlib.h>
#include <string.h>

#include <Zydis/Zydis.h>

#define SYSCALL_BYTES 1024 /* the way through the entry code to SYSRET is shorter */

static int compare_entries(const void *a, const void *b)
{
	const struct crossing_entry *x = a, *y = b;

	return x->address < y->address ? -1 : x->address > y->address;
}

/* ---- finding them ---- */

/* Vectors that push an error code (SDM 3A table 6-1). */
static bool pushes_error(unsigned vector)
{
	const uint32_t vectors = 1u << 8 | 1u << 10 | 1u << 11 | 1u << 12 | 1u << 13 | 1u << 14 |
				 1u << 17 | 1u << 21 | 1u << 29 | 1u << 30;

	return vector < 32 && vectors >> vector & 1;
}

/* A gate's handler (SDM 3A figure 6-8); 0: it is not present. */
static uint64_t gate_handler(const uint8_t gate[16])
{
	uint16_t low, middle;
	uint32_t high;

	memcpy(&low, gate, 2);
	memcpy(&middle, gate + 6, 2);
	memcpy(&high, gate + 8, 4);
	return gate[5] & 0x80 ? (uint64_t)high << 32 | (uint32_t)middle << 16 | low : 0;
}

static void find_entries(const struct linux_guest *guest, const struct cpu *cpu,
			 struct crossings *ret)
{
	uint8_t gate[16];

	ret->entry[ret->n_entries++] = (struct crossing_entry){cpu->lstar, true, 0};
	for (unsigned i = 0; i < CROSSINGS_GATES; i++) {
		if (i * 16 + 15 > cpu->idtr.limit ||
		    !linux_read(guest, cpu->idtr.base + i * 16, gate, sizeof(gate)))
			break;
		uint64_t handler = gate_handler(gate);
		if (handler)
			ret->entry[ret->n_entries++] =
				(struct crossing_entry){handler, false, pushes_error(i) ? 8 : 0};
	}
	qsort(ret->entry, ret->n_entries, sizeof(ret->entry[0]), compare_entries);
}

/* Looks for an instruction in a straight line from an address. */
static bool find_instruction(const struct linux_guest *guest, uint64_t address,
			     ZydisMnemonic wanted, uint64_t *ret_address)
{
	uint8_t code[SYSCALL_BYTES];
	ZydisDecoder decoder;
	ZydisDecodedInstruction instruction;

	if (!linux_read(guest, address, code, sizeof(code)))
		return false;
	ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	for (size_t at = 0; at < sizeof(code); at += instruction.length) {
		if (ZYAN_FAILED(ZydisDecoderDecodeInstruction(&decoder, NULL, code + at,
							      sizeof(code) - at, &instruction)))
			return false;
		if (instruction.mnemonic == wanted) {
			*ret_address = address + at;
			return true;
		}
	}
	return false;
}

bool crossings_find(const struct linux_guest *guest, struct crossings *ret, struct reply *error)
{
	const struct machine *machine = guest->machine;
	const struct cpu *cpu = &machine->vcpu[machine->current];

	*ret = (struct crossings){0};
	find_entries(guest, cpu, ret);
	if (kernel_symbol(guest->kernel, "native_irq_return_iret", &ret->iret) &&
	    find_instruction(guest, cpu->lstar, ZYDIS_MNEMONIC_SYSRET, &ret->sysret))
		return true;
	reply_clear(error);
	reply_print(error, "the guest's kernel returns to user mode in an unknown way");
	return false;
}

/* ---- at one of them ---- */

const struct crossing_entry *crossings_entry(const struct crossings *crossings, uint64_t address)
{
	const struct crossing_entry key = {.address = address};

	return bsearch(&key, crossings->entry, crossings->n_entries, sizeof(key), compare_entries);
}

/* CS in the frame of an exception or of IRET: RIP, CS, RFLAGS, RSP, SS from the address on. */
static bool frame_is_users(const struct linux_guest *guest, uint64_t frame)
{
	return (linux_read_u64(guest, frame + 8) & 3) == 3;
}

bool crossings_came_from_user(const struct linux_guest *guest, const struct cpu *cpu,
			      const struct crossing_entry *entry, uint64_t *ret_rip)
{
	uint64_t frame = cpu->gpr[RSP] + entry->error_code;

	if (entry->syscall) {
		*ret_rip = cpu->gpr[RCX];
		return true;
	}
	*ret_rip = linux_read_u64(guest, frame);
	return frame_is_users(guest, frame);
}

bool crossings_leads_to_user(const struct linux_guest *guest, const struct crossings *crossings,
			     const struct cpu *cpu)
{
	return cpu->rip == crossings->sysret ||
	       (cpu->rip == crossings->iret && frame_is_users(guest, cpu->gpr[RSP]));
}
