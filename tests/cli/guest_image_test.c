/*
 * The guest's image: cpio (cpio(1) itself must read it), host paths with their links, libraries,
 * scripts, and the choice of a kernel.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/tap.h"
#include "tools/cpio.h"
#include "tools/guest_command.h"
#include "tools/guest_image.h"
#include "tools/kernel.h"
#include "tools/libraries.h"

static char top[] = "/tmp/reprise-image-XXXXXX";

static void write_file(const char *path, const void *data, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0755);

	if (fd < 0 || write(fd, data, n) != (ssize_t)n)
		tap_note("cannot write %s", path);
	close(fd);
}

/* What cpio(1) lists in the archive: "mode… name" lines; the caller's to free. */
static char *list_archive(const uint8_t *data, size_t n)
{
	char *text = NULL;
	size_t length = 0, capacity = 0;

	write_file("archive", data, n);
	FILE *pipe = popen("cpio -itv --quiet < archive 2>&1", "r");
	if (getdelim(&text, &capacity, 0, pipe) < 0)
		text = calloc(1, length + 1);
	pclose(pipe);
	return text;
}

static void test_cpio(void)
{
	struct cpio *cpio;
	uint8_t *data;
	size_t n;

	cpio_create(&cpio);
	cpio_add(cpio, &(struct cpio_entry){.name = "d", .mode = S_IFDIR | 0755});
	cpio_add(cpio, &(struct cpio_entry){"d/file", S_IFREG | 0640, 86400, "hello", 5});
	cpio_add(cpio, &(struct cpio_entry){"d/link", S_IFLNK | 0777, 0, "file", 4});
	tap_ok(!cpio_finish(cpio, &data, &n) && n % 4 == 0, "cpio: an archive");
	char *list = list_archive(data, n);
	tap_ok(strstr(list, "drwxr-xr-x") && strstr(list, "-rw-r-----") && strstr(list, " 5 "),
	       "cpio(1) reads its modes and sizes");
	tap_ok(strstr(list, "d/link -> file"), "cpio(1) reads its link");
	free(list);
	tap_ok(!system("cpio -i --quiet --to-stdout d/file < archive | grep -qx hello"),
	       "cpio(1) reads its file");
	free(data);
	cpio_destroy(cpio);
}

static char *pack(struct guest_image *image)
{
	uint8_t *data;
	size_t n;

	guest_image_finish(image, &data, &n);
	char *list = list_archive(data, n);
	free(data);
	guest_image_destroy(image);
	return list;
}

static bool lists(const char *list, const char *path)
{
	char line[300];

	snprintf(line, sizeof(line), " %s%s\n", top + 1, path);
	return strstr(list, line);
}

static void make_tree(void)
{
	mkdir("real", 0755);
	mkdir("real/sub", 0700);
	mkdir("outside", 0755);
	write_file("real/a", "a", 1);
	write_file("real/sub/b", "b", 1);
	write_file("outside/c", "c", 1);
	if (symlink("real", "alias") || symlink("../outside", "real/away") ||
	    symlink("nowhere", "real/dangling") || symlink("loop", "loop") ||
	    symlink(".", "real/self") || symlink("../outside/c", "real/far") ||
	    mkfifo("real/fifo", 0600))
		tap_note("cannot make the tree");
}

static void test_paths(void)
{
	struct guest_image *image;
	char path[300];

	guest_image_create(&image);
	snprintf(path, sizeof(path), "%s/./alias//sub/../sub/b", top);
	tap_ok(!guest_image_add_host(image, path), "image: a file behind a link");
	tap_ok(!guest_image_add_host(image, path), "image: a file added again");
	snprintf(path, sizeof(path), "%s/absent", top);
	tap_ok(guest_image_add_host(image, path) == -ENOENT &&
		       !strcmp(guest_image_failed_path(image), path),
	       "image: no such file");
	snprintf(path, sizeof(path), "%s/loop", top);
	tap_ok(guest_image_add_host(image, path) == -ELOOP, "image: a link to itself");
	snprintf(path, sizeof(path), "%s/real/a/x", top);
	tap_ok(guest_image_add_host(image, path) == -ENOTDIR, "image: a file as a directory");
	tap_ok(!guest_image_add_host(image, "/dev/null"), "image: the guest's own file systems");
	char *list = pack(image);
	tap_ok(lists(list, "/real/sub/b") && lists(list, "/real/sub"),
	       "image: file and directories");
	tap_ok(lists(list, "/alias -> real"), "image: the link on the way");
	tap_ok(!strstr(list, "dev/null"), "image: without devices");
	const char *first = strstr(list, "/real/sub/b\n");
	tap_ok(first && !strstr(first + 1, "/real/sub/b\n"), "image: everything once");
	free(list);
}

