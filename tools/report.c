#include "tools/report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tools/evidence.h"
#include "tools/recording_file.h"
#include "tools/text.h"

#define LABEL "%-14s "

/* ---- parts of all kinds of reports ---- */

/* "#0  0x401136 in f+0x10 at t.c:5 (/home/me/t+0x1136)" */
static void print_frame(FILE *out, size_t number, const Reprise__TraceFrame *frame)
{
	fprintf(out, "#%-3zu 0x%016" PRIx64, number, frame->pc);
	if (frame->function[0]) {
		fputs(" in ", out);
		text_print_escaped(out, frame->function);
		fprintf(out, "+0x%" PRIx64, frame->function_offset);
	}
	if (frame->source_file[0]) {
		fputs(" at ", out);
		text_print_escaped(out, frame->source_file);
		fprintf(out, ":%" PRIu32, frame->source_line);
	}
	if (frame->module[0]) {
		fputs(" (", out);
		text_print_escaped(out, frame->module);
		fprintf(out, "+0x%" PRIx64 ")", frame->module_offset);
	}
	fputc('\n', out);
}

static void print_thread(FILE *out, const char *indent, const Reprise__ThreadTrace *trace)
{
	fprintf(out, "%sthread %" PRIu32 " (", indent, trace->tid);
	text_print_escaped(out, trace->name);
	fputs("):\n", out);
	for (size_t i = 0; i < trace->n_frames; i++) {
		fputs(indent, out);
		print_frame(out, i, trace->frames[i]);
	}
	if (trace->cut)
		fprintf(out, "%s(more frames)\n", indent);
}

static void print_threads(FILE *out, const char *indent, const Reprise__CrashedProcess *crash)
{
	for (size_t i = 0; i < crash->n_threads; i++)
		print_thread(out, indent, crash->threads[i]);
}

/* The bytes as lines of text; what is no text is escaped. */
static void print_output(FILE *out, const char *indent, const ProtobufCBinaryData *bytes)
{
	const char *at = (const char *)bytes->data, *end = at + bytes->len;
	char line[1024];

	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		size_t n = newline ? (size_t)(newline - at) : (size_t)(end - at), used = 0;
		for (size_t i = 0; i < n && used < sizeof(line) - 1; i++)
			line[used++] = at[i] ? at[i] : 1;
		while (used && line[used - 1] == '\r')
			used--;
		line[used] = '\0';
		fputs(indent, out);
		text_print_escaped(out, line);
		fputc('\n', out);
		at += n + (newline != NULL);
	}
}

static void print_strings(FILE *out, char *const *strings, size_t n, const char *separator)
{
	for (size_t i = 0; i < n; i++) {
		fputs(i ? separator : "", out);
		text_print_escaped(out, strings[i]);
	}
}

/* ---- text ---- */

static void print_crash(const Reprise__Evidence *evidence)
{
	if (evidence->crash) {
		printf(LABEL, "crash");
		evidence_print_crash(stdout, evidence->crash);
		printf(", after %" PRIu64 " instructions\n", evidence->crash->icount);
		if (evidence->crash->instruction[0]) {
			printf(LABEL, "instruction");
			text_print_escaped(stdout, evidence->crash->instruction);
			printf("\n");
		}
		printf("backtrace\n");
		print_threads(stdout, "  ", evidence->crash);
	}
	if (evidence->crash_problem[0]) {
		printf(LABEL, "crash");
		text_print_escaped(stdout, evidence->crash_problem);
		printf("\n");
	}
}

void report_print_text(const Reprise__Header *header, const Reprise__Evidence *evidence)
{
	if (header->n_environment)
		printf(LABEL "%zu variables; --markdown and --json list them\n", "environment",
		       header->n_environment);
	if (header->n_withheld) {
		printf(LABEL, "withheld");
		print_strings(stdout, header->withheld, header->n_withheld, " ");
		printf("\n");
	}
	if (!evidence)
		return;
	if (evidence->other_network)
		printf(LABEL "the command wanted to reach another machine; a run has none\n",
		       "network");
	print_crash(evidence);
	if (evidence->output_tail.len) {
		printf("last output\n");
		print_output(stdout, "  | ", &evidence->output_tail);
	}
}

/* ---- JSON ---- */

