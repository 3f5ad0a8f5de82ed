/*
 * The platform: every device of the machine, wired together in one place (platform.c). The recorder
 * asks it to answer crossings and what interrupts are pending.
 */
#ifndef REPRISE_VMM_DEVICES_PLATFORM_H
#define REPRISE_VMM_DEVICES_PLATFORM_H

#include "vmm/boundary.h"
#include "vmm/devices/device.h"
#include "vmm/machine.h"

#define PLATFORM_MAX_DISKS 8

struct platform_config {
	uint32_t n_vcpus;
	uint64_t ram_bytes;
	uint64_t epoch_s;            /* the RTC's time at guest time 0, seconds since 1970 UTC */
	struct char_backend uart[2]; /* ttyS0, ttyS1; functions NULL: nothing connected */
	bool virtio_console;
	struct char_backend console; /* hvc0 */
	bool virtio_rng;
	struct random_backend random; /* for virtio-rng */
	struct block_backend disk[PLATFORM_MAX_DISKS];
	unsigned n_disks;
	/* Latency between a request and its completion, guest ns (fixed: the virtual clock needs
	 * it). */
	uint64_t disk_latency_ns;
	struct delay delay; /* beyond that, and of files */
	/* A file system, which the guest finds by this tag; NULL: none. */
	const char *files_tag;
	struct file_server files;
	bool channel; /* the channel device of `reprise run` */
	/* The guest's stdin (read), stdout, stderr and results (write). */
	struct char_backend channel_stream[4];
	const uint8_t *channel_plan; /* for the guest's agent; borrowed, outlives the platform */
	uint32_t channel_plan_bytes;
};

struct platform;

/* Fills in the memory map and the ports that a platform of this configuration has. */
void platform_machine_config(const struct platform_config *config,
			     struct machine_config *ret_config);

/* dma is used only inside platform_service() and platform_advance(). Returns 0 or -errno. */
int platform_create(const struct platform_config *config, const struct dma *dma,
		    struct platform **ret_platform);
void platform_destroy(struct platform *platform);

/* All devices as after power-on (guest time goes on). */
void platform_reset(struct platform *platform);

/* ACPI tables for this configuration, to be loaded at LAYOUT_ACPI_GPA; the RSDP comes first.
 * *ret_blob is the caller's to free. */
int platform_acpi_tables(const struct platform_config *config, uint8_t **ret_blob,
			 size_t *ret_bytes);

/* ---- crossings; vcpu is the one that runs ---- */
uint64_t platform_read(struct platform *platform, uint32_t vcpu,
		       const struct crossing_request *request);
/* tsc_offset: that vCPU's, for the TSC deadline. */
void platform_write(struct platform *platform, uint32_t vcpu,
		    const struct crossing_request *request, uint64_t tsc_offset);

/* ---- between instructions ---- */

/* Guest time moves to now_ns (never backwards): timers that are due expire, in order. */
void platform_advance(struct platform *platform, uint64_t now_ns);

/* The next timer's time, UINT64_MAX when none is armed. */
uint64_t platform_deadline(const struct platform *platform);

/* True when a device has work that needs DMA (a queue was notified). */
bool platform_needs_service(const struct platform *platform);
/* Does it. */
void platform_service(struct platform *platform);

/* Polls the char back ends for input that has arrived. Cheap when there is none. */
void platform_poll_input(struct platform *platform);

/* True when there is a virtio console and the guest can receive from it. */
bool platform_console_listens(const struct platform *platform);

/* The vector a maskable interrupt would have now on this vCPU, or -1. Changes nothing. */
int platform_pending_interrupt(const struct platform *platform, uint32_t vcpu);
/* Acknowledges it: returns the vector (moved to in-service), or -1. */
int platform_take_interrupt(struct platform *platform, uint32_t vcpu);

enum platform_signal {
	PLATFORM_SIGNAL_NONE,
	PLATFORM_SIGNAL_NMI,  /* to vcpu */
	PLATFORM_SIGNAL_INIT, /* to vcpu */
	PLATFORM_SIGNAL_SIPI, /* to vcpu, vector */
	PLATFORM_SIGNAL_RESET,
	PLATFORM_SIGNAL_POWER_OFF,
};

struct platform_signal_event {
	enum platform_signal signal;
	uint32_t vcpu;
	uint8_t vector;
};

/* Takes the oldest signal not yet taken; PLATFORM_SIGNAL_NONE when there is none. */
struct platform_signal_event platform_take_signal(struct platform *platform);

/* True when the guest ended the channel's run; then sets *ret_status. */
bool platform_channel_exited(const struct platform *platform, int *ret_status);

/* CHANNEL_NOTE_ bits that the guest has written. */
uint8_t platform_channel_notes(const struct platform *platform);

/* The host's terminal has another size: the guest's agent is told. */
void platform_channel_resize(struct platform *platform, uint16_t rows, uint16_t columns);

/* True when the guest's agent is ready for its plan, or has begun to read it. */
bool platform_channel_ready(const struct platform *platform);

/* Sets the clock chip to this time, seconds since 1970 UTC, at the present guest time. */
void platform_set_date(struct platform *platform, uint64_t epoch_s);

/* ---- saving and restoring all devices (devices.proto) ---- */

/* *ret_state is the caller's to free. Returns 0 or -ENOMEM. */
int platform_save(const struct platform *platform, uint8_t **ret_state, size_t *ret_bytes);
/* Returns 0, or -EINVAL when the bytes are not the state of a platform of this configuration. */
int platform_restore(struct platform *platform, const uint8_t *state, size_t bytes);

#endif
