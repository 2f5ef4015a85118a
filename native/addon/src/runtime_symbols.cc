// The functions that generated code may call. A `.node` is opened locally, so the dynamic linker's
// search does not see its symbols: each is registered by address.
#include "instruments.h"
#include "jit.h"
#include "tw_runtime.h"

#include <cmath>
#include <cstdlib>
#include <cstring>

extern "C" {
// Declared here because C++ headers hide them or overload them.
double roundeven(double);
float roundevenf(float);
double exp10(double);
float exp10f(float);
void sincos(double, double *, double *);
void sincosf(float, float *, float *);
// Half-precision and wide-integer helpers of libgcc that LLVM calls on targets without the instructions.
#if defined(__x86_64__)
float __extendhfsf2(_Float16);
_Float16 __truncsfhf2(float);
_Float16 __truncdfhf2(double);
#endif
typedef int Int128 __attribute__((mode(TI)));
typedef unsigned UInt128 __attribute__((mode(TI)));
Int128 __divti3(Int128, Int128);
Int128 __modti3(Int128, Int128);
UInt128 __udivti3(UInt128, UInt128);
UInt128 __umodti3(UInt128, UInt128);
Int128 __multi3(Int128, Int128);
}

namespace tw {

// A math function of libm in its double and float versions, one and two arguments.
#define TW_UNARY(name) \
  {#name, reinterpret_cast<void *>(static_cast<double (*)(double)>(::name))}, \
  {#name "f", reinterpret_cast<void *>(static_cast<float (*)(float)>(::name##f))}
#define TW_BINARY(name) \
  {#name, reinterpret_cast<void *>(static_cast<double (*)(double, double)>(::name))}, \
  {#name "f", reinterpret_cast<void *>(static_cast<float (*)(float, float)>(::name##f))}
#define TW_FUNCTION(name) {#name, reinterpret_cast<void *>(::name)}

const std::vector<RuntimeSymbol> &runtimeSymbols() {
  static const std::vector<RuntimeSymbol> symbols = {
      TW_FUNCTION(tw_parallel_for),
      TW_FUNCTION(tw_now),
      {"tw_traced_parallel_for", reinterpret_cast<void *>(tracedParallelFor)},
      {"tw_read_counters", reinterpret_cast<void *>(readCounters)},
      {"memcpy", reinterpret_cast<void *>(static_cast<void *(*)(void *, const void *, size_t)>(::memcpy))},
      {"memset", reinterpret_cast<void *>(static_cast<void *(*)(void *, int, size_t)>(::memset))},
      {"memmove", reinterpret_cast<void *>(static_cast<void *(*)(void *, const void *, size_t)>(::memmove))},
      {"memcmp", reinterpret_cast<void *>(static_cast<int (*)(const void *, const void *, size_t)>(::memcmp))},
      TW_FUNCTION(abort),
      // clang-format off
      TW_UNARY(exp), TW_UNARY(exp2), TW_UNARY(exp10), TW_UNARY(expm1),
      TW_UNARY(log), TW_UNARY(log2), TW_UNARY(log10), TW_UNARY(log1p),
      TW_UNARY(sin), TW_UNARY(cos), TW_UNARY(tan), TW_UNARY(asin), TW_UNARY(acos), TW_UNARY(atan),
      TW_UNARY(sinh), TW_UNARY(cosh), TW_UNARY(tanh), TW_UNARY(asinh), TW_UNARY(acosh), TW_UNARY(atanh),
      TW_UNARY(erf), TW_UNARY(erfc), TW_UNARY(tgamma), TW_UNARY(lgamma),
      TW_UNARY(sqrt), TW_UNARY(cbrt), TW_UNARY(fabs),
      TW_UNARY(floor), TW_UNARY(ceil), TW_UNARY(trunc), TW_UNARY(round), TW_UNARY(rint), TW_UNARY(nearbyint),
      TW_UNARY(roundeven),
      TW_BINARY(pow), TW_BINARY(atan2), TW_BINARY(hypot), TW_BINARY(fmod), TW_BINARY(remainder),
      TW_BINARY(fmin), TW_BINARY(fmax), TW_BINARY(fdim), TW_BINARY(copysign), TW_BINARY(nextafter),
      // clang-format on
      {"fma", reinterpret_cast<void *>(static_cast<double (*)(double, double, double)>(::fma))},
      {"fmaf", reinterpret_cast<void *>(static_cast<float (*)(float, float, float)>(::fmaf))},
      {"ldexp", reinterpret_cast<void *>(static_cast<double (*)(double, int)>(::ldexp))},
      {"ldexpf", reinterpret_cast<void *>(static_cast<float (*)(float, int)>(::ldexpf))},
      {"frexp", reinterpret_cast<void *>(static_cast<double (*)(double, int *)>(::frexp))},
      {"frexpf", reinterpret_cast<void *>(static_cast<float (*)(float, int *)>(::frexpf))},
      TW_FUNCTION(sincos),
      TW_FUNCTION(sincosf),
#if defined(__x86_64__)
      TW_FUNCTION(__extendhfsf2),
      TW_FUNCTION(__truncsfhf2),
      TW_FUNCTION(__truncdfhf2),
#endif
      TW_FUNCTION(__divti3),
      TW_FUNCTION(__modti3),
      TW_FUNCTION(__udivti3),
      TW_FUNCTION(__umodti3),
      TW_FUNCTION(__multi3),
  };
  return symbols;
}

} // namespace tw
