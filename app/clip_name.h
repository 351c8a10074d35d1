/* How files and their channels are called where people read it. */
#ifndef QASR_APP_CLIP_NAME_H
#define QASR_APP_CLIP_NAME_H

#include <stdio.h>

/* A byte of a name, which may hold any: '?' for a control character, which would end the line or steer the terminal. */
char clip_name_byte(char c);

/* FILE, or FILE channel N for one of several channels (0: all in one). */
void clip_name_put(FILE *f, const char *file, int channel);

/* What comes after the name in that: " channel N", or nothing. */
typedef struct clip_channel {
    char text[24];
} clip_channel;
clip_channel clip_name_channel(int channel);

#endif
