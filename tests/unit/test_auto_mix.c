/* Choice of types under a bit budget, against exhaustive search; the automatic mix of the demo model: size, tensors
 * left alone, threads. */
#include <math.h>

#include "base/file.h"
#include "qasr/qasr_tools.h"
#include "quantize/bit_budget.h"
#include "weights/gguf_read.h"
#include "weights_fixture.h"

static void must(qasr_status status, const qasr_error *err)
{
    if (status != QASR_OK)
        fail_msg("%s", err->message);
}

/* ---- budget ---- */

enum { N_ITEMS = 6 };
static const quant_type candidates[] = { QUANT_Q4_0, QUANT_Q4_K, QUANT_Q5_1, QUANT_Q6_K, QUANT_Q8_0 };
enum { N_CANDIDATES = ARRAY_LEN(candidates), N_CHOICES = 5 * 5 * 5 * 5 * 5 * 5 };

static uint64_t seed = 11;

static double uniform(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return ((double)(seed >> 33) + 0.5) * 0x1p-31;
}

static double bits_of(quant_type type) { return 8.0 * quant_get(type)->bytes / quant_get(type)->block; }

/* Sensitivity that decreases with the bits, with noise. */
static void make_items(budget_item *items)
{
    for (size_t i = 0; i < N_ITEMS; i++) {
        items[i] = (budget_item){ .n_values = 256 * (uint64_t)(1 + 20 * uniform()) };
        double scale = exp(4 * uniform());
        for (size_t c = 0; c < N_CANDIDATES; c++) {
            items[i].candidate[candidates[c]] = true;
            items[i].sensitivity[candidates[c]] = scale * exp2(-2 * bits_of(candidates[c])) * (0.3 + uniform());
        }
    }
}

static double total_sensitivity(const budget_item *items)
{
    double sum = 0;
    for (size_t i = 0; i < N_ITEMS; i++)
        sum += items[i].sensitivity[items[i].type];
    return sum;
}

/* The smallest total sensitivity of all choices with at most the given bits per value. */
static double best_sensitivity(const budget_item *given, double bits)
{
    budget_item items[N_ITEMS];
    double best = INFINITY;
    memcpy(items, given, sizeof items);
    for (size_t choice = 0; choice < N_CHOICES; choice++) {
        for (size_t i = 0, rest = choice; i < N_ITEMS; i++, rest /= N_CANDIDATES)
            items[i].type = candidates[rest % N_CANDIDATES];
        if (budget_bits(items, N_ITEMS) <= bits && total_sensitivity(items) < best)
            best = total_sensitivity(items);
    }
    return best;
}

static void budget_is_a_step_from_the_best(void **state)
{
    (void)state;
    size_t n_best = 0;
    for (size_t round = 0; round < 20; round++) {
        budget_item items[N_ITEMS];
        qasr_error err;
        make_items(items);
        double n = 0, largest = 0, bits = 4.6 + 3.5 * uniform();
        for (size_t i = 0; i < N_ITEMS; i++) {
            n += (double)items[i].n_values;
            largest = (double)items[i].n_values > largest ? (double)items[i].n_values : largest;
        }
        must(budget_choose(items, N_ITEMS, bits, &err), &err);
        assert_true(budget_bits(items, N_ITEMS) <= bits);
        double best = best_sensitivity(items, bits), less = best_sensitivity(items, bits - 4 * largest / n);
        assert_true(total_sensitivity(items) >= best * (1 - 1e-12));
        assert_true(total_sensitivity(items) <= less * (1 + 1e-12));
        n_best += total_sensitivity(items) <= best * (1 + 1e-12);
    }
    assert_true(n_best >= 5);
}

static void budget_ends(void **state)
{
    (void)state;
    budget_item items[N_ITEMS];
    qasr_error err = { 0 };
    make_items(items);
    assert_int_equal(budget_choose(items, N_ITEMS, 4.49, &err), QASR_E_INVALID);
    assert_non_null(strstr(err.message, "4.49 bits per weight are too few: the smallest types take 4.5"));
    must(budget_choose(items, N_ITEMS, 4.5, &err), &err);
    for (size_t i = 0; i < N_ITEMS; i++) /* the better of the two smallest types */
        assert_int_equal(items[i].type,
                         items[i].sensitivity[QUANT_Q4_K] < items[i].sensitivity[QUANT_Q4_0] ? QUANT_Q4_K : QUANT_Q4_0);
    for (size_t i = 0; i < N_ITEMS; i++)
        items[i].sensitivity[QUANT_Q8_0] = 0;
    must(budget_choose(items, N_ITEMS, 100, &err), &err);
    assert_true(budget_bits(items, N_ITEMS) == 8.5);
    for (size_t i = 0; i < N_ITEMS; i++) /* bits without a benefit are not spent */
        for (size_t c = 0; c < N_CANDIDATES; c++)
            items[i].sensitivity[candidates[c]] = 0;
    must(budget_choose(items, N_ITEMS, 100, &err), &err);
    assert_true(budget_bits(items, N_ITEMS) == 4.5);
}

