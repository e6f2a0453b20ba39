// httplib.hpp: cpp-httplib without variables of each thread; include it instead of <httplib.h>.
// Used inside connection/ only.
//
// It has 10 kB of them: a table of methods, other tables that are only read, and two random engines
// of functions that are not called here. Each of thousands of waiting threads would carry them,
// cleared and therefore resident. Here all threads share them, without a lock: a new version's must
// be looked at (docs/decisions/0006). Its TLS, which the server has no use for, is left out because
// it says `static thread_local`.
#pragma once

#if defined(__clang__)
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wkeyword-macro"
#endif
#undef CPPHTTPLIB_OPENSSL_SUPPORT
#define thread_local static
#if defined(__clang__)
#pragma clang diagnostic pop
#endif
#include <httplib.h>  // IWYU pragma: export
#undef thread_local
