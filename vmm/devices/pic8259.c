/*
 * An edge-triggered request is latched by the rising edge and lasts until it is acknowledged or its
 * line falls; a level-triggered one is the line itself. INTR follows from the registers at all
 * times (update), and the slave's INTR is the level of the master's pin 2.
 */
#include "vmm/devices/pic8259.h"

#include <errno.h>
#include <stdlib.h>

#include "vmm/devices/devices.pb-c.h"

#define CASCADE_PIN  2
#define SPURIOUS_PIN 7

#define ICW1         0x10
#define ICW1_ICW4    0x01
#define ICW1_SINGLE  0x02
#define ICW1_LEVEL   0x08
#define ICW4_AEOI    0x02
#define ICW4_NESTED  0x10
#define OCW3         0x08
#define OCW3_READ    0x02 /* the read-register command is valid */
#define OCW3_ISR     0x01
#define OCW3_POLL    0x04
#define OCW3_SPECIAL 0x40 /* the special-mask command is valid */
#define OCW3_MASKED  0x20
#define POLL_REQUEST 0x80

/* OCW2, bits 7 to 5. */
enum ocw2_command {
	OCW2_ROTATE_AEOI_CLEAR,
	OCW2_EOI,
	OCW2_NOTHING,
	OCW2_SPECIFIC_EOI,
	OCW2_ROTATE_AEOI_SET,
	OCW2_ROTATE_EOI,
	OCW2_SET_PRIORITY,
	OCW2_ROTATE_SPECIFIC_EOI,
};

/* What the next write to the data port is. */
enum init_step { INIT_DONE, INIT_ICW2, INIT_ICW3, INIT_ICW4, INIT_STEP_COUNT };

struct chip {
	uint8_t lines;   /* levels at the pins */
	uint8_t latched; /* edge-triggered requests */
	uint8_t mask, in_service;
	uint8_t elcr;      /* level-triggered pins */
	uint8_t elcr_mask; /* pins that can be; fixed */
	uint8_t base;      /* vector of pin 0 */
	uint8_t lowest;    /* the pin of lowest priority */
	uint8_t init_step; /* enum init_step */
	bool needs_icw4, single, all_level;
	bool auto_eoi, rotate_on_aeoi, fully_nested, special_mask;
	bool read_isr, poll;
	bool is_master; /* fixed */
};

struct pic8259 {
	struct chip master, slave;
	struct irq_line output;
};

static uint8_t level_pins(const struct chip *chip)
{
	return chip->all_level ? 0xff : chip->elcr;
}

static uint8_t requests(const struct chip *chip)
{
	uint8_t level = level_pins(chip);
	return (chip->lines & level) | (chip->latched & ~level);
}

/* The set bit of highest priority, or -1. */
static int highest(const struct chip *chip, uint8_t pins)
{
	for (unsigned i = 1; i <= 8; i++) {
		unsigned pin = (chip->lowest + i) & 7;
		if (pins & 1u << pin)
			return pin;
	}
	return -1;
}

static unsigned rank(const struct chip *chip, unsigned pin)
{
	return (pin - chip->lowest - 1) & 7;
}

/* The pin that asks for service now, or -1. */
static int requesting_pin(const struct chip *chip)
{
	uint8_t asking = requests(chip) & ~chip->mask, blocking = chip->in_service;
	/* In special mask mode a level in service holds off only itself. */
	if (chip->special_mask)
		return highest(chip, asking & ~blocking);
	int pin = highest(chip, asking);
	if (pin < 0)
		return -1;
	if (chip->is_master && chip->fully_nested)
		blocking &= ~(1u << CASCADE_PIN);
	int serving = highest(chip, blocking);
	return serving < 0 || rank(chip, pin) < rank(chip, serving) ? pin : -1;
}

static void chip_set_pin(struct chip *chip, unsigned pin, bool level)
{
	uint8_t bit = 1u << pin;
	if (level && !(chip->lines & bit))
		chip->latched |= bit;
	else if (!level)
		chip->latched &= ~bit;
	chip->lines = level ? chip->lines | bit : chip->lines & ~bit;
}

static void update(struct pic8259 *pic)
{
	chip_set_pin(&pic->master, CASCADE_PIN, requesting_pin(&pic->slave) >= 0);
	irq_line_set(&pic->output, requesting_pin(&pic->master) >= 0);
}

static void chip_acknowledge(struct chip *chip, unsigned pin)
{
	uint8_t bit = 1u << pin;
	chip->latched &= ~bit;
	if (!chip->auto_eoi)
		chip->in_service |= bit;
	else if (chip->rotate_on_aeoi)
		chip->lowest = pin;
}

void pic8259_set_pin(void *controller, unsigned pin, bool level)
{
	struct pic8259 *pic = controller;
	if (pin >= PIC8259_PINS || pin == CASCADE_PIN)
		return;
	chip_set_pin(pin < 8 ? &pic->master : &pic->slave, pin & 7, level);
	update(pic);
}