static void json_frame(struct json *json, const Reprise__TraceFrame *frame)
{
	json_begin_object(json, NULL);
	json_hex(json, "pc", frame->pc);
	json_string(json, "module", frame->module);
	json_hex(json, "module_offset", frame->module_offset);
	if (frame->function[0]) {
		json_string(json, "function", frame->function);
		json_number(json, "function_offset", frame->function_offset);
	}
	if (frame->source_file[0]) {
		json_string(json, "source_file", frame->source_file);
		json_number(json, "source_line", frame->source_line);
	}
	json_end_object(json);
}

static void json_crash(struct json *json, const Reprise__CrashedProcess *crash)
{
	char name[32];

	json_begin_object(json, "crash");
	json_string(json, "name", crash->name);
	json_string(json, "executable", crash->executable);
	json_number(json, "pid", crash->pid);
	json_number(json, "tid", crash->tid);
	json_string(json, "signal", evidence_signal_name(crash->signal, name));
	json_number(json, "icount", crash->icount);
	if (crash->instruction[0])
		json_string(json, "instruction", crash->instruction);
	json_begin_array(json, "threads");
	for (size_t i = 0; i < crash->n_threads; i++) {
		const Reprise__ThreadTrace *trace = crash->threads[i];
		json_begin_object(json, NULL);
		json_number(json, "tid", trace->tid);
		json_string(json, "name", trace->name);
		json_begin_array(json, "frames");
		for (size_t k = 0; k < trace->n_frames; k++)
			json_frame(json, trace->frames[k]);
		json_end_array(json);
		json_bool(json, "cut", trace->cut);
		json_end_object(json);
	}
	json_end_array(json);
	json_end_object(json);
}

static void json_output(struct json *json, const ProtobufCBinaryData *bytes)
{
	char text[8192];
	size_t n = bytes->len < sizeof(text) - 1 ? bytes->len : sizeof(text) - 1;

	for (size_t i = 0; i < n; i++)
		text[i] = bytes->data[i] ? (char)bytes->data[i] : 1;
	text[n] = '\0';
	json_string(json, "output_tail", text);
}

void report_print_json(struct json *json, const Reprise__Header *header,
		       const Reprise__Evidence *evidence)
{
	json_string(json, "directory", header->directory);
	json_string(json, "host_system", header->host_system);
	json_begin_array(json, "withheld");
	for (size_t i = 0; i < header->n_withheld; i++)
		json_string(json, NULL, header->withheld[i]);
	json_end_array(json);
	if (!evidence)
		return;
	json_output(json, &evidence->output_tail);
	json_bool(json, "other_network", evidence->other_network);
	if (evidence->crash)
		json_crash(json, evidence->crash);
	if (evidence->crash_problem[0])
		json_string(json, "crash_problem", evidence->crash_problem);
}

/* ---- Markdown ---- */

/* CommonMark 0.30, sections 4.5 and 6.1: code is fenced by more backticks than it has in a row. */
static int longest_ticks(const char *text, size_t n)
{
	int longest = 0, here = 0;

	for (size_t i = 0; i < n; i++) {
		here = text[i] == '`' ? here + 1 : 0;
		longest = here > longest ? here : longest;
	}
	return longest;
}

static void print_ticks(int n)
{
	while (n-- > 0)
		putchar('`');
}

struct code {
	FILE *out;
	char *text;
	size_t n;
};

/* What is written to code.out is shown as code by end_code(). */
static bool begin_code(struct code *code)
{
	*code = (struct code){0};
	code->out = open_memstream(&code->text, &code->n);
	return code->out != NULL;
}

static void end_code(struct code *code, bool block)
{
	if (fclose(code->out))
		code->n = 0;
	int ticks = longest_ticks(code->text, code->n) + 1;
	if (block) {
		ticks = ticks < 3 ? 3 : ticks;
		print_ticks(ticks);
		printf("\n%s", code->text);
		print_ticks(ticks);
		printf("\n");
	} else {
		print_ticks(ticks);
		printf("%s%s%s", ticks > 1 ? " " : "", code->n ? code->text : " ",
		       ticks > 1 ? " " : "");
		print_ticks(ticks);
	}
	free(code->text);
}

static void item(const char *label, const char *text)
{
	struct code code;

	if (!text[0] || !begin_code(&code))
		return;
	printf("- %s: ", label);
	text_print_escaped(code.out, text);
	end_code(&code, false);
	printf("\n");
}

static bool is_plain(const char *word)
{
	return *word && !word[strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
					   "0123456789_-+=./:,@%")];
}

