/*
 * Constants of the .rpz file: what docs/file-format.md states in words. Writer and reader keep to
 * the same limits, so that no file is written that cannot be read.
 */
#ifndef REPRISE_LOG_FORMAT_FORMAT_H
#define REPRISE_LOG_FORMAT_FORMAT_H

#include <stdint.h>

#define FORMAT_VERSION        2u /* what is written */
#define FORMAT_VERSION_OLDEST 1u /* what is read still */

/* The preamble: magic, version (32 bits), 4 bytes of 0. */
#define FORMAT_MAGIC          "\x89RPZ\r\n\x1a\n"
#define FORMAT_MAGIC_BYTES    8u
#define FORMAT_PREAMBLE_BYTES 16u

/* A chunk's frame: magic, length of its ChunkHeader (32 bits), XXH3-64 of that. */
#define FORMAT_CHUNK_MAGIC       "RPZc"
#define FORMAT_CHUNK_MAGIC_BYTES 4u
#define FORMAT_FRAME_BYTES       16u
#define FORMAT_CHUNK_HEADER_MAX  240u

/* The footer: offset of the index chunk, XXH3-64 of those 8 bytes, magic. */
#define FORMAT_FOOTER_MAGIC "RPZindex"
#define FORMAT_FOOTER_BYTES 24u

#define FORMAT_PAGE_BYTES      4096u
#define FORMAT_PAGES_PER_CHUNK 256u

/* Limits on what a file may ask for. */
#define FORMAT_RAW_MAX              (16u << 20)            /* a chunk, decompressed */
#define FORMAT_STORED_MAX           ((16u << 20) + 65536u) /* a chunk, as stored */
#define FORMAT_MESSAGE_MAX          (4u << 20)             /* Header, Trailer, encoded */
#define FORMAT_MESSAGE_MEMORY_MAX   (64u << 20)            /* a message, decoded */
#define FORMAT_CHUNKS_MAX           (1u << 20)
#define FORMAT_ATTACHMENTS_MAX      4096u
#define FORMAT_ATTACHMENT_BYTES_MAX (UINT64_C(4) << 30)
#define FORMAT_ATTACHMENT_NAME_MAX  4096u
#define FORMAT_BUILD_ID_MAX         64u
#define FORMAT_INPUT_CLASSES_MAX    4096u

/* A chunk is due to be cut at the first, and cut without being asked at the second. */
#define FORMAT_CUT_BYTES      (1u << 20)
#define FORMAT_CUT_BYTES_HARD (8u << 20)

/* A reference to this page needs no content: the page of zeros. Others are 1 + the page's number.
 */
#define FORMAT_ZERO_PAGE_REF UINT64_C(0)

#endif
