/* Transcripts as JSON lines: an object for each segment as soon as it is complete ("type": "segment"), with the same
 * keys as in JSON, and one for each complete file ("type": "file"). Their content does not depend on the batch. */
#include "app/formats/formats.h"

#include <jansson.h>
#include <stdlib.h>

#include "app/formats/segment_json.h"
#include "app/json_util.h"

static json_t *begin_object(const char *type, const format_item *it)
{
    json_t *o = json_object();
    json_object_set_new(o, "type", json_text(type));
    json_object_set_new(o, "file", json_text(it->file));
    if (it->channel)
        json_object_set_new(o, "channel", json_integer(it->channel));
    return o;
}

static bool put_line(FILE *f, json_t *o)
{
    bool good = o && json_dumpf(o, f, JSON_COMPACT | JSON_REAL_PRECISION(15)) == 0;
    json_decref(o);
    fputc('\n', f);
    return good || ferror(f);
}

static bool segment(FILE *f, const format_item *it, const qasr_segment *p)
{
    json_t *o = begin_object("segment", it);
    segment_json_add(o, p);
    return put_line(f, o);
}

static bool item(FILE *f, const format_item *it)
{
    json_t *o = begin_object("file", it);
    if (it->result) {
        json_object_set_new(o, "text", json_text(qasr_result_text(it->result)));
        json_object_set_new(o, "language", json_text(qasr_result_language(it->result)));
        if (it->detected)
            json_object_set_new(o, "detected_language", json_text(it->detected));
        json_object_set_new(o, "duration", json_number(qasr_result_timings(it->result)->audio_s, 4));
        json_object_set_new(o, "stop_reason", json_text(qasr_stop_reason_name(qasr_result_stop_reason(it->result))));
        segment_json_add_damage(o, it->result);
    } else {
        json_object_set_new(o, "error", json_text(it->error));
    }
    return put_line(f, o);
}

const format_writer format_jsonl = { "jsonl", true, true, NULL, segment, item, NULL };
