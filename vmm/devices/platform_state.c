/*
 * Saving and restoring a platform. Messages borrow from the devices while they are packed. A state
 * is restored device by device, interrupt controllers last, so that what the devices do to their
 * lines on the way leaves no trace; a state that turns out impossible is undone by restoring the
 * former.
 */
#include "vmm/devices/platform.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/devices/acpi_pm.h"
#include "vmm/devices/channel.h"
#include "vmm/devices/devices.pb-c.h"
#include "vmm/devices/ioapic.h"
#include "vmm/devices/kbd_reset.h"
#include "vmm/devices/lapic.h"
#include "vmm/devices/pic8259.h"
#include "vmm/devices/pit8254.h"
#include "vmm/devices/platform_parts.h"
#include "vmm/devices/rtc.h"
#include "vmm/devices/timer_queue.h"
#include "vmm/devices/uart16550.h"
#include "vmm/devices/virtio.h"

#define STATE_VERSION 1
#define PIT_CHANNELS  3

struct virtio_part {
	struct virtio_state state;
	Reprise__VirtioState message;
	Reprise__VirtioQueueState queue[VIRTIO_QUEUES_MAX];
	Reprise__VirtioQueueState *queues[VIRTIO_QUEUES_MAX];
	uint64_t due_ns[VIRTIO_QUEUE_SIZE];
	uint32_t heads[VIRTIO_QUEUE_SIZE];
};

/* Every message that a platform's state is made of. */
struct parts {
	Reprise__PlatformState platform;
	Reprise__PlatformSignal signal[PLATFORM_MAX_SIGNALS], *signals[PLATFORM_MAX_SIGNALS];
	Reprise__UartState uart[PLATFORM_UARTS], *uarts[PLATFORM_UARTS];
	Reprise__PicState pic;
	Reprise__PicChipState pic_chip[2];
	Reprise__PitState pit;
	Reprise__PitChannelState pit_channel[PIT_CHANNELS];
	Reprise__IoapicState ioapic;
	Reprise__LapicState lapic[MACHINE_MAX_VCPUS], *lapics[MACHINE_MAX_VCPUS];
	Reprise__RtcState rtc;
	Reprise__KbdState kbd;
	Reprise__AcpiPmState acpi_pm;
	Reprise__ChannelState channel;
	struct virtio_part virtio_part[LAYOUT_VIRTIO_MAX];
	Reprise__VirtioState *virtio[LAYOUT_VIRTIO_MAX];
};

/* ---- virtio: between its struct and its message ---- */

static void virtio_queue_message(const struct virtio_queue_state *queue,
				 Reprise__VirtioQueueState *ret_message)
{
	reprise__virtio_queue_state__init(ret_message);
	ret_message->desc_gpa = queue->desc_gpa;
	ret_message->driver_gpa = queue->driver_gpa;
	ret_message->device_gpa = queue->device_gpa;
	ret_message->size = queue->size;
	ret_message->ready = queue->ready;
	ret_message->next_avail = queue->next_avail;
	ret_message->next_used = queue->next_used;
	ret_message->signalled = queue->signalled;
}

static void virtio_message(const struct virtio_device *device, struct virtio_part *part)
{
	struct virtio_state *state = &part->state;
	Reprise__VirtioState *message = &part->message;
	virtio_save(device, state);
	reprise__virtio_state__init(message);
	message->device_id = state->device_id;
	message->driver_features = state->driver_features;
	message->device_features_sel = state->device_features_sel;
	message->driver_features_sel = state->driver_features_sel;
	message->queue_sel = state->queue_sel;
	message->status = state->status;
	message->interrupt_status = state->interrupt_status;
	message->config_generation = state->config_generation;
	message->notified = state->notified;
	for (unsigned i = 0; i < state->n_queues; i++) {
		virtio_queue_message(&state->queue[i], &part->queue[i]);
		part->queues[i] = &part->queue[i];
	}
	message->n_queues = state->n_queues;
	message->queues = part->queues;
	for (unsigned i = 0; i < state->n_pending; i++) {
		part->due_ns[i] = state->pending[i].due_ns;
		part->heads[i] = state->pending[i].head;
	}
	message->n_pending_due_ns = message->n_pending_heads = state->n_pending;
	message->pending_due_ns = part->due_ns;
	message->pending_heads = part->heads;
	message->starved = state->starved;
	message->in_session = state->in_session;
	message->input = (ProtobufCBinaryData){state->n_input, state->input};
}

static bool virtio_queue_possible(const Reprise__VirtioQueueState *message)
{
	return message->size <= 0xffff && message->next_avail <= 0xffff &&
	       message->next_used <= 0xffff && message->signalled <= 0xffff;
}

