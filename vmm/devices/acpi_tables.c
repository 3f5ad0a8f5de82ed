/*
 * Tables in memory, from the given address on: RSDP, FACS (64-byte aligned), then DSDT, FADT, MADT,
 * RSDT and XSDT. There is no PCI root and there are no processor devices: Linux takes the
 * processors from the MADT, and idles by HLT without them.
 */
#include "vmm/devices/acpi_tables.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/devices/acpi_aml.h"
#include "vmm/devices/layout.h"
#include "vmm/devices/rtc_time.h"

#define BLOB_BYTES_MAX 0x4000u

#define OEM_ID       "RPRISE"
#define OEM_TABLE_ID "REPRISE "
#define CREATOR_ID   "RPRS"

#define HEADER_BYTES         36u
#define HEADER_LENGTH_AT     4
#define HEADER_CHECKSUM_AT   9
#define RSDP_BYTES           36u
#define RSDP_V1_BYTES        20u
#define RSDP_CHECKSUM_AT     8
#define RSDP_EXT_CHECKSUM_AT 32
#define FACS_BYTES           64u
#define FADT_BYTES           276u
#define TABLE_ALIGN          16u
#define FACS_ALIGN           64u

/* FADT IA-PC boot architecture flags (ACPI 6.4 table 5.10): no 8042 is claimed, so none is probed.
 */
#define BOOT_LEGACY_DEVICES 0x0001u
#define BOOT_NO_VGA         0x0004u
#define BOOT_NO_MSI         0x0008u

/* FADT flags (table 5.9). */
#define FADT_WBINVD        (1u << 0)
#define FADT_PROC_C1       (1u << 2)
#define FADT_NO_PWR_BUTTON (1u << 4)
#define FADT_NO_SLP_BUTTON (1u << 5)
#define FADT_NO_FIX_RTC    (1u << 6)
#define FADT_TMR_VAL_EXT   (1u << 8)
#define FADT_RESET_REG     (1u << 10)
#define FADT_HEADLESS      (1u << 12)

#define LATENCY_C2_NONE 101u /* microseconds: above 100 there is no C2, above 1000 no C3 */
#define LATENCY_C3_NONE 1001u

#define SPACE_IO 1

/* MADT (section 5.2.12). */
#define MADT_PCAT_COMPAT    1u
#define MADT_LAPIC_ENABLED  1u
#define MADT_ALL_PROCESSORS 0xff
#define MADT_LEVEL_HIGH     0x000du /* polarity active high, trigger level */

struct blob {
	uint8_t *data;
	size_t bytes;
	uint64_t gpa;
};

/* ---- bytes ---- */

/* Gives n cleared bytes at a multiple of align; everything is sized for BLOB_BYTES_MAX. */
static uint8_t *reserve(struct blob *blob, size_t n, size_t align)
{
	size_t at = (blob->bytes + align - 1) / align * align;

	if (at > BLOB_BYTES_MAX || n > BLOB_BYTES_MAX - at)
		return NULL;
	blob->bytes = at + n;
	return blob->data + at;
}

static uint64_t gpa_of(const struct blob *blob, const uint8_t *table)
{
	return blob->gpa + (uint64_t)(table - blob->data);
}

static void put_le(uint8_t *at, uint64_t value, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		at[i] = (uint8_t)(value >> (8 * i));
}

/* The byte that makes the sum of all n bytes 0. */
static uint8_t checksum(const uint8_t *table, size_t n)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += table[i];
	return (uint8_t)-sum;
}

/* The header common to all tables (table 5.4); table_close() adds length and checksum. */
static void put_header(uint8_t *table, const char *signature, uint8_t revision)
{
	memcpy(table, signature, 4);
	table[8] = revision;
	memcpy(table + 10, OEM_ID, 6);
	memcpy(table + 16, OEM_TABLE_ID, 8);
	put_le(table + 24, 1, 4);
	memcpy(table + 28, CREATOR_ID, 4);
	put_le(table + 32, 1, 4);
}

static void table_close(uint8_t *table, size_t n)
{
	put_le(table + HEADER_LENGTH_AT, n, 4);
	table[HEADER_CHECKSUM_AT] = 0;
	table[HEADER_CHECKSUM_AT] = checksum(table, n);
}

/* ---- DSDT ---- */

struct uart_row {
	const char *name;
	uint16_t port;
	uint8_t irq;
};

