// httplib.hpp: cpp-httplib without variables of each thread; include it instead of <httplib.h>.
// Used inside connection/ only.
//
// It has 10 kB of them: two random engines and some tables, for functions that are not called here,
// and a table of methods. Each of thousands of waiting threads would carry them, cleared and
// therefore resident. Here they are locals of their functions.
#pragma once

#if defined(__clang__)
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wkeyword-macro"
#endif
#define thread_local
#if defined(__clang__)
#pragma clang diagnostic pop
#endif
#include <httplib.h>  // IWYU pragma: export
#undef thread_local