static void test_tree(void)
{
	struct guest_image *image;
	char path[300];

	guest_image_create(&image);
	snprintf(path, sizeof(path), "%s/real", top);
	tap_ok(!guest_image_add_host(image, path), "image: a directory");
	char *list = pack(image);
	tap_ok(lists(list, "/real/a") && lists(list, "/real/sub/b"), "image: all that is in it");
	tap_ok(lists(list, "/real/self -> ."), "image: a link in circles is not followed");
	tap_ok(lists(list, "/real/dangling -> nowhere"), "image: a link that leads nowhere");
	tap_ok(lists(list, "/outside/c") && lists(list, "/real/away -> ../outside"),
	       "image: a link to a file is followed");
	tap_ok(!lists(list, "/real/fifo"), "image: FIFOs are left out");
	free(list);
}

static void test_program(void)
{
	struct guest_image *image;

	guest_image_create(&image);
	tap_ok(!guest_image_add_host(image, "/bin/sh"), "image: a program");
	guest_image_add_file(image, "/x/y/z", 0644, "z", 1);
	char *list = pack(image);
	tap_ok(strstr(list, "/libc.so.6\n") && strstr(list, "ld-linux-x86-64.so.2"),
	       "image: its libraries");
	tap_ok(strstr(list, " x/y\n") && strstr(list, " x/y/z\n"), "image: a file of our own");
	free(list);
}

static const struct line_case {
	const char *line, *path;
} lines[] = {
	{"\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f0000000000)\n",
	 "/lib/x86_64-linux-gnu/libc.so.6"},
	{"\t/lib64/ld-linux-x86-64.so.2 (0x00007f0000000000)\n", "/lib64/ld-linux-x86-64.so.2"},
	{"\tlibx.so => /opt/with space (1)/libx.so (0x00007f0000000000)\n",
	 "/opt/with space (1)/libx.so"},
	{"\tlinux-vdso.so.1 (0x00007ffd00000000)\n", NULL},
	{"\tlibabsent.so => not found\n", NULL},
	{"\tnot a dynamic executable\n", NULL},
	{"\tstatically linked\n", NULL},
	{"", NULL},
};

static const struct script_case {
	const char *text, *interpreter, *argument;
} scripts[] = {
	{"#!/bin/sh\necho", "/bin/sh", NULL},
	{"#! /usr/bin/env python3\n", "/usr/bin/env", "python3"},
	{"#!/bin/awk  -f \t\r\n", "/bin/awk", "-f"},
	{"#!\n", NULL, NULL},
	{"#! \n", NULL, NULL},
	{"#!/bin/sh", NULL, NULL}, /* no end of line in what was read */
	{"\177ELF\n", NULL, NULL},
	{"", NULL, NULL},
};

static bool same(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

static void test_lines(void)
{
	char text[256];

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		strcpy(text, lines[i].line);
		tap_ok(same(libraries_parse_line(text), lines[i].path), "ldd line %zu", i);
	}
	for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
		char *argument = NULL;
		strcpy(text, scripts[i].text);
		char *interpreter =
			guest_command_script_interpreter(text, strlen(scripts[i].text), &argument);
		tap_ok(same(interpreter, scripts[i].interpreter) &&
			       (!interpreter || same(argument, scripts[i].argument)),
		       "script line %zu", i);
	}
}

static void make_kernel(const char *path)
{
	uint8_t header[0x238] = {0};

	memcpy(header + 0x202, "HdrS", 4);
	header[0x206] = 0x0f;
	header[0x207] = 0x02;
	header[0x236] = 1;
	write_file(path, header, sizeof(header));
}

static void test_kernel(void)
{
	char *path = NULL;

	mkdir("boot", 0755);
	tap_ok(kernel_find_newest("boot", &path) == -ENOENT, "kernel: none");
	tap_ok(kernel_find_newest("no-boot", &path) == -ENOENT, "kernel: no directory");
	make_kernel("boot/vmlinuz-6.9.0-1");
	make_kernel("boot/vmlinuz-6.10.0-1");
	write_file("boot/vmlinuz-7.0.0-arm64", "MZ", 2);
	make_kernel("boot/config-9");
	tap_ok(!kernel_find_newest("boot", &path) && same(path, "boot/vmlinuz-6.10.0-1"),
	       "kernel: the newest that is one");
	free(path);
}

int main(void)
{
	char command[300];

	if (!mkdtemp(top) || chdir(top))
		return 1;
	test_cpio();
	make_tree();
	test_paths();
	test_tree();
	test_program();
	test_lines();
	test_kernel();
	snprintf(command, sizeof(command), "rm -rf %s", top);
	if (system(command))
		tap_note("%s is left over", top);
	return tap_done();
}
