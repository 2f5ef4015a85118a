#include "napi_util.h"

namespace tw {

void check(napi_env, napi_status status) {
  if (status == napi_ok) return;
  if (status == napi_pending_exception) throw PendingException{};
  throw Failure("native/argument", "Node-API call failed with status " + std::to_string(status));
}

bool viewBytes(napi_env env, napi_value value, Span *out) {
  bool is = false;
  void *data = nullptr;
  if (napi_is_typedarray(env, value, &is) == napi_ok && is) {
    napi_typedarray_type type;
    size_t length = 0;
    check(env, napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr));
    static const size_t kBytes[] = {1, 1, 1, 2, 2, 4, 4, 4, 8, 8, 8};
    const size_t element = static_cast<size_t>(type) < 11 ? kBytes[type] : 2; // Float16Array is newer
    *out = {static_cast<uint8_t *>(data), length * element};
    return true;
  }
  if (napi_is_arraybuffer(env, value, &is) == napi_ok && is) {
    check(env, napi_get_arraybuffer_info(env, value, &data, &out->length));
    out->bytes = static_cast<uint8_t *>(data);
    return true;
  }
  if (napi_is_dataview(env, value, &is) == napi_ok && is) {
    check(env, napi_get_dataview_info(env, value, &out->length, &data, nullptr, nullptr));
    out->bytes = static_cast<uint8_t *>(data);
    return true;
  }
  return false;
}

static Failure wrongArgument(size_t i, const char *expected) {
  return Failure("native/argument", "argument " + std::to_string(i + 1) + " must be " + expected);
}

static std::string stringOf(napi_env env, napi_value value) {
  size_t length = 0;
  check(env, napi_get_value_string_utf8(env, value, nullptr, 0, &length));
  std::string text(length + 1, '\0');
  check(env, napi_get_value_string_utf8(env, value, text.data(), length + 1, &length));
  text.resize(length);
  return text;
}

Args::Args(napi_env env_, napi_callback_info info) : env(env_) {
  check(env, napi_get_cb_info(env, info, &count, value, nullptr, nullptr));
}

bool Args::present(size_t i) const {
  napi_valuetype type = napi_undefined;
  if (i < kMax) check(env, napi_typeof(env, value[i], &type));
  return type != napi_undefined && type != napi_null;
}

std::string Args::string(size_t i) const {
  napi_valuetype type;
  check(env, napi_typeof(env, value[i], &type));
  if (type != napi_string) throw wrongArgument(i, "a string");
  return stringOf(env, value[i]);
}

std::string Args::text(size_t i) const {
  Span span;
  if (viewBytes(env, value[i], &span)) return std::string(reinterpret_cast<char *>(span.bytes), span.length);
  return string(i);
}

uint64_t Args::address(size_t i) const {
  uint64_t number = 0;
  bool lossless = false;
  if (napi_get_value_bigint_uint64(env, value[i], &number, &lossless) != napi_ok || !lossless)
    throw wrongArgument(i, "an address (bigint)");
  return number;
}

double Args::number(size_t i) const {
  double number = 0;
  if (napi_get_value_double(env, value[i], &number) != napi_ok) throw wrongArgument(i, "a number");
  return number;
}

Span Args::bytes(size_t i) const {
  Span span;
  if (!viewBytes(env, value[i], &span)) throw wrongArgument(i, "an ArrayBuffer or a view of one");
  return span;
}

void **Args::addresses(size_t i) const {
  napi_typedarray_type type;
  void *data = nullptr;
  if (napi_get_typedarray_info(env, value[i], &type, nullptr, &data, nullptr, nullptr) != napi_ok ||
      type != napi_biguint64_array)
    throw wrongArgument(i, "a BigUint64Array");
  return static_cast<void **>(data);
}

Options::Options(const Args &args, size_t i) : env_(args.env), object_(args.value[i]), present_(args.present(i)) {}

bool Options::get(const char *name, napi_value *out) const {
  if (!present_) return false;
  napi_valuetype type;
  check(env_, napi_get_named_property(env_, object_, name, out));
  check(env_, napi_typeof(env_, *out, &type));
  return type != napi_undefined && type != napi_null;
}

