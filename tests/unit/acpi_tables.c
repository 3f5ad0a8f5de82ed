/* ACPI tables: checksums, links, contents; disassembly by iasl where it is installed. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/tap.h"
#include "vmm/devices/acpi_tables.h"
#include "vmm/devices/layout.h"

static uint8_t *blob;
static size_t blob_bytes;

static uint64_t get(const uint8_t *at, unsigned n)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < n; i++)
		value |= (uint64_t)at[i] << (8 * i);
	return value;
}

static const uint8_t *at_gpa(uint64_t gpa)
{
	if (gpa < LAYOUT_ACPI_GPA || gpa - LAYOUT_ACPI_GPA > blob_bytes - 8)
		return NULL;
	return blob + (gpa - LAYOUT_ACPI_GPA);
}

static uint8_t sum(const uint8_t *at, size_t n)
{
	uint8_t total = 0;

	for (size_t i = 0; i < n; i++)
		total += at[i];
	return total;
}

static const uint8_t *check_table(uint64_t gpa, const char *signature)
{
	const uint8_t *table = at_gpa(gpa);
	size_t n = table ? get(table + 4, 4) : 0;

	tap_ok(table && memcmp(table, signature, 4) == 0, "%s is where the link says", signature);
	tap_ok(table && n <= blob_bytes - (size_t)(table - blob) && sum(table, n) == 0,
	       "%s has its length and checksum", signature);
	return table;
}

static bool contains(const uint8_t *table, const void *bytes, size_t n)
{
	return memmem(table, get(table + 4, 4), bytes, n) != NULL;
}

static void test_links(void)
{
	const uint8_t *xsdt, *rsdt, *fadt, *facs;

	tap_ok(memcmp(blob, "RSD PTR ", 8) == 0 && blob[15] == 2, "RSDP comes first");
	tap_ok(sum(blob, 20) == 0 && sum(blob, 36) == 0, "both checksums of the RSDP");
	xsdt = check_table(get(blob + 24, 8), "XSDT");
	rsdt = check_table(get(blob + 16, 4), "RSDT");
	fadt = check_table(get(xsdt + 36, 8), "FACP");
	check_table(get(xsdt + 44, 8), "APIC");
	check_table(get(fadt + 40, 4), "DSDT");
	tap_ok(get(rsdt + 36, 4) == get(xsdt + 36, 8) && get(rsdt + 40, 4) == get(xsdt + 44, 8),
	       "RSDT and XSDT agree");
	tap_ok(get(fadt + 140, 8) == get(fadt + 40, 4), "X_DSDT and DSDT agree");
	facs = at_gpa(get(fadt + 36, 4));
	tap_ok(facs && memcmp(facs, "FACS", 4) == 0 && get(facs + 4, 4) == 64 &&
		       (facs - blob) % 64 == 0,
	       "FACS is there and aligned");
}

static void test_fadt(void)
{
	const uint8_t *fadt = at_gpa(get(at_gpa(get(blob + 24, 8)) + 36, 8));

	tap_ok(get(fadt + 4, 4) == 276 && fadt[8] == 6, "FADT revision 6");
	tap_ok(get(fadt + 46, 2) == LAYOUT_IRQ_SCI, "SCI");
	tap_ok(get(fadt + 56, 4) == 0x600 && get(fadt + 64, 4) == 0x604 &&
		       get(fadt + 76, 4) == 0x608,
	       "PM1a event, control, timer");
	tap_ok(get(fadt + 152, 8) == 0x600 && get(fadt + 176, 8) == 0x604 &&
		       get(fadt + 212, 8) == 0x608,
	       "the same as generic addresses");
	tap_ok(get(fadt + 120, 8) == 0xcf9 && fadt[128] == ACPI_RESET_VALUE &&
		       (get(fadt + 112, 4) & (1u << 10)),
	       "reset register");
	tap_ok(fadt[108] == 0x32, "where the clock chip has the century");
	tap_ok(!(get(fadt + 112, 4) & (1u << 20)), "not hardware-reduced");
}

static void test_madt(unsigned n_vcpus)
{
	const uint8_t *madt = at_gpa(get(at_gpa(get(blob + 24, 8)) + 44, 8));
	const uint8_t irq0[] = {2, 10, 0, 0, 2, 0, 0, 0, 0, 0};
	const uint8_t irq9[] = {2, 10, 0, 9, 9, 0, 0, 0, 0x0d, 0};
	const uint8_t nmi[] = {4, 6, 0xff, 0, 0, 1};
	unsigned n = 0;

	for (size_t at = 44; at < get(madt + 4, 4); at += madt[at + 1]) {
		if (madt[at + 1] < 2)
			break;
		if (madt[at] == 0)
			n += madt[at + 3] == n && (madt[at + 4] & 1);
	}
	tap_ok(n == n_vcpus, "MADT lists %u processors in order", n_vcpus);
	tap_ok(contains(madt, irq0, sizeof(irq0)), "IRQ 0 is GSI 2");
	tap_ok(contains(madt, irq9, sizeof(irq9)), "IRQ 9 is level, active high");
	tap_ok(contains(madt, nmi, sizeof(nmi)), "NMI at LINT1");
}

/* Runs iasl -d on the DSDT and gives its text. */
static char *disassemble(void)
{
	static char text[65536];
	const uint8_t *fadt = at_gpa(get(at_gpa(get(blob + 24, 8)) + 36, 8));
	const uint8_t *dsdt = at_gpa(get(fadt + 40, 4));
	char dir[] = "/tmp/acpi-XXXXXX", command[128];
	FILE *file;
	size_t n;

	if (!mkdtemp(dir) || chdir(dir) != 0)
		return NULL;
	file = fopen("dsdt.aml", "wb");
	if (!file)
		return NULL;
	fwrite(dsdt, 1, get(dsdt + 4, 4), file);
	fclose(file);
	if (system("iasl -d dsdt.aml >iasl.log 2>&1 && iasl -ve dsdt.dsl >>iasl.log 2>&1") != 0)
		tap_note("iasl failed, see %s/iasl.log", dir);
	file = fopen("dsdt.dsl", "rb");
	if (!file)
		return NULL;
	n = fread(text, 1, sizeof(text) - 1, file);
	text[n] = 0;
	fclose(file);
	snprintf(command, sizeof(command), "grep -q ' 0 Errors' iasl.log && rm -r %s", dir);
	tap_ok(system(command) == 0, "iasl compiles its own disassembly");
	if (chdir("/") != 0)
		return NULL;
	return text;
}

