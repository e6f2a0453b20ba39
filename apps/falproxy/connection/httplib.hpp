// httplib.hpp: cpp-httplib without variables of each thread and without TLS, which is not the
// front's work; include it instead of <httplib.h>. Used inside connection/ only.
//
// It has 10 kB of them: a table of methods, other tables that are only read, and two random engines
// of functions that are not called here. Each of thousands of waiting threads would carry them,
// cleared and therefore resident. Here all threads share them.
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
