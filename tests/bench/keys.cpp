// How long it takes to know an access key, of a few and of ten thousand. Usage: bench_keys
#include <fmt/format.h>

#include <chrono>
#include <iostream>
#include <string>

#include "access.hpp"
#include "falproxy/openssl_codecs.hpp"

namespace {

using namespace falproxy;

std::string key_of(int number) { return fmt::format("a-key-of-somebody-{:06}", number); }

// Of one look, in microseconds. The key that is looked for is one of them, or none.
double look_at(const app::AccessBook& book, int keys, bool is_known) {
  constexpr int looks = 100'000;
  int found = 0;
  const WallTime now = std::chrono::system_clock::now();
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < looks; ++i) {
    const std::string key = key_of(is_known ? i % keys : 900'000 + i % keys);
    const std::string value = "Bearer " + key;
    serving::RequestHead head;
    head.fields.push_back({"Authorization", value});
    found += book.check(head, now) ? 1 : 0;
  }
  const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - start;
  if (found != (is_known ? looks : 0)) std::cerr << "wrong\n";
  return took.count() / looks;
}

}  // namespace

int main() {
  const OpensslCodecs codecs;
  for (const int keys : {2, 100, 10'000}) {
    Settings settings;
    for (int i = 0; i < keys; ++i)
      settings.keys.push_back({.name = fmt::format("team-{}", i), .key = Secret(key_of(i))});
    const app::AccessBook book(settings, codecs);
    std::cout << fmt::format("{:6} keys: {:.2f} us for one that is known, {:.2f} us for another\n",
                             keys, look_at(book, keys, true), look_at(book, keys, false));
  }
}