static unsigned count(const char *text, const char *what)
{
	unsigned n = 0;

	for (; (text = strstr(text, what)); text++)
		n++;
	return n;
}

static void test_disassembly(unsigned n_virtio)
{
	const char *text;

	if (system("iasl -v >/dev/null 2>&1") != 0) {
		tap_skip("iasl is not installed");
		return;
	}
	text = disassemble();
	if (!tap_ok(text != NULL, "iasl disassembles the DSDT"))
		return;
	tap_ok(count(text, "\"LNRO0005\"") == n_virtio, "%u virtio devices", n_virtio);
	tap_ok(count(text, "EisaId (\"PNP0501\")") == 2, "two UARTs");
	tap_ok(count(text, "EisaId (\"PNP0B00\")") == 1, "the RTC");
	tap_ok(count(text, "Name (\\_S5, Package (0x04)") == 1, "power-off");
	tap_ok(count(text, "Interrupt (ResourceConsumer, Level, ActiveHigh, Shared") == n_virtio,
	       "virtio interrupts are level, active high, shared");
	tap_ok(n_virtio < 1 || strstr(text, "0xD0000000,"), "the first device's address");
	tap_ok(n_virtio < 9 || strstr(text, "0xD0008000,"), "the ninth device's address");
}

static void test_configuration(unsigned n_vcpus, unsigned n_virtio)
{
	struct acpi_tables_config config = {
		.n_vcpus = n_vcpus,
		.n_virtio = n_virtio,
	};
	int err = acpi_tables_build(&config, LAYOUT_ACPI_GPA, &blob, &blob_bytes);

	tap_note("%u vCPUs, %u virtio devices", n_vcpus, n_virtio);
	if (!tap_ok(err == 0, "tables are built"))
		return;
	test_links();
	test_fadt();
	test_madt(n_vcpus);
	test_disassembly(n_virtio);
	free(blob);
}

static void test_refusals(void)
{
	struct acpi_tables_config config = {.n_vcpus = 0};

	tap_ok(acpi_tables_build(&config, LAYOUT_ACPI_GPA, &blob, &blob_bytes) == -EINVAL,
	       "no vCPU");
	config.n_vcpus = 1;
	config.n_virtio = LAYOUT_VIRTIO_MAX + 1;
	tap_ok(acpi_tables_build(&config, LAYOUT_ACPI_GPA, &blob, &blob_bytes) == -EINVAL,
	       "too many virtio devices");
}

int main(void)
{
	test_configuration(1, 0);
	test_configuration(2, 3);
	test_configuration(16, LAYOUT_VIRTIO_MAX);
	test_refusals();
	return tap_done();
}
