#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdio>

#ifdef __SANITIZE_THREAD__
// OpenSSL is not instrumented: ThreadSanitizer sees the memory that it frees, but not the reference
// counts by which it knows that it may.
extern "C" const char* __tsan_default_suppressions() {
  return "called_from_lib:libcrypto.so\ncalled_from_lib:libssl.so\n";
}
#endif

int main(int argc, char** argv) {
  // Line by line: of a room that hangs, the case is told.
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);
  return doctest::Context(argc, argv).run();
}
