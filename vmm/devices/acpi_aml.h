/*
 * Writes AML, the byte code of the DSDT (ACPI 6.4 chapter 20), into a buffer of fixed size. Running
 * out of room is remembered in the writer; whoever takes the bytes looks at it once.
 */
#ifndef REPRISE_VMM_DEVICES_ACPI_AML_H
#define REPRISE_VMM_DEVICES_ACPI_AML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AML_MAX_DEPTH 8

struct aml_writer {
	uint8_t *data;
	size_t bytes, capacity;
	bool overflow;
	/* Packages that are open: where the length of each goes once it is known. */
	size_t open[AML_MAX_DEPTH];
	unsigned depth;
};

void aml_init(struct aml_writer *aml, uint8_t *data, size_t capacity);

/* Objects that contain what is written until the matching aml_end(). Names: NameStrings, 4
 * characters a segment. */
void aml_scope(struct aml_writer *aml, const char *name);
void aml_device(struct aml_writer *aml, const char *name);
void aml_package(struct aml_writer *aml, uint8_t n_elements);
void aml_end(struct aml_writer *aml);

/* Name (name, …): the object written next is the value. */
void aml_name(struct aml_writer *aml, const char *name);
void aml_integer(struct aml_writer *aml, uint32_t value);
void aml_string(struct aml_writer *aml, const char *text);

/* A PNP id such as "PNP0501", as the integer EISAID() makes of it (section 19.3.4). */
void aml_eisa_id(struct aml_writer *aml, const char *id);

/* ResourceTemplate () { … } until aml_resources_end() (section 6.4). */
void aml_resources(struct aml_writer *aml);
void aml_resources_end(struct aml_writer *aml);
void aml_io(struct aml_writer *aml, uint16_t port, uint8_t count);
void aml_irq(struct aml_writer *aml, unsigned irq);
void aml_memory32(struct aml_writer *aml, uint32_t gpa, uint32_t bytes);
/* A level-triggered, active-high interrupt that devices may share. */
void aml_interrupt_level(struct aml_writer *aml, uint32_t gsi);

#endif