static const struct uart_row uarts[] = {
	{.name = "COM1", .port = LAYOUT_UART0_PORT, .irq = LAYOUT_IRQ_UART0},
	{.name = "COM2", .port = LAYOUT_UART1_PORT, .irq = LAYOUT_IRQ_UART1},
};

static void put_uart(struct aml_writer *aml, const struct uart_row *row, unsigned uid)
{
	aml_device(aml, row->name);
	aml_name(aml, "_HID");
	aml_eisa_id(aml, "PNP0501");
	aml_name(aml, "_UID");
	aml_integer(aml, uid);
	aml_name(aml, "_CRS");
	aml_resources(aml);
	aml_io(aml, row->port, 8);
	aml_irq(aml, row->irq);
	aml_resources_end(aml);
	aml_end(aml);
}

static void put_rtc(struct aml_writer *aml)
{
	aml_device(aml, "RTC_");
	aml_name(aml, "_HID");
	aml_eisa_id(aml, "PNP0B00");
	aml_name(aml, "_CRS");
	aml_resources(aml);
	aml_io(aml, LAYOUT_RTC_PORT, 2);
	aml_irq(aml, LAYOUT_IRQ_RTC);
	aml_resources_end(aml);
	aml_end(aml);
}

static void put_virtio(struct aml_writer *aml, unsigned index)
{
	char name[8];

	snprintf(name, sizeof(name), "VR%02X", index & 0xff);
	aml_device(aml, name);
	aml_name(aml, "_HID");
	aml_string(aml, "LNRO0005");
	aml_name(aml, "_UID");
	aml_integer(aml, index);
	aml_name(aml, "_CCA");
	aml_integer(aml, 1);
	aml_name(aml, "_CRS");
	aml_resources(aml);
	aml_memory32(aml, LAYOUT_VIRTIO_GPA + index * LAYOUT_VIRTIO_BYTES, LAYOUT_VIRTIO_BYTES);
	aml_interrupt_level(aml, LAYOUT_IRQ_VIRTIO + index % LAYOUT_IRQ_VIRTIO_COUNT);
	aml_resources_end(aml);
	aml_end(aml);
}

static void put_s5(struct aml_writer *aml)
{
	aml_name(aml, "\\_S5_");
	aml_package(aml, 4);
	aml_integer(aml, ACPI_SLP_TYP_S5); /* PM1a */
	aml_integer(aml, ACPI_SLP_TYP_S5); /* PM1b */
	aml_integer(aml, 0);
	aml_integer(aml, 0);
	aml_end(aml);
}

static uint8_t *put_dsdt(struct blob *blob, const struct acpi_tables_config *config)
{
	uint8_t *dsdt = reserve(blob, HEADER_BYTES, TABLE_ALIGN);
	struct aml_writer aml;

	if (!dsdt)
		return NULL;
	put_header(dsdt, "DSDT", 2);
	aml_init(&aml, dsdt + HEADER_BYTES, BLOB_BYTES_MAX - blob->bytes);
	put_s5(&aml);
	aml_scope(&aml, "\\_SB_");
	for (unsigned i = 0; i < sizeof(uarts) / sizeof(uarts[0]); i++)
		put_uart(&aml, &uarts[i], i + 1);
	put_rtc(&aml);
	for (unsigned i = 0; i < config->n_virtio; i++)
		put_virtio(&aml, i);
	aml_end(&aml);
	if (aml.overflow)
		return NULL;
	blob->bytes += aml.bytes;
	table_close(dsdt, HEADER_BYTES + aml.bytes);
	return dsdt;
}

/* ---- FADT ---- */

/* A field that names a port: bytes wide, in the 32-bit form (0: none) and as a generic address. */
struct fadt_port_row {
	uint16_t at, extended_at;
	uint16_t port;
	uint8_t bytes;
	uint8_t access_bytes;
};

static const struct fadt_port_row fadt_ports[] = {
	{.at = 56,
	 .extended_at = 148,
	 .port = LAYOUT_ACPI_PM_PORT + ACPI_PM1_EVENT_OFFSET,
	 .bytes = 4,
	 .access_bytes = 2},
	{.at = 64,
	 .extended_at = 172,
	 .port = LAYOUT_ACPI_PM_PORT + ACPI_PM1_CONTROL_OFFSET,
	 .bytes = 2,
	 .access_bytes = 2},
	{.at = 76,
	 .extended_at = 208,
	 .port = LAYOUT_ACPI_PM_PORT + ACPI_PM_TIMER_OFFSET,
	 .bytes = 4,
	 .access_bytes = 4},
	{.extended_at = 116, .port = LAYOUT_ACPI_RESET_PORT, .bytes = 1, .access_bytes = 1},
};

