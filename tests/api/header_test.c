/* The public header compiles alone, as C99 and as C++, and its option macros initialise. */
#include <qasr/qasr.h>

int main(void)
{
    qasr_model_options m = QASR_MODEL_OPTIONS_INIT;
    qasr_session_options s = QASR_SESSION_OPTIONS_INIT;
    qasr_transcribe_options t = QASR_TRANSCRIBE_OPTIONS_INIT;
    qasr_quantize_options q = QASR_QUANTIZE_OPTIONS_INIT;
    qasr_limits l = QASR_LIMITS_INIT;
    qasr_cost w = QASR_COST_INIT;
    return !(m.struct_size == sizeof m && s.struct_size == sizeof s && t.struct_size == sizeof t &&
             q.struct_size == sizeof q && l.struct_size == sizeof l && w.struct_size == sizeof w);
}
