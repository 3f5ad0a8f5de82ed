/* Messages are built from malloc()ed parts, so that protobuf-c frees them like ones it has read. */
#include "tools/evidence.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "gdbstub/backtrace.h"
#include "log-format/message.h"
#include "tools/interrupt.h"
#include "tools/progress.h"
#include "tools/text.h"
#include "vmm/devices/channel.h"

#define THREADS_MAX      32
#define FRAMES_MAX       64
#define CHECKPOINT_BYTES (UINT64_C(128) << 20)
#define EVIDENCE_MAX     (1u << 20) /* of a file's; what is written is far below */

/* ---- building messages ---- */

static char *copy(const char *text)
{
	char *copied = text && *text ? strdup(text) : NULL;

	return copied ? copied : (char *)protobuf_c_empty_string;
}

static Reprise__TraceFrame *new_frame(const struct backtrace_frame *frame)
{
	Reprise__TraceFrame *message = malloc(sizeof(*message));

	if (!message)
		return NULL;
	reprise__trace_frame__init(message);
	message->pc = frame->pc;
	message->module = copy(frame->module);
	message->module_offset = frame->module_offset;
	message->function = copy(frame->function);
	message->function_offset = frame->function_offset;
	message->source_file = copy(frame->source_file);
	message->source_line = frame->source_line > 0 ? (uint32_t)frame->source_line : 0;
	return message;
}

static bool add_frame(void *ctx, const struct backtrace_frame *frame)
{
	Reprise__ThreadTrace *trace = ctx;

	trace->cut = trace->n_frames == FRAMES_MAX;
	if (trace->cut)
		return false;
	Reprise__TraceFrame *message = new_frame(frame);
	if (message)
		trace->frames[trace->n_frames++] = message;
	return message != NULL;
}

static Reprise__ThreadTrace *new_trace(uint32_t tid, const char *name)
{
	Reprise__ThreadTrace *trace = malloc(sizeof(*trace));

	if (!trace)
		return NULL;
	reprise__thread_trace__init(trace);
	trace->tid = tid;
	trace->name = copy(name);
	trace->frames = calloc(FRAMES_MAX, sizeof(trace->frames[0]));
	if (!trace->frames) {
		reprise__thread_trace__free_unpacked(trace, NULL);
		return NULL;
	}
	return trace;
}

/* ---- the threads ---- */

/* The one that it happened to is the first. */
static void add_thread(void *ctx, uint32_t tid, const char *name)
{
	Reprise__CrashedProcess *crash = ctx;
	Reprise__ThreadTrace *trace =
		crash->n_threads < THREADS_MAX || tid == crash->tid ? new_trace(tid, name) : NULL;

	if (!trace)
		return;
	if (crash->n_threads == THREADS_MAX)
		reprise__thread_trace__free_unpacked(crash->threads[--crash->n_threads], NULL);
	crash->threads[crash->n_threads++] = trace;
	if (tid == crash->tid) {
		crash->threads[crash->n_threads - 1] = crash->threads[0];
		crash->threads[0] = trace;
	}
}

static void trace_threads(struct gdbstub *stub, Reprise__CrashedProcess *crash)
{
	struct backtrace *backtrace = backtrace_create(stub);

	crash->threads = calloc(THREADS_MAX, sizeof(crash->threads[0]));
	if (crash->threads && backtrace)
		gdbstub_each_thread(stub, add_thread, crash);
	for (size_t i = 0; i < crash->n_threads; i++)
		backtrace_each_frame(backtrace, crash->threads[i]->tid, add_frame,
				     crash->threads[i]);
	backtrace_destroy(backtrace);
}

static Reprise__CrashedProcess *describe_crash(struct gdbstub *stub)
{
	Reprise__CrashedProcess *crash = malloc(sizeof(*crash));
	struct gdbstub_process process;
	char instruction[GDBSTUB_INSTRUCTION_BYTES];

	if (!crash)
		return NULL;
	gdbstub_process(stub, &process);
	reprise__crashed_process__init(crash);
	crash->name = copy(process.name);
	crash->executable = copy(process.path);
	crash->pid = process.pid;
	crash->tid = process.tid;
	crash->signal = process.signal;
	crash->icount = process.icount;
	if (process.signal == SIGILL && gdbstub_instruction(stub, process.tid, instruction))
		crash->instruction = copy(instruction);
	trace_threads(stub, crash);
	return crash;
}

/* ---- the crash ---- */

static void show_progress(void *ctx, uint64_t icount, uint64_t end_icount)
{
	char count[TEXT_NUMBER_BYTES], end[TEXT_NUMBER_BYTES];

	(void)ctx;
	progress_show("looking at the crash: %s of %s instructions", text_count(count, icount),
		      text_count(end, end_icount));
}

static void set_problem(Reprise__Evidence *found, const char *problem)
{
	if (found->crash_problem == protobuf_c_empty_string)
		found->crash_problem = copy(problem);
}

static void find_crash(const struct evidence *evidence, const char *path, Reprise__Evidence *found)
{
	const struct gdbstub_config config = {
		.engine = evidence->engine,
		.checkpoint_bytes = CHECKPOINT_BYTES,
		.quit = interrupt_flag(),
	};
	struct log_error error = {0};
	char problem[GDBSTUB_ERROR_BYTES];
	bool shown = progress_wanted(evidence->quiet);
	struct gdbstub *stub;

	if (gdbstub_create(path, &config, &stub, &error)) {
		set_problem(found, error.text);
		return;
	}
	if (shown)
		gdbstub_set_progress(stub, show_progress, NULL);
	if (gdbstub_choose_crashed(stub, problem))
		set_problem(found, problem);
	else
		found->crash = describe_crash(stub);
	if (shown)
		progress_clear();
	gdbstub_destroy(stub);
}

