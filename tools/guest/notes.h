/* What the kernel knows of a run that the host would like to know: CHANNEL_NOTE. */
#ifndef REPRISE_TOOLS_GUEST_NOTES_H
#define REPRISE_TOOLS_GUEST_NOTES_H

/* Before the command starts, with /proc and /dev there: what comes after it counts. */
void notes_begin(void);

/* After it has ended: tells the host. */
void notes_send(void);

#endif
