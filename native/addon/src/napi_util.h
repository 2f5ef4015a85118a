// Thin layer over Node-API: typed arguments, and C++ exceptions that become JavaScript ones.
#pragma once

#ifndef NAPI_VERSION
#define NAPI_VERSION 8
#endif
#include <node_api.h>

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace tw {

// Becomes a JavaScript Error whose `code` is `code`.
struct Failure : std::runtime_error {
  Failure(std::string code_, const std::string &message) : std::runtime_error(message), code(std::move(code_)) {}
  std::string code;
};

// Thrown when a Node-API call failed and a JavaScript exception may be pending.
struct PendingException {};

struct Span {
  uint8_t *bytes = nullptr;
  size_t length = 0;
};

void check(napi_env env, napi_status status);

// The bytes of an ArrayBuffer, TypedArray or DataView.
bool viewBytes(napi_env env, napi_value value, Span *out);

// The arguments of one call from JavaScript.
class Args {
public:
  static constexpr size_t kMax = 8;
  Args(napi_env env, napi_callback_info info);

  napi_env env;
  size_t count = kMax;
  napi_value value[kMax];

  bool present(size_t i) const;
  std::string string(size_t i) const;
  // A string, or bytes taken as UTF-8.
  std::string text(size_t i) const;
  uint64_t address(size_t i) const;
  template <typename T> T *pointer(size_t i) const { return reinterpret_cast<T *>(address(i)); }
  double number(size_t i) const;
  Span bytes(size_t i) const;
  // A BigUint64Array of addresses.
  void **addresses(size_t i) const;
};

// Properties of an options object; absent ones and a missing object give the fallback.
class Options {
public:
  Options(const Args &args, size_t i);
  bool has(const char *name) const;
  std::string string(const char *name, const char *fallback) const;
  double number(const char *name, double fallback) const;
  bool flag(const char *name, bool fallback) const;
  std::vector<int> integers(const char *name) const;

private:
  bool get(const char *name, napi_value *out) const;
  napi_env env_;
  napi_value object_;
  bool present_;
};

napi_value makeString(napi_env env, std::string_view text);
napi_value makeNumber(napi_env env, double number);
napi_value makeAddress(napi_env env, const void *address);
// A Uint8Array with a copy of the bytes.
napi_value makeBytes(napi_env env, const void *bytes, size_t length);
napi_value makeDoubles(napi_env env, const std::vector<double> &numbers);

using Function = napi_value (*)(Args &);
// Defines exports[name].
void define(napi_env env, napi_value exports, const char *name, Function function);

} // namespace tw
