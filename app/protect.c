/* See protect.h. Results are text, so a file with bytes that no text has is none of them: no list of formats can be
 * complete. Files of models that are text are recognized by the keys of their JSON. */
#include "app/protect.h"

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "app/audio_name.h"
#include "base/temp_file.h"

enum { HEAD_BYTES = 65536, MIN_VOCABULARY = 100 };

/* The length of the beginning of a regular file that was read into head [HEAD_BYTES]; 0 if there is none. */
static size_t read_head(unsigned char *head, const char *path)
{
    struct stat st;
    FILE *f = stat(path, &st) == 0 && S_ISREG(st.st_mode) ? fopen(path, "rb") : NULL;
    size_t n = f ? fread(head, 1, HEAD_BYTES, f) : 0;
    if (f)
        fclose(f);
    return n;
}

/* Text in any encoding of single bytes, or UTF-8; with the escapes of terminals. */
static bool is_text(const unsigned char *head, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((head[i] < 0x20 && !strchr("\b\t\n\v\f\r\x1B", head[i])) || head[i] == 0 || head[i] == 0x7F)
            return false;
    return true;
}

/* A vocabulary has token ids as values, and nothing else. */
static bool is_vocabulary(json_t *o)
{
    const char *key;
    json_t *value;
    json_object_foreach(o, key, value)
    {
        if (!json_is_integer(value))
            return false;
    }
    return json_object_size(o) >= MIN_VOCABULARY;
}

static bool is_model_json(const char *path)
{
    static const char *const keys[] = { "architectures",
                                        "model_type",
                                        "transformers_version",
                                        "processor_class",
                                        "tokenizer_class",
                                        "feature_extractor_type",
                                        "added_tokens",
                                        "weight_map",
                                        "chat_template",
                                        "additional_special_tokens",
                                        "eos_token" };
    json_t *o = json_load_file(path, 0, NULL);
    bool is = json_is_object(o) && is_vocabulary(o);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        is = is || json_object_get(o, keys[i]);
    json_decref(o);
    return is;
}

static bool begins_with(const unsigned char *head, size_t n, const char *word)
{
    return n >= strlen(word) && memcmp(head, word, strlen(word)) == 0;
}

const char *protect_content(const char *path)
{
    static unsigned char head[HEAD_BYTES];
    static const char merges[] = "#version: ", chat_template[] = "{%";
    const size_t n = read_head(head, path);
    if (n == 0)
        return NULL;
    if (!is_text(head, n))
        return "a recording, or another file that is not text";
    const bool is_model =
        begins_with(head, n, merges) || begins_with(head, n, chat_template) || (head[0] == '{' && is_model_json(path));
    return is_model ? "a file of a model" : NULL;
}

bool protect_is_audio_name(const char *path)
{
    struct stat st;
    if (stat(path, &st) == 0)
        return audio_name_is(path) && S_ISREG(st.st_mode);
    char *target = temp_file_target(path); /* of a link that leads to nothing yet */
    const bool is_name = audio_name_is(path) || (target && audio_name_is(target));
    free(target);
    return is_name;
}

/* The header of a safetensors file: the length of a JSON object, the object. */
bool protect_allows_dump(const char *path)
{
    static unsigned char head[HEAD_BYTES];
    static const char *const names[] = { "mel", "audio_embeds", "first_logits" };
    enum { LENGTH_BYTES = sizeof(uint64_t) };
    const size_t n = read_head(head, path);
    struct stat st;
    if (n == 0)
        return stat(path, &st) != 0 || st.st_size == 0 || !S_ISREG(st.st_mode);
    uint64_t length = 0;
    for (size_t i = LENGTH_BYTES; i-- > 0;)
        length = length << 8 | head[i];
    if (n < LENGTH_BYTES || length > n - LENGTH_BYTES)
        return false;
    json_t *o = json_loadb((const char *)head + LENGTH_BYTES, (size_t)length, 0, NULL);
    bool is = json_object_size(o) == sizeof names / sizeof *names;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        is = is && json_object_get(o, names[i]);
    json_decref(o);
    return is;
}