/* As it can be pasted into a shell. */
static void print_word(FILE *out, const char *word)
{
	if (is_plain(word)) {
		fputs(word, out);
		return;
	}
	fputc('\'', out);
	for (; *word; word++) {
		if (*word == '\'')
			fputs("'\\''", out);
		else
			fputc(*word >= 0 && *word < ' ' ? '?' : *word, out);
	}
	fputc('\'', out);
}

static void print_command(const Reprise__Header *header)
{
	struct code code;

	if (!begin_code(&code))
		return;
	for (size_t i = 0; i < header->n_command; i++) {
		fputs(i ? " " : "", code.out);
		print_word(code.out, header->command[i]);
	}
	end_code(&code, false);
}

static void print_ending(const struct log_reader *reader)
{
	const Reprise__Trailer *trailer = log_reader_trailer(reader);
	char name[32];
	int status;

	if (!recording_file_exit_status(reader, &status))
		printf(": %s", trailer ? "the guest ended before it" : "the recording is cut off");
	else if (status > 128 && status < 128 + 65)
		printf(": exit status %d (%s)", status,
		       evidence_signal_name((unsigned)status - 128, name));
	else
		printf(": exit status %d", status);
}

static void print_facts(const char *path, const Reprise__Header *header)
{
	time_t created = (time_t)header->created_unix_s;
	char date[64] = "";
	struct tm utc;

	if (gmtime_r(&created, &utc))
		strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", &utc);
	item("recording", path);
	item("directory", header->directory);
	item("recorded", date);
	item("host", header->host_system);
	item("host CPU", header->host_cpu);
	item("guest kernel", header->kernel_path);
	item("guest CPU", header->machine->cpu_model);
	item("reprise", header->tool_version);
	if (header->seeded)
		printf("- seed: %" PRIu64 "\n", header->seed);
}

static void markdown_crash(const Reprise__Evidence *evidence)
{
	const Reprise__CrashedProcess *crash = evidence->crash;
	struct code code;

	if (!crash && !evidence->crash_problem[0])
		return;
	printf("\n## Crash\n\n");
	if (!begin_code(&code))
		return;
	if (crash) {
		evidence_print_crash(code.out, crash);
		fputc('\n', code.out);
		if (crash->instruction[0]) {
			fputs("at the instruction ", code.out);
			text_print_escaped(code.out, crash->instruction);
			fputc('\n', code.out);
		}
		fputc('\n', code.out);
		print_threads(code.out, "", crash);
	}
	if (evidence->crash_problem[0]) {
		text_print_escaped(code.out, evidence->crash_problem);
		fputc('\n', code.out);
	}
	end_code(&code, true);
}

static void markdown_evidence(const Reprise__Evidence *evidence)
{
	struct code code;

	markdown_crash(evidence);
	if (evidence->other_network)
		printf("\nThe command wanted to reach another machine; a run has no network but "
		       "loopback.\n");
	if (!evidence->output_tail.len || !begin_code(&code))
		return;
	printf("\n## Last output\n\n");
	print_output(code.out, "", &evidence->output_tail);
	end_code(&code, true);
}

static void markdown_environment(const Reprise__Header *header)
{
	struct code code;

	if (!header->n_environment && !header->n_withheld)
		return;
	printf("\n## Environment\n\n");
	if (!begin_code(&code))
		return;
	print_strings(code.out, header->environment, header->n_environment, "\n");
	fputc('\n', code.out);
	end_code(&code, true);
	if (!header->n_withheld)
		return;
	printf("\nWithheld: ");
	if (!begin_code(&code))
		return;
	print_strings(code.out, header->withheld, header->n_withheld, " ");
	end_code(&code, false);
	printf("\n");
}

static void markdown_next(const char *path, const Reprise__Evidence *evidence)
{
	struct code code;

	printf("\n## Debugging it\n\n");
	if (!begin_code(&code))
		return;
	fputs("reprise replay ", code.out);
	print_word(code.out, path);
	fputs("\nreprise gdb ", code.out);
	print_word(code.out, path);
	if (evidence && evidence->crash)
		fprintf(code.out, " --process %" PRIu32, evidence->crash->pid);
	fputc('\n', code.out);
	end_code(&code, true);
}

void report_print_markdown(const char *path, const struct log_reader *reader,
			   const Reprise__Evidence *evidence)
{
	const Reprise__Header *header = log_reader_header(reader);

	printf("# ");
	print_command(header);
	print_ending(reader);
	printf("\n\n");
	print_facts(path, header);
	if (evidence)
		markdown_evidence(evidence);
	markdown_environment(header);
	markdown_next(path, evidence);
}
