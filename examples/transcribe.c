/* Transcribes an audio file and prints the text; the arguments are MODEL AUDIO. The example at the top of qasr.h. */
#include <qasr/qasr.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    qasr_error err;
    qasr_model *model = NULL;
    qasr_session *session = NULL;
    qasr_result *result = NULL;
    float *pcm = NULL;
    size_t n_samples = 0;
    int failed = argc != 3 || qasr_model_open(&model, argv[1], NULL, &err) ||
                 qasr_session_open(&session, model, NULL, &err) || qasr_audio_load(&pcm, &n_samples, argv[2], &err) ||
                 qasr_transcribe(&result, session, pcm, n_samples, NULL, &err);
    if (failed)
        fprintf(stderr, "%s\n", argc == 3 ? err.message : "usage: example MODEL AUDIO");
    else
        puts(qasr_result_text(result));
    qasr_result_free(result);
    qasr_audio_free(pcm);
    qasr_session_close(session);
    qasr_model_close(model);
    return failed;
}
