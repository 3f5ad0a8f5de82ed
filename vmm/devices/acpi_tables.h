/*
 * The ACPI tables (ACPI 6.4): RSDP, XSDT, FADT, FACS, MADT and a DSDT with power-off, UARTs, RTC
 * and one LNRO0005 device per virtio device, which is where Linux looks for virtio over MMIO on
 * x86.
 */
#ifndef REPRISE_VMM_DEVICES_ACPI_TABLES_H
#define REPRISE_VMM_DEVICES_ACPI_TABLES_H

#include <stdint.h>
#include <stddef.h>

/* Offsets from LAYOUT_ACPI_PM_PORT of the fixed hardware that the FADT names. */
#define ACPI_PM1_EVENT_OFFSET   0x0 /* status 2 bytes, enable 2 bytes */
#define ACPI_PM1_CONTROL_OFFSET 0x4 /* 2 bytes */
#define ACPI_PM_TIMER_OFFSET    0x8 /* 4 bytes: 3.579545 MHz, 32 bits wide */

/* SLP_TYP of \_S5: power-off when written to PM1 control together with SLP_EN. */
#define ACPI_SLP_TYP_S5 5

/* Written to LAYOUT_ACPI_RESET_PORT it resets the machine. */
#define ACPI_RESET_VALUE 0x06

struct acpi_tables_config {
	uint32_t n_vcpus;  /* local APIC ids 0 to n_vcpus - 1; 1 to 255 */
	unsigned n_virtio; /* devices 0 to n_virtio - 1 of layout.h; at most LAYOUT_VIRTIO_MAX */
	uint8_t ioapic_id;
};

/*
 * Builds the tables as they stand in memory at gpa, the RSDP first. *ret_blob is the caller's to
 * free. Returns 0, -EINVAL for a configuration out of range, or -ENOMEM.
 */
int acpi_tables_build(const struct acpi_tables_config *config, uint64_t gpa, uint8_t **ret_blob,
		      size_t *ret_bytes);

#endif