static void put_fadt_port(uint8_t *fadt, const struct fadt_port_row *row)
{
	uint8_t *generic = fadt + row->extended_at;

	if (row->at)
		put_le(fadt + row->at, row->port, 4);
	generic[0] = SPACE_IO;
	generic[1] = row->bytes * 8;
	generic[2] = 0; /* bit offset */
	generic[3] = (uint8_t)(__builtin_ctz(row->access_bytes) + 1);
	put_le(generic + 4, row->port, 8);
}

/*
 * Offsets as in table 5.9. Hardware-reduced is not set; SMI_CMD is 0, so the machine is in ACPI
 * mode from the start.
 */
static uint8_t *put_fadt(struct blob *blob, const uint8_t *facs, const uint8_t *dsdt)
{
	uint8_t *fadt = reserve(blob, FADT_BYTES, TABLE_ALIGN);

	if (!fadt)
		return NULL;
	put_header(fadt, "FACP", 6);
	put_le(fadt + 36, gpa_of(blob, facs), 4);
	put_le(fadt + 40, gpa_of(blob, dsdt), 4);
	put_le(fadt + 140, gpa_of(blob, dsdt), 8);
	put_le(fadt + 46, LAYOUT_IRQ_SCI, 2);
	for (unsigned i = 0; i < sizeof(fadt_ports) / sizeof(fadt_ports[0]); i++)
		put_fadt_port(fadt, &fadt_ports[i]);
	fadt[88] = 4; /* PM1_EVT_LEN */
	fadt[89] = 2; /* PM1_CNT_LEN */
	fadt[91] = 4; /* PM_TMR_LEN */
	put_le(fadt + 96, LATENCY_C2_NONE, 2);
	put_le(fadt + 98, LATENCY_C3_NONE, 2);
	fadt[108] = RTC_CENTURY;
	put_le(fadt + 109, BOOT_LEGACY_DEVICES | BOOT_NO_VGA | BOOT_NO_MSI, 2);
	put_le(fadt + 112,
	       FADT_WBINVD | FADT_PROC_C1 | FADT_NO_PWR_BUTTON | FADT_NO_SLP_BUTTON |
		       FADT_NO_FIX_RTC | FADT_TMR_VAL_EXT | FADT_RESET_REG | FADT_HEADLESS,
	       4);
	fadt[128] = ACPI_RESET_VALUE;
	fadt[131] = 4; /* minor version */
	table_close(fadt, FADT_BYTES);
	return fadt;
}

/* ---- the other tables ---- */

static uint8_t *put_facs(struct blob *blob)
{
	uint8_t *facs = reserve(blob, FACS_BYTES, FACS_ALIGN);

	if (!facs)
		return NULL;
	memcpy(facs, "FACS", 4);
	put_le(facs + 4, FACS_BYTES, 4);
	facs[32] = 2; /* version */
	return facs;
}

static uint8_t *put_override(uint8_t *at, uint8_t irq, uint32_t gsi, uint16_t flags)
{
	at[0] = 2;
	at[1] = 10;
	at[3] = irq;
	put_le(at + 4, gsi, 4);
	put_le(at + 8, flags, 2);
	return at + 10;
}

static uint8_t *put_lapic(uint8_t *at, uint8_t id)
{
	at[0] = 0;
	at[1] = 8;
	at[2] = at[3] = id;
	put_le(at + 4, MADT_LAPIC_ENABLED, 4);
	return at + 8;
}

static uint8_t *put_ioapic(uint8_t *at, uint8_t id)
{
	at[0] = 1;
	at[1] = 12;
	at[2] = id;
	put_le(at + 4, LAYOUT_IOAPIC_GPA, 4);
	put_le(at + 8, 0, 4); /* its first interrupt is GSI 0 */
	return at + 12;
}

/* NMI comes in at LINT1 of every processor. */
static uint8_t *put_lapic_nmi(uint8_t *at)
{
	at[0] = 4;
	at[1] = 6;
	at[2] = MADT_ALL_PROCESSORS;
	at[5] = 1;
	return at + 6;
}

