// sanitizers.hpp: which of them this is built with.
#pragma once

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#define FALPROXY_ADDRESS_SANITIZER
#elif defined(__SANITIZE_THREAD__)
#define FALPROXY_THREAD_SANITIZER
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FALPROXY_ADDRESS_SANITIZER
#elif __has_feature(thread_sanitizer)
#define FALPROXY_THREAD_SANITIZER
#endif
#endif

namespace falproxy::app {

/// Their frames are several times as large.
#if defined(FALPROXY_ADDRESS_SANITIZER) || defined(FALPROXY_THREAD_SANITIZER)
inline constexpr std::size_t stack_factor = 8;
#else
inline constexpr std::size_t stack_factor = 1;
#endif

}  // namespace falproxy::app