/* ---- the demo model, or one layer of it ---- */

/* Totals over the tensors of a plan. */
typedef struct told {
    size_t n, n_mixed;
    double values, bits, sensitivity, least; /* of the mixed ones */
    bool others_mixed;                       /* a tensor that must not be mixed is */
    char types[8192];
} told;

static int tell(void *user, const qasr_quantize_tensor *t)
{
    told *all = user;
    size_t used = strlen(all->types);
    snprintf(all->types + used, sizeof all->types - used, "%s %s\n", t->name, t->type);
    all->n++;
    if (!t->mixed)
        return 0;
    all->n_mixed++;
    all->values += (double)t->n_values;
    all->bits += 8 * (double)t->bytes_after;
    all->sensitivity += t->sensitivity;
    all->others_mixed = all->others_mixed || strcmp(t->part, "decoder") != 0 || strstr(t->name, "norm");
    return 0;
}

static const char *calibrated(void)
{
    static const char *const clips[] = { TEST_DATA "/golden/clips/ru-002.flac", TEST_DATA "/golden/clips/en-001.flac" };
    qasr_error err;
    qasr_calibrate_options opt = QASR_CALIBRATE_OPTIONS_INIT;
    opt.model = MODEL_DIR;
    opt.audio = clips;
    opt.n_audio = ARRAY_LEN(clips);
    opt.output = scratch_path("c.gguf");
    opt.covariance = 1;
    opt.overwrite = 1;
    must(qasr_calibrate(&opt, NULL, &err), &err);
    return scratch_path("c.gguf");
}

static qasr_quantize_options mix_options(told *t, double bits)
{
    qasr_quantize_options opt = QASR_QUANTIZE_OPTIONS_INIT;
    *t = (told){ 0 };
    opt.input = MODEL_DIR;
    opt.calibration = scratch_path("c.gguf");
    opt.auto_mix = bits;
    opt.scope = "thinker.model.layers.0.";
    opt.dry_run = 1;
    opt.on_tensor = tell;
    opt.user = t;
    return opt;
}

static void run_mix(const qasr_quantize_options *opt)
{
    qasr_error err;
    must(qasr_quantize(opt, NULL, &err), &err);
}

static void more_bits_less_sensitivity(void **state)
{
    (void)state;
    calibrated();
    double last = INFINITY;
    for (double bits = 4.5; bits <= 9; bits += 0.5) {
        told t;
        qasr_quantize_options opt = mix_options(&t, bits);
        run_mix(&opt);
        assert_int_equal(t.n_mixed, 7);
        assert_false(t.others_mixed);
        assert_true(t.bits / t.values <= bits &&
                    t.bits / t.values >
                        fmin(bits, 8.5) - 0.5); /* the largest step: a feed-forward matrix from q6_k to q8_0 */
        assert_true(t.sensitivity < last || (bits > 8.5 && t.sensitivity <= last));
        last = t.sensitivity;
    }
}

static void results_do_not_depend_on_threads(void **state)
{
    (void)state;
    told one, three;
    calibrated();
    qasr_quantize_options opt = mix_options(&one, 5);
    opt.n_threads = 1;
    run_mix(&opt);
    opt = mix_options(&three, 5);
    opt.n_threads = 3;
    run_mix(&opt);
    assert_string_equal(one.types, three.types);
    assert_true(one.sensitivity == three.sensitivity);
}

