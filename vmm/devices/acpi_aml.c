#include "vmm/devices/acpi_aml.h"

#include <assert.h>
#include <string.h>

/* Opcodes (ACPI 6.4 section 20.3). */
#define OP_NAME            0x08
#define OP_BYTE            0x0a
#define OP_WORD            0x0b
#define OP_DWORD           0x0c
#define OP_STRING          0x0d
#define OP_SCOPE           0x10
#define OP_BUFFER          0x11
#define OP_PACKAGE         0x12
#define OP_EXTENDED        0x5b
#define OP_EXTENDED_DEVICE 0x82

/* Resource descriptors (section 6.4). */
#define RESOURCE_IRQ       0x22 /* small, 2 bytes: no flags, so edge-triggered, active high */
#define RESOURCE_IO        0x47
#define RESOURCE_END       0x79
#define RESOURCE_MEMORY32  0x86
#define RESOURCE_INTERRUPT 0x89
#define IO_DECODE16        0x01
#define MEMORY_READ_WRITE  0x01
#define INTERRUPT_CONSUMER 0x01
#define INTERRUPT_SHARED   0x08

void aml_init(struct aml_writer *aml, uint8_t *data, size_t capacity)
{
	*aml = (struct aml_writer){.data = data, .capacity = capacity};
}

static void put(struct aml_writer *aml, const void *bytes, size_t n)
{
	if (n > aml->capacity - aml->bytes) {
		aml->overflow = true;
		return;
	}
	memcpy(aml->data + aml->bytes, bytes, n);
	aml->bytes += n;
}

static void put_byte(struct aml_writer *aml, uint8_t byte)
{
	put(aml, &byte, 1);
}

static void put_le(struct aml_writer *aml, uint32_t value, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		put_byte(aml, (uint8_t)(value >> (8 * i)));
}

/* ---- packages ---- */

static void open_package(struct aml_writer *aml)
{
	assert(aml->depth < AML_MAX_DEPTH);
	aml->open[aml->depth++] = aml->bytes;
}

/* PkgLength (section 20.2.4): counts itself; up to 63 in one byte, else 4 bits and 1 to 3 bytes. */
static unsigned encode_length(size_t content, uint8_t *ret_bytes)
{
	unsigned follow = 0;
	size_t length = content + 1;

	if (length < 64) {
		ret_bytes[0] = (uint8_t)length;
		return 1;
	}
	do
		length = content + 1 + ++follow;
	while (length >> (4 + 8 * follow));
	ret_bytes[0] = (uint8_t)(follow << 6 | (length & 0xf));
	for (unsigned i = 1; i <= follow; i++)
		ret_bytes[i] = (uint8_t)(length >> (8 * i - 4));
	return 1 + follow;
}

void aml_end(struct aml_writer *aml)
{
	uint8_t length[4];
	size_t at, content;
	unsigned n;

	assert(aml->depth > 0);
	at = aml->open[--aml->depth];
	content = aml->bytes - at;
	n = encode_length(content, length);
	put(aml, length, n); /* makes room */
	if (aml->overflow)
		return;
	memmove(aml->data + at + n, aml->data + at, content);
	memcpy(aml->data + at, length, n);
}

/* ---- names and values ---- */

/* A NameString of one segment, with an optional root prefix. */
static void put_name(struct aml_writer *aml, const char *name)
{
	put(aml, name, strlen(name));
}

void aml_scope(struct aml_writer *aml, const char *name)
{
	put_byte(aml, OP_SCOPE);
	open_package(aml);
	put_name(aml, name);
}

void aml_device(struct aml_writer *aml, const char *name)
{
	put_byte(aml, OP_EXTENDED);
	put_byte(aml, OP_EXTENDED_DEVICE);
	open_package(aml);
	put_name(aml, name);
}

void aml_package(struct aml_writer *aml, uint8_t n_elements)
{
	put_byte(aml, OP_PACKAGE);
	open_package(aml);
	put_byte(aml, n_elements);
}

void aml_name(struct aml_writer *aml, const char *name)
{
	put_byte(aml, OP_NAME);
	put_name(aml, name);
}

/* Zero and One are their own opcodes. */
void aml_integer(struct aml_writer *aml, uint32_t value)
{
	unsigned n = value <= 0xff ? 1 : value <= 0xffff ? 2 : 4;

	if (value <= 1) {
		put_byte(aml, (uint8_t)value);
		return;
	}
	put_byte(aml, n == 1 ? OP_BYTE : n == 2 ? OP_WORD : OP_DWORD);
	put_le(aml, value, n);
}

void aml_string(struct aml_writer *aml, const char *text)
{
	put_byte(aml, OP_STRING);
	put(aml, text, strlen(text) + 1);
}

static unsigned hex_digit(char c)
{
	return (unsigned)(c <= '9' ? c - '0' : c - 'A' + 10);
}

/* Three letters of 5 bits and four hex digits, the most significant byte first. */
void aml_eisa_id(struct aml_writer *aml, const char *id)
{
	uint32_t value = 0;

	for (unsigned i = 0; i < 3; i++)
		value = value << 5 | ((unsigned)(id[i] - '@') & 0x1f);
	for (unsigned i = 3; i < 7; i++)
		value = value << 4 | hex_digit(id[i]);
	put_byte(aml, OP_DWORD);
	put_le(aml, __builtin_bswap32(value), 4);
}

/* ---- resources ---- */

/* The buffer's size is an integer that follows the package's length: a byte, as templates are
 * short. */
void aml_resources(struct aml_writer *aml)
{
	put_byte(aml, OP_BUFFER);
	open_package(aml);
	put_byte(aml, OP_BYTE);
	put_byte(aml, 0);
}

void aml_resources_end(struct aml_writer *aml)
{
	size_t at = aml->open[aml->depth - 1];
	size_t size;

	put_byte(aml, RESOURCE_END);
	put_byte(aml, 0); /* no checksum */
	size = aml->bytes - at - 2;
	if (size > 0xff)
		aml->overflow = true;
	if (!aml->overflow)
		aml->data[at + 1] = (uint8_t)size;
	aml_end(aml);
}

void aml_io(struct aml_writer *aml, uint16_t port, uint8_t count)
{
	put_byte(aml, RESOURCE_IO);
	put_byte(aml, IO_DECODE16);
	put_le(aml, port, 2); /* the lowest base */
	put_le(aml, port, 2); /* the highest */
	put_byte(aml, 1);     /* alignment */
	put_byte(aml, count);
}

void aml_irq(struct aml_writer *aml, unsigned irq)
{
	put_byte(aml, RESOURCE_IRQ);
	put_le(aml, 1u << irq, 2);
}

void aml_memory32(struct aml_writer *aml, uint32_t gpa, uint32_t bytes)
{
	put_byte(aml, RESOURCE_MEMORY32);
	put_le(aml, 9, 2);
	put_byte(aml, MEMORY_READ_WRITE);
	put_le(aml, gpa, 4);
	put_le(aml, bytes, 4);
}

void aml_interrupt_level(struct aml_writer *aml, uint32_t gsi)
{
	put_byte(aml, RESOURCE_INTERRUPT);
	put_le(aml, 6, 2);
	put_byte(aml, INTERRUPT_CONSUMER | INTERRUPT_SHARED);
	put_byte(aml, 1);
	put_le(aml, gsi, 4);
}