bool Options::has(const char *name) const {
  napi_value value;
  return get(name, &value);
}

static Failure wrongOption(const char *name, const char *expected) {
  return Failure("native/argument", std::string("option ") + name + " must be " + expected);
}

std::string Options::string(const char *name, const char *fallback) const {
  napi_value value;
  if (!get(name, &value)) return fallback;
  napi_valuetype type;
  check(env_, napi_typeof(env_, value, &type));
  if (type != napi_string) throw wrongOption(name, "a string");
  return stringOf(env_, value);
}

double Options::number(const char *name, double fallback) const {
  napi_value value;
  if (!get(name, &value)) return fallback;
  double number;
  if (napi_get_value_double(env_, value, &number) != napi_ok) throw wrongOption(name, "a number");
  return number;
}

bool Options::flag(const char *name, bool fallback) const {
  napi_value value;
  if (!get(name, &value)) return fallback;
  bool flag;
  if (napi_get_value_bool(env_, value, &flag) != napi_ok) throw wrongOption(name, "a boolean");
  return flag;
}

std::vector<int> Options::integers(const char *name) const {
  napi_value value;
  std::vector<int> numbers;
  if (!get(name, &value)) return numbers;
  uint32_t length = 0;
  if (napi_get_array_length(env_, value, &length) != napi_ok) throw wrongOption(name, "an array of integers");
  for (uint32_t i = 0; i < length; i++) {
    napi_value element;
    int32_t number;
    check(env_, napi_get_element(env_, value, i, &element));
    if (napi_get_value_int32(env_, element, &number) != napi_ok) throw wrongOption(name, "an array of integers");
    numbers.push_back(number);
  }
  return numbers;
}

napi_value makeString(napi_env env, std::string_view text) {
  napi_value value;
  check(env, napi_create_string_utf8(env, text.data(), text.size(), &value));
  return value;
}

napi_value makeNumber(napi_env env, double number) {
  napi_value value;
  check(env, napi_create_double(env, number, &value));
  return value;
}

napi_value makeAddress(napi_env env, const void *address) {
  napi_value value;
  check(env, napi_create_bigint_uint64(env, reinterpret_cast<uint64_t>(address), &value));
  return value;
}

static napi_value makeArray(napi_env env, napi_typedarray_type type, const void *bytes, size_t length, size_t element) {
  void *data = nullptr;
  napi_value buffer, array;
  check(env, napi_create_arraybuffer(env, length * element, &data, &buffer));
  if (length) __builtin_memcpy(data, bytes, length * element);
  check(env, napi_create_typedarray(env, type, length, buffer, 0, &array));
  return array;
}

napi_value makeBytes(napi_env env, const void *bytes, size_t length) {
  return makeArray(env, napi_uint8_array, bytes, length, 1);
}

napi_value makeDoubles(napi_env env, const std::vector<double> &numbers) {
  return makeArray(env, napi_float64_array, numbers.data(), numbers.size(), sizeof(double));
}

static napi_value call(napi_env env, napi_callback_info info) {
  try {
    void *function = nullptr;
    check(env, napi_get_cb_info(env, info, nullptr, nullptr, nullptr, &function));
    Args args(env, info);
    return reinterpret_cast<Function>(function)(args);
  } catch (const PendingException &) {
  } catch (const Failure &failure) {
    napi_throw_error(env, failure.code.c_str(), failure.what());
  } catch (const std::bad_alloc &) {
    napi_throw_error(env, "native/out-of-memory", "out of memory");
  } catch (const std::exception &error) {
    napi_throw_error(env, "native/internal", error.what());
  }
  return nullptr;
}

void define(napi_env env, napi_value exports, const char *name, Function function) {
  napi_value value;
  check(env, napi_create_function(env, name, NAPI_AUTO_LENGTH, call, reinterpret_cast<void *>(function), &value));
  check(env, napi_set_named_property(env, exports, name, value));
}

} // namespace tw
