#include "vmm/devices/irq_router.h"

#include <errno.h>
#include <string.h>

#include "vmm/devices/ioapic.h"
#include "vmm/devices/layout.h"
#include "vmm/devices/pic8259.h"

#define IOAPIC_PIN_OF_PIT 2

/* A wire's pin number holds the line and which of the line's devices it comes from. */
#define SOURCE_SHIFT 8

static void router_set(void *controller, unsigned wire, bool level)
{
	struct irq_router *router = controller;
	unsigned line = wire & ((1u << SOURCE_SHIFT) - 1);
	uint32_t bit = 1u << (wire >> SOURCE_SHIFT);
	bool was_high = router->sources[line];

	if (level)
		router->sources[line] |= bit;
	else
		router->sources[line] &= ~bit;
	bool is_high = router->sources[line];
	if (is_high == was_high)
		return;
	if (line < PIC8259_PINS)
		pic8259_set_pin(router->pic, line, is_high);
	ioapic_set_pin(router->ioapic, line == LAYOUT_IRQ_PIT ? IOAPIC_PIN_OF_PIT : line, is_high);
}

void irq_router_init(struct irq_router *router, struct pic8259 *pic, struct ioapic *ioapic)
{
	*router = (struct irq_router){.pic = pic, .ioapic = ioapic};
}

struct irq_line irq_router_connect(struct irq_router *router, unsigned line)
{
	unsigned source = router->n_sources[line]++;
	return (struct irq_line){router_set, router, line | source << SOURCE_SHIFT};
}

int irq_router_restore(struct irq_router *router, const uint32_t *sources, unsigned n)
{
	if (n != IRQ_ROUTER_LINES)
		return -EINVAL;
	for (unsigned i = 0; i < n; i++)
		if ((uint64_t)sources[i] >> router->n_sources[i])
			return -EINVAL;
	memcpy(router->sources, sources, sizeof(router->sources));
	return 0;
}