int pic8259_pending(const struct pic8259 *pic)
{
	int pin = requesting_pin(&pic->master);
	if (pin != CASCADE_PIN)
		return pin < 0 ? -1 : pic->master.base + pin;
	pin = requesting_pin(&pic->slave);
	return pic->slave.base + (pin < 0 ? SPURIOUS_PIN : pin);
}

int pic8259_acknowledge(struct pic8259 *pic)
{
	struct chip *chip = &pic->master;
	int pin = requesting_pin(chip);
	if (pin == CASCADE_PIN) {
		chip_acknowledge(chip, pin);
		chip = &pic->slave;
		pin = requesting_pin(chip);
	}
	if (pin >= 0)
		chip_acknowledge(chip, pin);
	int vector = chip->base + (pin < 0 ? SPURIOUS_PIN : pin);
	update(pic);
	return vector;
}

static void end_of_interrupt(struct chip *chip, int pin, bool rotate)
{
	if (pin < 0)
		return;
	chip->in_service &= ~(1u << pin);
	if (rotate)
		chip->lowest = pin;
}

static void write_ocw2(struct chip *chip, uint8_t value)
{
	unsigned pin = value & 7;
	uint8_t serving = chip->in_service;
	if (chip->special_mask)
		serving &= ~chip->mask; /* a masked level is not the one that ends */
	switch ((enum ocw2_command)(value >> 5)) {
	case OCW2_ROTATE_AEOI_CLEAR:
		chip->rotate_on_aeoi = false;
		break;
	case OCW2_ROTATE_AEOI_SET:
		chip->rotate_on_aeoi = true;
		break;
	case OCW2_EOI:
	case OCW2_ROTATE_EOI:
		end_of_interrupt(chip, highest(chip, serving), value >> 5 == OCW2_ROTATE_EOI);
		break;
	case OCW2_SPECIFIC_EOI:
	case OCW2_ROTATE_SPECIFIC_EOI:
		end_of_interrupt(chip, pin, value >> 5 == OCW2_ROTATE_SPECIFIC_EOI);
		break;
	case OCW2_SET_PRIORITY:
		chip->lowest = pin;
		break;
	case OCW2_NOTHING:
		break;
	}
}

static void write_ocw3(struct chip *chip, uint8_t value)
{
	if (value & OCW3_POLL)
		chip->poll = true;
	if (value & OCW3_READ)
		chip->read_isr = value & OCW3_ISR;
	if (value & OCW3_SPECIAL)
		chip->special_mask = value & OCW3_MASKED;
}

/* The edge sense circuit is reset: a line must rise anew to be a request. */
static void write_icw1(struct chip *chip, uint8_t value)
{
	chip->latched = 0;
	chip->mask = chip->in_service = 0;
	chip->lowest = 7;
	chip->auto_eoi = chip->rotate_on_aeoi = chip->fully_nested = chip->special_mask = false;
	chip->read_isr = chip->poll = false;
	chip->needs_icw4 = value & ICW1_ICW4;
	chip->single = value & ICW1_SINGLE;
	chip->all_level = value & ICW1_LEVEL;
	chip->init_step = INIT_ICW2;
}

static void write_data(struct chip *chip, uint8_t value)
{
	switch ((enum init_step)chip->init_step) {
	case INIT_ICW2:
		chip->base = value & 0xf8;
		chip->init_step = !chip->single      ? INIT_ICW3
				  : chip->needs_icw4 ? INIT_ICW4
						     : INIT_DONE;
		break;
	case INIT_ICW3: /* the cascade is wired */
		chip->init_step = chip->needs_icw4 ? INIT_ICW4 : INIT_DONE;
		break;
	case INIT_ICW4:
		chip->auto_eoi = value & ICW4_AEOI;
		chip->fully_nested = value & ICW4_NESTED;
		chip->init_step = INIT_DONE;
		break;
	default:
		chip->mask = value;
		break;
	}
}

static void chip_write(struct pic8259 *pic, struct chip *chip, uint64_t offset, uint8_t value)
{
	if (offset)
		write_data(chip, value);
	else if (value & ICW1)
		write_icw1(chip, value);
	else if (value & OCW3)
		write_ocw3(chip, value);
	else
		write_ocw2(chip, value);
	update(pic);
}

/* A read after the poll command acknowledges as an interrupt cycle would. */
static uint8_t read_poll(struct pic8259 *pic, struct chip *chip)
{
	int pin = requesting_pin(chip);
	chip->poll = false;
	if (pin < 0)
		return 0;
	chip_acknowledge(chip, pin);
	update(pic);
	return POLL_REQUEST | pin;
}

static uint8_t chip_read(struct pic8259 *pic, struct chip *chip, uint64_t offset)
{
	if (chip->poll)
		return read_poll(pic, chip);
	if (offset)
		return chip->mask;
	return chip->read_isr ? chip->in_service : requests(chip);
}

static uint64_t master_read(void *device, uint64_t offset, unsigned size)
{
	struct pic8259 *pic = device;
	return chip_read(pic, &pic->master, offset);
}

static void master_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct pic8259 *pic = device;
	chip_write(pic, &pic->master, offset, value);
}

