/*
 * A local APIC's registers, the same in both modes but for a few: by offset in the xAPIC page
 * (SDM 3A table 10-1), in x2APIC mode as MSR 0x800 + offset / 16 (table 10-6).
 */
#include "vmm/devices/lapic.h"

#include "vmm/devices/lapic_state.h"

#define REG_ID            0x020
#define REG_VERSION       0x030
#define REG_TASK_PRIORITY 0x080
#define REG_ARBITRATION   0x090
#define REG_PRIORITY      0x0a0
#define REG_EOI           0x0b0
#define REG_REMOTE_READ   0x0c0
#define REG_LOGICAL       0x0d0
#define REG_FORMAT        0x0e0
#define REG_SPURIOUS      0x0f0
#define REG_IN_SERVICE    0x100 /* 8 registers each */
#define REG_LEVEL         0x180
#define REG_REQUEST       0x200
#define REG_ERROR         0x280
#define REG_COMMAND       0x300
#define REG_COMMAND_HIGH  0x310
#define REG_LVT           0x320 /* LVT_COUNT registers */
#define REG_LVT_LAST      0x370
#define REG_TIMER_INITIAL 0x380
#define REG_TIMER_CURRENT 0x390
#define REG_TIMER_DIVIDE  0x3e0
#define REG_SELF_IPI      0x3f0 /* x2APIC mode only */

#define VERSION (0x14u | (LVT_COUNT - 1) << 16)

/* Delivery status (bit 12) reads as 0: messages arrive at once. */
#define COMMAND_KEPT 0x000ccfffu

static const uint32_t lvt_kept[LVT_COUNT] = {
	[LVT_TIMER] = 0x000700ff, [LVT_THERMAL] = 0x000107ff, [LVT_PERFORMANCE] = 0x000107ff,
	[LVT_LINT0] = 0x0001a7ff, [LVT_LINT1] = 0x0001a7ff,   [LVT_ERROR] = 0x000100ff,
};

bool lapic_lvt_possible(enum lapic_lvt entry, uint32_t value)
{
	uint32_t kept = lvt_kept[entry] | (entry == LVT_LINT0 ? LVT_REMOTE_IRR : 0);
	return !(value & ~kept);
}

static uint32_t read_vectors(const uint64_t *vectors, uint32_t offset)
{
	unsigned n = offset >> 4 & 7;
	return vectors[n / 2] >> (n % 2 * 32);
}

static uint32_t illegal_register(struct lapic *lapic)
{
	lapic_error(lapic, ERROR_ILLEGAL_REGISTER);
	return 0;
}

static uint32_t read_logical(const struct lapic *lapic)
{
	if (lapic_x2apic(lapic))
		return lapic->id >> 4 << 16 | 1u << (lapic->id & 0xf);
	return lapic->logical_destination;
}

static uint32_t read_register(struct lapic *lapic, uint32_t offset)
{
	switch (offset) {
	case REG_ID:
		return lapic_x2apic(lapic) ? lapic->id : lapic->id << 24;
	case REG_VERSION:
		return VERSION;
	case REG_TASK_PRIORITY:
		return lapic->task_priority;
	case REG_ARBITRATION:
	case REG_PRIORITY:
		return lapic_processor_priority(lapic);
	case REG_EOI:
	case REG_REMOTE_READ:
	case REG_SELF_IPI:
		return 0;
	case REG_LOGICAL:
		return read_logical(lapic);
	case REG_FORMAT:
		return lapic->destination_format;
	case REG_SPURIOUS:
		return lapic->spurious;
	case REG_IN_SERVICE ... REG_IN_SERVICE + 0x70:
		return read_vectors(lapic->in_service, offset);
	case REG_LEVEL ... REG_LEVEL + 0x70:
		return read_vectors(lapic->level, offset);
	case REG_REQUEST ... REG_REQUEST + 0x70:
		return read_vectors(lapic->request, offset);
	case REG_ERROR:
		return lapic->error_status;
	case REG_COMMAND:
		return lapic->command;
	case REG_COMMAND_HIGH:
		return lapic->command >> 32;
	case REG_LVT ... REG_LVT_LAST:
		return lapic->lvt[(offset - REG_LVT) >> 4];
	case REG_TIMER_INITIAL:
		return lapic->timer_initial;
	case REG_TIMER_CURRENT:
		return lapic_timer_current(lapic);
	case REG_TIMER_DIVIDE:
		return lapic->timer_divide;
	default:
		return illegal_register(lapic);
	}
}

static void write_lvt(struct lapic *lapic, enum lapic_lvt entry, uint32_t value)
{
	value &= lvt_kept[entry];
	if (!(lapic->spurious & SPURIOUS_ENABLE))
		value |= LVT_MASKED;
	if (entry == LVT_TIMER) {
		lapic_timer_set_lvt(lapic, value);
		return;
	}
	/* Remote IRR belongs to the level-triggered interrupt in progress. */
	if (entry == LVT_LINT0 && (value & LVT_LEVEL))
		value |= lapic->lvt[entry] & LVT_REMOTE_IRR;
	lapic->lvt[entry] = value;
	if (entry == LVT_LINT0)
		lapic_update_lint0(lapic);
}

static void write_spurious(struct lapic *lapic, uint32_t value)
{
	lapic->spurious = value & SPURIOUS_KEPT;
	if (value & SPURIOUS_ENABLE)
		return;
	/* Disabled by software: every local source is masked (SDM 3A 10.4.7.2). */
	for (unsigned i = 0; i < LVT_COUNT; i++)
		write_lvt(lapic, i, lapic->lvt[i]);
}

