/* The public headers compile alone, also inside extern "C", and their _INIT macros zero all but struct_size. */
#ifdef __cplusplus
extern "C" {
#endif
#include <qasr/qasr_tools.h>
#ifdef __cplusplus
}
#endif

#include <string.h>

static int is_initial(const void *given, size_t size)
{
    size_t struct_size;
    memcpy(&struct_size, given, sizeof struct_size);
    const char *rest = (const char *)given + sizeof struct_size;
    for (size_t i = 0; i < size - sizeof struct_size; i++)
        if (rest[i])
            return 0;
    return struct_size == size;
}

#define CHECK(type, INIT)                                                                                              \
    do {                                                                                                               \
        static type made = INIT;                                                                                       \
        if (!is_initial(&made, sizeof made))                                                                           \
            return 1;                                                                                                  \
    } while (0)

int main(void)
{
    CHECK(qasr_audio_options, QASR_AUDIO_OPTIONS_INIT);
    CHECK(qasr_audio_info, QASR_AUDIO_INFO_INIT);
    CHECK(qasr_model_options, QASR_MODEL_OPTIONS_INIT);
    CHECK(qasr_device_info, QASR_DEVICE_INFO_INIT);
    CHECK(qasr_session_options, QASR_SESSION_OPTIONS_INIT);
    CHECK(qasr_transcribe_options, QASR_TRANSCRIBE_OPTIONS_INIT);
    CHECK(qasr_limits, QASR_LIMITS_INIT);
    CHECK(qasr_cost, QASR_COST_INIT);
    CHECK(qasr_score, QASR_SCORE_INIT);
    CHECK(qasr_quantize_options, QASR_QUANTIZE_OPTIONS_INIT);
    CHECK(qasr_calibrate_options, QASR_CALIBRATE_OPTIONS_INIT);
    CHECK(qasr_calibrate_report, QASR_CALIBRATE_REPORT_INIT);
    return 0;
}
