/*
 * ACPI fixed hardware (ACPI 6.4 section 4.8): PM1 event and control blocks and the power management
 * timer, which counts guest time at 3.579545 MHz in 32 bits. The machine is always in ACPI mode.
 * The register offsets are in acpi_tables.h, which describes them to the guest.
 */
#ifndef REPRISE_VMM_DEVICES_ACPI_PM_H
#define REPRISE_VMM_DEVICES_ACPI_PM_H

#include "vmm/devices/device.h"

#define ACPI_PM_PORTS    12
#define ACPI_PM_TIMER_HZ UINT64_C(3579545)

struct Reprise__AcpiPmState;
struct acpi_pm;

/*
 * sci is the system control interrupt. power_off is called when the guest enters S5, inside a
 * register write. Returns 0 or -ENOMEM.
 */
int acpi_pm_create(struct irq_line sci, struct timer_queue *timers, void (*power_off)(void *ctx),
		   void *ctx, struct acpi_pm **ret_pm);
void acpi_pm_destroy(struct acpi_pm *pm);
void acpi_pm_reset(struct acpi_pm *pm);

extern const struct window_ops acpi_pm_window_ops; /* ACPI_PM_PORTS bytes */

void acpi_pm_save(const struct acpi_pm *pm, struct Reprise__AcpiPmState *ret_state);
/* Returns 0, or -EINVAL for an impossible state. The interrupt line is not driven. */
int acpi_pm_restore(struct acpi_pm *pm, const struct Reprise__AcpiPmState *state);

#endif