/* ---- collecting ---- */

static Reprise__Evidence *collect(const struct evidence *evidence,
				  const struct recorder_ending *ending)
{
	Reprise__Evidence *found = malloc(sizeof(*found));

	if (!found)
		return NULL;
	reprise__evidence__init(found);
	if (ending->output_tail_bytes &&
	    (found->output_tail.data = malloc(ending->output_tail_bytes))) {
		found->output_tail.len = ending->output_tail_bytes;
		memcpy(found->output_tail.data, ending->output_tail, ending->output_tail_bytes);
	}
	found->other_network = ending->notes & CHANNEL_NOTE_NETWORK;
	/* Tests may crash on purpose; a command that succeeds did. */
	if (ending->notes & CHANNEL_NOTE_CRASH && ending->has_exit_status && ending->exit_status)
		find_crash(evidence, ending->path, found);
	return found;
}

static void add(void *ctx, const struct recorder_ending *ending, struct log_writer *writer)
{
	struct evidence *evidence = ctx;
	Reprise__Evidence *found = collect(evidence, ending);

	evidence_finish(evidence);
	evidence->found = found;
	uint8_t *data = found ? malloc(reprise__evidence__get_packed_size(found) + 1) : NULL;
	if (!data)
		return;
	size_t n = reprise__evidence__pack(found, data);
	log_writer_add_attachment(writer, LOG_ATTACHMENT_EVIDENCE, NULL, 0, data, n);
	free(data);
}

void evidence_prepare(struct evidence *evidence, struct recorder_config *config, bool quiet)
{
	*evidence = (struct evidence){.engine = config->engine, .quiet = quiet};
	config->add_evidence = add;
	config->evidence_ctx = evidence;
}

void evidence_finish(struct evidence *evidence)
{
	if (evidence->found)
		reprise__evidence__free_unpacked(evidence->found, NULL);
	evidence->found = NULL;
}

/* ---- reading and showing ---- */

const char *evidence_signal_name(unsigned number, char buffer[32])
{
	const char *name = number < NSIG ? sigabbrev_np((int)number) : NULL;

	if (name)
		snprintf(buffer, 32, "SIG%s", name);
	else
		snprintf(buffer, 32, "signal %u", number);
	return buffer;
}

/* The innermost frame that has a source line, else one with a function. */
static const Reprise__TraceFrame *telling_frame(const Reprise__CrashedProcess *crash)
{
	const Reprise__TraceFrame *named = NULL;

	for (size_t i = 0; crash->n_threads && i < crash->threads[0]->n_frames; i++) {
		const Reprise__TraceFrame *frame = crash->threads[0]->frames[i];
		if (frame->source_line)
			return frame;
		if (!named && frame->function[0])
			named = frame;
	}
	return named;
}

void evidence_print_crash(FILE *out, const Reprise__CrashedProcess *crash)
{
	const Reprise__TraceFrame *frame = telling_frame(crash);
	char name[32];

	text_print_escaped(out, crash->name);
	fprintf(out, " (process %" PRIu32 ") was ended by %s", crash->pid,
		evidence_signal_name(crash->signal, name));
	if (!frame)
		return;
	fputs(" in ", out);
	text_print_escaped(out, frame->function[0] ? frame->function : "code");
	if (!frame->source_line)
		return;
	fputs(" at ", out);
	text_print_escaped(out, frame->source_file);
	fprintf(out, ":%" PRIu32, frame->source_line);
}

static int append(void *ctx, const uint8_t *data, size_t n)
{
	return fwrite(data, n, 1, ctx) == 1 ? 0 : -ENOMEM;
}

static int read_attachment(struct log_reader *reader, unsigned number,
			   Reprise__Evidence **ret_evidence, struct log_error *ret_error)
{
	char *data = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&data, &n);
	int error =
		out ? log_reader_attachment_data(reader, number, append, out, ret_error) : -ENOMEM;

	if (out && fclose(out) && !error)
		error = -ENOMEM;
	if (!error)
		*ret_evidence = (Reprise__Evidence *)message_unpack(
			&reprise__evidence__descriptor,
			&(struct column){.data = (uint8_t *)data, .bytes = n});
	free(data);
	if (error || *ret_evidence)
		return error;
	*ret_error = (struct log_error){.code = -EBADMSG, .text = "its evidence is malformed"};
	return -EBADMSG;
}

int evidence_read(struct log_reader *reader, Reprise__Evidence **ret_evidence,
		  struct log_error *ret_error)
{
	struct log_attachment attachment;

	*ret_evidence = NULL;
	for (unsigned i = 0; i < log_reader_attachments(reader); i++) {
		log_reader_attachment(reader, i, &attachment);
		if (strcmp(attachment.name, LOG_ATTACHMENT_EVIDENCE))
			continue;
		if (attachment.bytes <= EVIDENCE_MAX)
			return read_attachment(reader, i, ret_evidence, ret_error);
		*ret_error =
			(struct log_error){.code = -EBADMSG, .text = "its evidence is too large"};
		return -EBADMSG;
	}
	return 0;
}