static uint8_t *put_madt(struct blob *blob, const struct acpi_tables_config *config)
{
	size_t n = HEADER_BYTES + 8 + 8 * config->n_vcpus + 12 + 2 * 10 + 6;
	uint8_t *madt = reserve(blob, n, TABLE_ALIGN), *at;

	if (!madt)
		return NULL;
	put_header(madt, "APIC", 5);
	put_le(madt + 36, LAYOUT_LAPIC_GPA, 4);
	put_le(madt + 40, MADT_PCAT_COMPAT, 4);
	at = madt + HEADER_BYTES + 8;
	for (uint32_t i = 0; i < config->n_vcpus; i++)
		at = put_lapic(at, (uint8_t)i);
	at = put_ioapic(at, config->ioapic_id);
	at = put_override(at, LAYOUT_IRQ_PIT, 2, 0);
	at = put_override(at, LAYOUT_IRQ_SCI, LAYOUT_IRQ_SCI, MADT_LEVEL_HIGH);
	put_lapic_nmi(at);
	table_close(madt, n);
	return madt;
}

/* RSDT or XSDT: the addresses of FADT and MADT, entry_bytes each. */
static uint8_t *put_root(struct blob *blob, const char *signature, unsigned entry_bytes,
			 const uint8_t *fadt, const uint8_t *madt)
{
	size_t n = HEADER_BYTES + 2 * entry_bytes;
	uint8_t *root = reserve(blob, n, TABLE_ALIGN);

	if (!root)
		return NULL;
	put_header(root, signature, 1);
	put_le(root + HEADER_BYTES, gpa_of(blob, fadt), entry_bytes);
	put_le(root + HEADER_BYTES + entry_bytes, gpa_of(blob, madt), entry_bytes);
	table_close(root, n);
	return root;
}

/* Table 5.3. */
static void put_rsdp(struct blob *blob, uint8_t *rsdp, const uint8_t *rsdt, const uint8_t *xsdt)
{
	memcpy(rsdp, "RSD PTR ", 8);
	memcpy(rsdp + 9, OEM_ID, 6);
	rsdp[15] = 2; /* revision */
	put_le(rsdp + 16, gpa_of(blob, rsdt), 4);
	put_le(rsdp + 20, RSDP_BYTES, 4);
	put_le(rsdp + 24, gpa_of(blob, xsdt), 8);
	rsdp[RSDP_CHECKSUM_AT] = checksum(rsdp, RSDP_V1_BYTES);
	rsdp[RSDP_EXT_CHECKSUM_AT] = checksum(rsdp, RSDP_BYTES);
}

static int build(struct blob *blob, const struct acpi_tables_config *config)
{
	uint8_t *rsdp = reserve(blob, RSDP_BYTES, TABLE_ALIGN);
	uint8_t *facs = put_facs(blob);
	uint8_t *dsdt = put_dsdt(blob, config);
	uint8_t *fadt = facs && dsdt ? put_fadt(blob, facs, dsdt) : NULL;
	uint8_t *madt = put_madt(blob, config);
	uint8_t *rsdt = fadt && madt ? put_root(blob, "RSDT", 4, fadt, madt) : NULL;
	uint8_t *xsdt = fadt && madt ? put_root(blob, "XSDT", 8, fadt, madt) : NULL;

	if (!rsdp || !rsdt || !xsdt)
		return -EINVAL;
	put_rsdp(blob, rsdp, rsdt, xsdt);
	return 0;
}

int acpi_tables_build(const struct acpi_tables_config *config, uint64_t gpa, uint8_t **ret_blob,
		      size_t *ret_bytes)
{
	struct blob blob = {.gpa = gpa};
	int err;

	if (config->n_vcpus < 1 || config->n_vcpus > 255 || config->n_virtio > LAYOUT_VIRTIO_MAX ||
	    gpa % FACS_ALIGN != 0 || gpa > UINT32_MAX - BLOB_BYTES_MAX)
		return -EINVAL;
	blob.data = calloc(1, BLOB_BYTES_MAX);
	if (!blob.data)
		return -ENOMEM;
	err = build(&blob, config);
	if (err) {
		free(blob.data);
		return err;
	}
	*ret_blob = blob.data;
	*ret_bytes = blob.bytes;
	return 0;
}
