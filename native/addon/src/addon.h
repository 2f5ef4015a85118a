// What the files of the add-on share.
#pragma once

#include "napi_util.h"

#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>

struct tw_runtime;

namespace tw {

struct Jit;

// What one environment (main thread or worker thread) owns; torn down by its cleanup hook.
struct EnvironmentState {
  std::unordered_map<uint32_t, std::unique_ptr<Jit>> jits;
  uint32_t nextJit = 1;
  std::unordered_set<tw_runtime *> pools;
  EnvironmentState();
  ~EnvironmentState();
};

EnvironmentState &environment(napi_env env);

// Registers LLVM's targets, once per process.
void initializeLlvm();
// Gives back, once, the pages of our code and constants that are in memory: LLVM's 450 static constructors touch pages
// all over them, and the kernel maps those around, 20 MB that are not needed again. What is needed comes again from
// the page cache.
void releaseCodePages();
// Takes ownership of an LLVM-C message.
std::string takeMessage(char *message);

void defineCompile(napi_env env, napi_value exports);
void defineJit(napi_env env, napi_value exports);
void defineMemory(napi_env env, napi_value exports);
void definePool(napi_env env, napi_value exports);
void defineInvoke(napi_env env, napi_value exports);
void defineTiming(napi_env env, napi_value exports);
void defineInstruments(napi_env env, napi_value exports);

} // namespace tw