static int virtio_queues_from(const Reprise__VirtioState *message, struct virtio_state *state)
{
	if (message->n_queues > VIRTIO_QUEUES_MAX)
		return -EINVAL;
	state->n_queues = message->n_queues;
	for (unsigned i = 0; i < message->n_queues; i++) {
		const Reprise__VirtioQueueState *queue = message->queues[i];
		if (!virtio_queue_possible(queue))
			return -EINVAL;
		state->queue[i] = (struct virtio_queue_state){
			.desc_gpa = queue->desc_gpa,
			.driver_gpa = queue->driver_gpa,
			.device_gpa = queue->device_gpa,
			.size = queue->size,
			.ready = queue->ready,
			.next_avail = queue->next_avail,
			.next_used = queue->next_used,
			.signalled = queue->signalled,
		};
	}
	return 0;
}

static int virtio_lists_from(const Reprise__VirtioState *message, struct virtio_state *state)
{
	if (message->n_pending_due_ns > VIRTIO_QUEUE_SIZE ||
	    message->n_pending_heads != message->n_pending_due_ns ||
	    message->input.len > VIRTIO_INPUT_BYTES)
		return -EINVAL;
	state->n_pending = message->n_pending_heads;
	for (unsigned i = 0; i < state->n_pending; i++) {
		if (message->pending_heads[i] > 0xffff)
			return -EINVAL;
		state->pending[i] = (struct virtio_pending){message->pending_due_ns[i],
							    message->pending_heads[i]};
	}
	state->n_input = message->input.len;
	if (message->input.len)
		memcpy(state->input, message->input.data, message->input.len);
	return 0;
}

static int virtio_from_message(struct virtio_device *device, const Reprise__VirtioState *message)
{
	struct virtio_state *state = calloc(1, sizeof(*state));
	if (!state)
		return -ENOMEM;
	state->device_id = message->device_id;
	state->driver_features = message->driver_features;
	state->device_features_sel = message->device_features_sel;
	state->driver_features_sel = message->driver_features_sel;
	state->queue_sel = message->queue_sel;
	state->status = message->status;
	state->interrupt_status = message->interrupt_status;
	state->config_generation = message->config_generation;
	state->notified = message->notified;
	state->starved = message->starved;
	state->in_session = message->in_session;
	int ret = virtio_queues_from(message, state);
	if (!ret)
		ret = virtio_lists_from(message, state);
	if (!ret)
		ret = virtio_restore(device, state);
	free(state);
	return ret;
}

/* ---- saving ---- */

static void gather_signals(const struct platform *platform, struct parts *parts)
{
	for (unsigned i = 0; i < platform->n_signals; i++) {
		Reprise__PlatformSignal *message = &parts->signal[i];
		reprise__platform_signal__init(message);
		message->signal = platform->signal[i].signal;
		message->vcpu = platform->signal[i].vcpu;
		message->vector = platform->signal[i].vector;
		parts->signals[i] = message;
	}
	parts->platform.n_signals = platform->n_signals;
	parts->platform.signals = parts->signals;
}

static void gather_controllers(const struct platform *platform, struct parts *parts)
{
	Reprise__PlatformState *message = &parts->platform;
	pic8259_save(platform->pic, &parts->pic, parts->pic_chip);
	message->pic = &parts->pic;
	ioapic_save(platform->ioapic, &parts->ioapic);
	message->ioapic = &parts->ioapic;
	for (unsigned i = 0; i < platform->bus.n_lapics; i++) {
		lapic_save(platform->bus.lapic[i], &parts->lapic[i]);
		parts->lapics[i] = &parts->lapic[i];
	}
	message->n_lapics = platform->bus.n_lapics;
	message->lapics = parts->lapics;
	message->n_line_sources = IRQ_ROUTER_LINES;
	message->line_sources = (uint32_t *)platform->router.sources;
}

static void gather_devices(const struct platform *platform, struct parts *parts)
{
	Reprise__PlatformState *message = &parts->platform;
	for (unsigned i = 0; i < PLATFORM_UARTS; i++) {
		uart16550_save(platform->uart[i], &parts->uart[i]);
		parts->uarts[i] = &parts->uart[i];
	}
	message->n_uarts = PLATFORM_UARTS;
	message->uarts = parts->uarts;
	pit8254_save(platform->pit, &parts->pit, parts->pit_channel);
	message->pit = &parts->pit;
	rtc_save(platform->rtc, &parts->rtc);
	message->rtc = &parts->rtc;
	kbd_reset_save(platform->kbd, &parts->kbd);
	message->kbd = &parts->kbd;
	acpi_pm_save(platform->acpi_pm, &parts->acpi_pm);
	message->acpi_pm = &parts->acpi_pm;
	if (platform->channel) {
		channel_save(platform->channel, &parts->channel);
		message->channel = &parts->channel;
	}
	for (unsigned i = 0; i < platform->n_virtio; i++) {
		virtio_message(platform->virtio[i], &parts->virtio_part[i]);
		parts->virtio[i] = &parts->virtio_part[i].message;
	}
	message->n_virtio = platform->n_virtio;
	message->virtio = parts->virtio;
}

