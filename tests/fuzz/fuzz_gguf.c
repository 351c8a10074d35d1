/* A .gguf file, read in every way: as a container, as a model (configuration, tokenizer, shapes), as a calibration
 * file, and by `qasr info`. */
#include <math.h>

#include "model/config.h"
#include "qasr/qasr_tools.h"
#include "quantize/calibration_file.h"
#include "weights/gguf_read.h"
#include "weights_checks.h"

static void check_container(const char *path)
{
    weights *w;
    qasr_error err;
    model_config config;
    if (weights_open_gguf(&w, path, &err) != QASR_OK)
        return;
    check_tensors(w);
    check_metadata(w);
    for (int size = 0; size < CONFIG_SIZES; size++) {
        uint64_t value;
        config_gguf_size(w, (config_size)size, &value);
    }
    if (config_gguf_kind(w) >= GGUF_WHOLE && config_read_gguf(&config, w, w, &err) == QASR_OK)
        FUZZ_CHECK(config.dec.n_heads % config.dec.n_kv_heads == 0 && config.n_eos <= CONFIG_MAX_EOS);
    weights_close(w);
}

static void check_model(const char *path)
{
    qasr_error err;
    qasr_model *m = NULL;
    if (qasr_model_open(&m, path, NULL, &err) == QASR_OK)
        qasr_model_close(m);
}

static void check_inspection(const char *path)
{
    qasr_error err;
    qasr_inspect *in = NULL;
    const char *value;
    if (qasr_inspect_open(&in, path, &err) != QASR_OK)
        return;
    for (size_t i = 0; qasr_inspect_fact(in, i, &value); i++)
        FUZZ_CHECK(value);
    qasr_inspect_close(in);
}

/* Properties of a matrix's statistics that quantizers rely on. */
static void check_calibration(const char *path)
{
    enum { COLS = 8 };
    static const char matrix[] = "thinker.model.layers.0.self_attn.q_proj.weight";
    qasr_error err;
    calibration *c;
    const float *importance;
    float products[COLS * COLS];
    double rows;
    bool found;
    if (calibration_open(&c, path, &err) != QASR_OK)
        return;
    if (calibration_importance(c, matrix, COLS, &importance, &rows, &err) == QASR_OK && importance)
        for (size_t i = 0; i < COLS; i++)
            FUZZ_CHECK(importance[i] >= 0 && isfinite(importance[i]));
    if (calibration_covariance(c, matrix, COLS, products, &found, &err) == QASR_OK && found)
        for (size_t i = 0; i < COLS * COLS; i++)
            FUZZ_CHECK(isfinite(products[i]));
    calibration_close(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *path = fuzz_file("model.gguf", data, size);
    check_container(path);
    check_model(path);
    check_inspection(path);
    check_calibration(path);
    return 0;
}