static void write_command(struct lapic *lapic, uint32_t low)
{
	enum apic_delivery delivery = low >> 8 & 7;
	lapic->command = (lapic->command & ~UINT64_C(0xffffffff)) | (low & COMMAND_KEPT);
	if (delivery <= APIC_LOWEST_PRIORITY && (low & 0xff) < 16)
		lapic_error(lapic, ERROR_SEND_VECTOR);
	else
		apic_bus_command(lapic->bus, lapic->id, lapic->command, lapic_x2apic(lapic));
}

static void write_register(struct lapic *lapic, uint32_t offset, uint32_t value)
{
	switch (offset) {
	case REG_TASK_PRIORITY:
		lapic->task_priority = value;
		break;
	case REG_EOI:
		lapic_end_of_interrupt(lapic);
		break;
	case REG_LOGICAL:
		lapic->logical_destination = value & 0xff000000u;
		break;
	case REG_FORMAT:
		lapic->destination_format = value | 0x0fffffffu;
		break;
	case REG_SPURIOUS:
		write_spurious(lapic, value);
		break;
	case REG_ERROR:
		lapic->error_status = lapic->error_pending;
		lapic->error_pending = 0;
		break;
	case REG_COMMAND:
		write_command(lapic, value);
		break;
	case REG_COMMAND_HIGH:
		lapic->command = (uint32_t)lapic->command | (uint64_t)(value & 0xff000000u) << 32;
		break;
	case REG_LVT ... REG_LVT_LAST:
		write_lvt(lapic, (offset - REG_LVT) >> 4, value);
		break;
	case REG_TIMER_INITIAL:
		lapic_timer_set_initial(lapic, value);
		break;
	case REG_TIMER_DIVIDE:
		lapic_timer_set_divide(lapic, value);
		break;
	case REG_ID: /* read-only, as are those below */
	case REG_VERSION:
	case REG_ARBITRATION:
	case REG_PRIORITY:
	case REG_REMOTE_READ:
	case REG_IN_SERVICE ... REG_REQUEST + 0x70:
	case REG_TIMER_CURRENT:
		break;
	default:
		illegal_register(lapic);
		break;
	}
}

/* ---- xAPIC: registers of 32 bits, 16 bytes apart ---- */

static bool page_visible(const struct lapic *lapic)
{
	return (lapic->base & BASE_ENABLE) && !lapic_x2apic(lapic);
}

static uint64_t lapic_read(void *device, uint64_t offset, unsigned size)
{
	struct lapic *lapic = device;
	unsigned byte = offset & 0xf;
	uint64_t ones = size < 8 ? (UINT64_C(1) << size * 8) - 1 : UINT64_MAX;
	if (!page_visible(lapic))
		return ones;
	return byte < 4 ? read_register(lapic, offset & ~0xfu) >> byte * 8 & ones : 0;
}

static void lapic_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct lapic *lapic = device;
	if (page_visible(lapic) && !(offset & 0xf))
		write_register(lapic, offset, value);
}

const struct window_ops lapic_window_ops = {.read = lapic_read, .write = lapic_write};

/* ---- MSRs ---- */

static void write_base(struct lapic *lapic, uint64_t value)
{
	uint64_t changeable = BASE_ENABLE | BASE_X2APIC;
	lapic->base = (lapic->base & ~changeable) | (value & changeable);
	/* Disabled and enabled again it is as after power-on (SDM 3A 10.4.3). */
	if (!(value & BASE_ENABLE))
		lapic_clear(lapic);
}

uint64_t lapic_read_msr(struct lapic *lapic, uint32_t msr)
{
	if (msr == LAPIC_MSR_BASE)
		return lapic->base;
	if (msr == LAPIC_MSR_TSC_DEADLINE)
		return lapic->timer_tsc_deadline;
	if (msr < LAPIC_MSR_X2APIC_FIRST || msr > LAPIC_MSR_X2APIC_LAST || !lapic_x2apic(lapic))
		return 0;
	uint32_t offset = (msr - LAPIC_MSR_X2APIC_FIRST) << 4;
	return offset == REG_COMMAND ? lapic->command : read_register(lapic, offset);
}

static void write_x2apic(struct lapic *lapic, uint32_t offset, uint64_t value)
{
	switch (offset) {
	case REG_COMMAND:
		lapic->command = value & ~UINT64_C(0xffffffff);
		write_command(lapic, value);
		break;
	case REG_SELF_IPI:
		if ((value & 0xff) < 16)
			lapic_error(lapic, ERROR_SEND_VECTOR);
		else
			lapic_accept(lapic, value, false);
		break;
	case REG_LOGICAL: /* read-only in this mode */
	case REG_FORMAT:
	case REG_COMMAND_HIGH:
		break;
	default:
		write_register(lapic, offset, value);
		break;
	}
}

void lapic_write_msr(struct lapic *lapic, uint32_t msr, uint64_t value, uint64_t tsc_offset)
{
	if (msr == LAPIC_MSR_BASE)
		write_base(lapic, value);
	else if (msr == LAPIC_MSR_TSC_DEADLINE)
		lapic_timer_set_tsc_deadline(lapic, value, tsc_offset);
	else if (msr >= LAPIC_MSR_X2APIC_FIRST && msr <= LAPIC_MSR_X2APIC_LAST &&
		 lapic_x2apic(lapic))
		write_x2apic(lapic, (msr - LAPIC_MSR_X2APIC_FIRST) << 4, value);
}