int platform_save(const struct platform *platform, uint8_t **ret_state, size_t *ret_bytes)
{
	struct parts *parts = calloc(1, sizeof(*parts));
	if (!parts)
		return -ENOMEM;
	reprise__platform_state__init(&parts->platform);
	parts->platform.version = STATE_VERSION;
	parts->platform.now_ns = timer_queue_now(platform->timers);
	gather_signals(platform, parts);
	gather_controllers(platform, parts);
	gather_devices(platform, parts);

	size_t bytes = reprise__platform_state__get_packed_size(&parts->platform);
	uint8_t *state = malloc(bytes);
	if (state) {
		reprise__platform_state__pack(&parts->platform, state);
		*ret_state = state;
		*ret_bytes = bytes;
	}
	free(parts);
	return state ? 0 : -ENOMEM;
}

/* ---- restoring ---- */

/* True when the message describes the devices that this platform has. */
static bool fits_platform(const struct platform *platform, const Reprise__PlatformState *message)
{
	return message->version == STATE_VERSION && message->n_uarts == PLATFORM_UARTS &&
	       message->pic && message->pit && message->ioapic && message->rtc && message->kbd &&
	       message->acpi_pm && message->n_lapics == platform->bus.n_lapics &&
	       !message->channel == !platform->channel && message->n_virtio == platform->n_virtio &&
	       message->n_signals <= PLATFORM_MAX_SIGNALS;
}

static bool signal_possible(const struct platform *platform, const Reprise__PlatformSignal *message)
{
	bool to_vcpu = message->signal <= PLATFORM_SIGNAL_SIPI;
	return message->signal > PLATFORM_SIGNAL_NONE &&
	       message->signal <= PLATFORM_SIGNAL_POWER_OFF && message->vector <= 0xff &&
	       message->vcpu < (to_vcpu ? platform->config.n_vcpus : 1);
}

/* No signal waits twice: the queue has room for each once. */
static int restore_signals(struct platform *platform, const Reprise__PlatformState *message)
{
	for (unsigned i = 0; i < message->n_signals; i++) {
		const Reprise__PlatformSignal *signal = message->signals[i];
		if (!signal_possible(platform, signal))
			return -EINVAL;
		for (unsigned j = 0; j < i; j++)
			if (message->signals[j]->signal == signal->signal &&
			    message->signals[j]->vcpu == signal->vcpu)
				return -EINVAL;
	}
	for (unsigned i = 0; i < message->n_signals; i++)
		platform->signal[i] = (struct platform_signal_event){
			message->signals[i]->signal,
			message->signals[i]->vcpu,
			message->signals[i]->vector,
		};
	platform->n_signals = message->n_signals;
	return 0;
}

static int restore_virtio(struct platform *platform, const Reprise__PlatformState *message)
{
	for (unsigned i = 0; i < platform->n_virtio; i++) {
		int ret = virtio_from_message(platform->virtio[i], message->virtio[i]);
		if (ret < 0)
			return ret;
	}
	return 0;
}

static int restore_devices(struct platform *platform, const Reprise__PlatformState *message)
{
	int ret = restore_virtio(platform, message);
	for (unsigned i = 0; i < PLATFORM_UARTS && !ret; i++)
		ret = uart16550_restore(platform->uart[i], message->uarts[i]);
	if (!ret)
		ret = pit8254_restore(platform->pit, message->pit);
	if (!ret)
		ret = rtc_restore(platform->rtc, message->rtc);
	if (!ret)
		ret = kbd_reset_restore(platform->kbd, message->kbd);
	if (!ret)
		ret = acpi_pm_restore(platform->acpi_pm, message->acpi_pm);
	if (!ret && platform->channel)
		ret = channel_restore(platform->channel, message->channel);
	return ret;
}

static int restore_controllers(struct platform *platform, const Reprise__PlatformState *message)
{
	int ret = irq_router_restore(&platform->router, message->line_sources,
				     message->n_line_sources);
	if (!ret)
		ret = pic8259_restore(platform->pic, message->pic);
	if (!ret)
		ret = ioapic_restore(platform->ioapic, message->ioapic);
	for (unsigned i = 0; i < platform->bus.n_lapics && !ret; i++)
		ret = lapic_restore(platform->bus.lapic[i], message->lapics[i]);
	return ret;
}

static int restore_message(struct platform *platform, const Reprise__PlatformState *message)
{
	if (!fits_platform(platform, message))
		return -EINVAL;
	timer_queue_set_now(platform->timers, message->now_ns);
	int ret = restore_devices(platform, message);
	if (!ret)
		ret = restore_controllers(platform, message);
	if (!ret)
		ret = restore_signals(platform, message);
	return ret;
}

static int restore_bytes(struct platform *platform, const uint8_t *state, size_t bytes)
{
	Reprise__PlatformState *message = reprise__platform_state__unpack(NULL, bytes, state);
	if (!message)
		return -EINVAL;
	int ret = restore_message(platform, message);
	reprise__platform_state__free_unpacked(message, NULL);
	return ret;
}

int platform_restore(struct platform *platform, const uint8_t *state, size_t bytes)
{
	uint8_t *former;
	size_t former_bytes;
	int ret = platform_save(platform, &former, &former_bytes);
	if (ret < 0)
		return ret;
	ret = restore_bytes(platform, state, bytes);
	if (ret < 0)
		restore_bytes(platform, former, former_bytes);
	free(former);
	return ret;
}
