/* The reprise command: finds the subcommand and hands over. */
#ifndef REPRISE_TOOLS_REPRISE_H
#define REPRISE_TOOLS_REPRISE_H

/* What main does. Returns the exit status; standard output is flushed. Once in a process. */
int reprise_main(int argc, char **argv);

#endif