static uint64_t slave_read(void *device, uint64_t offset, unsigned size)
{
	struct pic8259 *pic = device;
	return chip_read(pic, &pic->slave, offset);
}

static void slave_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct pic8259 *pic = device;
	chip_write(pic, &pic->slave, offset, value);
}

static uint64_t elcr_read(void *device, uint64_t offset, unsigned size)
{
	struct pic8259 *pic = device;
	return offset ? pic->slave.elcr : pic->master.elcr;
}

static void elcr_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct pic8259 *pic = device;
	struct chip *chip = offset ? &pic->slave : &pic->master;
	chip->elcr = value & chip->elcr_mask;
	update(pic);
}

const struct window_ops pic8259_master_ops = {.read = master_read, .write = master_write};
const struct window_ops pic8259_slave_ops = {.read = slave_read, .write = slave_write};
const struct window_ops pic8259_elcr_ops = {.read = elcr_read, .write = elcr_write};

static void chip_reset(struct chip *chip)
{
	*chip = (struct chip){
		.lines = chip->lines,
		.elcr_mask = chip->elcr_mask,
		.is_master = chip->is_master,
		.lowest = 7,
		.mask = 0xff, /* as firmware leaves it */
		.base = chip->is_master ? 0x08 : 0x70,
	};
}

void pic8259_reset(struct pic8259 *pic)
{
	chip_reset(&pic->master);
	chip_reset(&pic->slave);
	update(pic);
}

int pic8259_create(struct irq_line output, struct pic8259 **ret_pic)
{
	struct pic8259 *pic = calloc(1, sizeof(*pic));
	if (!pic)
		return -ENOMEM;
	pic->output = output;
	pic->master.is_master = true;
	/* The timer, the keyboard, the cascade, the RTC and the FPU are always edge-triggered. */
	pic->master.elcr_mask = 0xf8;
	pic->slave.elcr_mask = 0xde;
	pic8259_reset(pic);
	*ret_pic = pic;
	return 0;
}

void pic8259_destroy(struct pic8259 *pic)
{
	free(pic);
}

static void chip_save(const struct chip *chip, Reprise__PicChipState *ret_state)
{
	reprise__pic_chip_state__init(ret_state);
	ret_state->lines = chip->lines;
	ret_state->latched = chip->latched;
	ret_state->mask = chip->mask;
	ret_state->in_service = chip->in_service;
	ret_state->level_triggered = chip->elcr;
	ret_state->vector_base = chip->base;
	ret_state->lowest_priority = chip->lowest;
	ret_state->init_step = chip->init_step;
	ret_state->init_needs_icw4 = chip->needs_icw4;
	ret_state->init_single = chip->single;
	ret_state->all_level = chip->all_level;
	ret_state->auto_eoi = chip->auto_eoi;
	ret_state->rotate_on_auto_eoi = chip->rotate_on_aeoi;
	ret_state->special_fully_nested = chip->fully_nested;
	ret_state->special_mask = chip->special_mask;
	ret_state->read_in_service = chip->read_isr;
	ret_state->poll = chip->poll;
}

void pic8259_save(const struct pic8259 *pic, Reprise__PicState *ret_state,
		  Reprise__PicChipState *ret_chips)
{
	reprise__pic_state__init(ret_state);
	chip_save(&pic->master, &ret_chips[0]);
	chip_save(&pic->slave, &ret_chips[1]);
	ret_state->master = &ret_chips[0];
	ret_state->slave = &ret_chips[1];
}

static bool chip_possible(const struct chip *chip, const Reprise__PicChipState *state)
{
	return state && state->lines <= 0xff && !(state->latched & ~state->lines) &&
	       state->mask <= 0xff && state->in_service <= 0xff &&
	       !(state->level_triggered & ~chip->elcr_mask) && state->vector_base <= 0xff &&
	       !(state->vector_base & 7) && state->lowest_priority <= 7 &&
	       state->init_step < INIT_STEP_COUNT;
}

static void chip_restore(struct chip *chip, const Reprise__PicChipState *state)
{
	chip->lines = state->lines;
	chip->latched = state->latched;
	chip->mask = state->mask;
	chip->in_service = state->in_service;
	chip->elcr = state->level_triggered;
	chip->base = state->vector_base;
	chip->lowest = state->lowest_priority;
	chip->init_step = state->init_step;
	chip->needs_icw4 = state->init_needs_icw4;
	chip->single = state->init_single;
	chip->all_level = state->all_level;
	chip->auto_eoi = state->auto_eoi;
	chip->rotate_on_aeoi = state->rotate_on_auto_eoi;
	chip->fully_nested = state->special_fully_nested;
	chip->special_mask = state->special_mask;
	chip->read_isr = state->read_in_service;
	chip->poll = state->poll;
}

int pic8259_restore(struct pic8259 *pic, const Reprise__PicState *state)
{
	if (!chip_possible(&pic->master, state->master) ||
	    !chip_possible(&pic->slave, state->slave))
		return -EINVAL;
	chip_restore(&pic->master, state->master);
	chip_restore(&pic->slave, state->slave);
	return 0;
}
