/* JSON of a model directory: config.json, generation_config.json, and the index of shards (two small valid files). */
#include <stdlib.h>

#include "model/config.h"
#include "weights/safetensors.h"
#include "weights/safetensors_write.h"
#include "weights_checks.h"

static void check_config(const char *text, size_t size)
{
    model_config c = { 0 };
    qasr_error err;
    if (config_parse(&c, text, size, "config.json", &err) == QASR_OK) {
        FUZZ_CHECK(c.dec.n_kv_heads > 0 && c.dec.n_heads % c.dec.n_kv_heads == 0 && c.n_eos <= CONFIG_MAX_EOS);
        FUZZ_CHECK(config_audio_tokens(&c, 100) > 0 && config_tokens_per_chunk(&c) > 0);
    }
    if (config_parse_generation(&c, text, size, "generation_config.json", &err) == QASR_OK)
        FUZZ_CHECK(c.n_eos <= CONFIG_MAX_EOS);
}

static void write_shards(void)
{
    static const float values[4] = { 1, 2, 3, 4 };
    const st_entry a = { "a.weight", 2, { 2, 2 }, values }, b = { "b.weight", 1, { 4 }, values };
    qasr_error err;
    if (safetensors_write_f32(fuzz_file("1.safetensors", "", 0), &a, 1, &err) != QASR_OK ||
        safetensors_write_f32(fuzz_file("2.safetensors", "", 0), &b, 1, &err) != QASR_OK)
        exit(1);
}

static void check_index(const uint8_t *data, size_t size)
{
    static bool written;
    weights *w;
    qasr_error err;
    if (!written)
        write_shards();
    written = true;
    if (weights_open_safetensors(&w, fuzz_file("model.safetensors.index.json", data, size), &err) != QASR_OK)
        return;
    check_tensors(w);
    weights_close(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_config((const char *)data, size);
    check_index(data, size);
    return 0;
}
