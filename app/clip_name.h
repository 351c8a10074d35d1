/* Names of files and channels in text for people. */
#ifndef QASR_APP_CLIP_NAME_H
#define QASR_APP_CLIP_NAME_H

#include <stdio.h>

/* A byte of a name; '?' for control characters, which could end the line or control the terminal. */
char clip_name_byte(char c);

/* Prints "FILE", or "FILE channel N" for one of several channels (0: all channels mixed). */
void clip_name_put(FILE *f, const char *file, int channel);

/* The part after the name: " channel N", or "". */
typedef struct clip_channel {
    char text[24];
} clip_channel;
clip_channel clip_name_channel(int channel);

#endif