static void what_is_asked_for_stays(void **state)
{
    static const char *const patterns[] = { "layers\\.0\\..*_proj", "layers\\.3\\..*down_proj" };
    static const char *const types[] = { "q4_0", "f16" };
    (void)state;
    told t;
    calibrated();
    qasr_quantize_options opt = mix_options(&t, 5.5);
    opt.tensor_patterns = patterns;
    opt.tensor_types = types;
    opt.n_tensor_types = ARRAY_LEN(types);
    opt.embedding_qtype = "q5_1";
    opt.scope = "thinker.model.";
    run_mix(&opt);
    assert_int_equal(t.n_mixed, 5 * 7 - 1);
    assert_false(t.others_mixed);
    assert_non_null(strstr(t.types, "model.layers.0.self_attn.v_proj.weight q4_0\n"));
    assert_non_null(strstr(t.types, "model.layers.3.mlp.down_proj.weight f16\n"));
    assert_non_null(strstr(t.types, "embed_tokens.weight q5_1\n"));
    opt = mix_options(&t, 5.5);
    opt.scope = "thinker.model.embed";
    opt.quantize_embeddings = 1;
    run_mix(&opt);
    assert_int_equal(t.n_mixed, 1);
    assert_non_null(strstr(t.types, "embed_tokens.weight q5_k\n"));
}

static void the_encoder_keeps_its_types(void **state)
{
    (void)state;
    told t;
    calibrated();
    qasr_quantize_options opt = mix_options(&t, 5.5);
    opt.scope = "all";
    opt.tensor_patterns = (const char *[]){ "thinker.model.layers.[1-9]..*_proj" }; /* leaves little to mix */
    opt.tensor_types = (const char *[]){ "q4_0" };
    opt.n_tensor_types = 1;
    run_mix(&opt);
    assert_int_equal(t.n_mixed, 8);
    assert_non_null(strstr(t.types, "audio_tower.layers.2.fc1.weight q8_0\n"));
}

static void the_file_says_so(void **state)
{
    (void)state;
    told t;
    qasr_error err;
    weights *w;
    calibrated();
    qasr_quantize_options opt = mix_options(&t, 4.75);
    opt.dry_run = 0;
    opt.output = scratch_path("m.gguf");
    run_mix(&opt);
    must(weights_open_gguf(&w, scratch_path("m.gguf"), &err), &err);
    assert_string_equal(weights_meta_string(w, "qasr.qtype"), "auto_mix");
    const wmeta *wanted = weights_meta_find(w, "qasr.auto_mix.bits_wanted"),
                *bits = weights_meta_find(w, "qasr.auto_mix.bits");
    assert_true(wanted->as.f == 4.75 && fabs(bits->as.f - t.bits / t.values) < 1e-6);
    weights_close(w);
}

static int cancel(void *user, uint64_t done, uint64_t total, const char *what)
{
    (void)user;
    assert_true(done <= total);
    return strcmp(what, "choosing types") == 0;
}

static void errors_are_told(void **state)
{
    (void)state;
    told t;
    qasr_error err;
    calibrated();
    qasr_quantize_options opt = mix_options(&t, 4.4);
    assert_int_equal(qasr_quantize(&opt, NULL, &err), QASR_E_INVALID);
    assert_non_null(strstr(err.message, "the smallest types take 4.5"));
    opt = mix_options(&t, NAN);
    assert_int_equal(qasr_quantize(&opt, NULL, &err), QASR_E_INVALID);
    opt = mix_options(&t, 5);
    opt.calibration = NULL;
    assert_int_equal(qasr_quantize(&opt, NULL, &err), QASR_E_INVALID);
    assert_non_null(strstr(err.message, "needs calibration statistics"));
    opt = mix_options(&t, 5);
    opt.tensor_types = (const char *[]){ "q8_0" };
    opt.n_tensor_types = 1;
    assert_int_equal(qasr_quantize(&opt, NULL, &err), QASR_E_INVALID);
    assert_non_null(strstr(err.message, "1 tensor types without their patterns"));
    opt.tensor_patterns = (const char *[]){ "proj" };
    assert_int_equal(qasr_quantize(&opt, NULL, &err), QASR_E_INVALID);
    assert_non_null(strstr(err.message, "no types to mix"));
    opt = mix_options(&t, 5);
    opt.on_progress = cancel;
    assert_int_equal(qasr_quantize(&opt, NULL, &err), QASR_E_CANCELLED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(budget_is_a_step_from_the_best),
        cmocka_unit_test(budget_ends),
        cmocka_unit_test_setup_teardown(more_bits_less_sensitivity, scratch_make, scratch_remove),
        cmocka_unit_test_setup_teardown(results_do_not_depend_on_threads, scratch_make, scratch_remove),
        cmocka_unit_test_setup_teardown(what_is_asked_for_stays, scratch_make, scratch_remove),
        cmocka_unit_test_setup_teardown(the_encoder_keeps_its_types, scratch_make, scratch_remove),
        cmocka_unit_test_setup_teardown(the_file_says_so, scratch_make, scratch_remove),
        cmocka_unit_test_setup_teardown(errors_are_told, scratch_make, scratch_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
