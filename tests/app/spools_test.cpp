// Long files of forms, on the disk until fal has them.
#include "spools.hpp"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

#include "falproxy/executor.hpp"
#include "falproxy/plain_codecs.hpp"
#include "folder.hpp"

namespace falproxy::app {
namespace {

std::string long_text(std::size_t size) {
  std::string text;
  while (text.size() < size) text += std::to_string(text.size());
  return text;
}

}  // namespace

TEST_CASE("a file that is put away has no name, its own digest, and goes with its last owner") {
  const testing::Folder folder;
  InlineExecutor executor;
  Spools spools(std::filesystem::path(folder.path()), executor, 10'000'000);
  const std::string text = long_text(1'000'000);
  std::unique_ptr<Spool> spool = spools.begin();
  REQUIRE(spool != nullptr);
  for (std::size_t at = 0; at < text.size(); at += 70'001)
    CHECK(spool->append(std::string_view(text).substr(at, 70'001)).has_value());
  CHECK(std::filesystem::is_empty(folder.path()));
  auto source = spool->finish();
  REQUIRE(source.has_value());
  spool.reset();
  CHECK((*source)->size() == text.size());
  CHECK((*source)->sha256() == PlainCodecs().sha256(text));
  CHECK((*source)->read(0, SIZE_MAX / 2) == text);
  CHECK((*source)->read(999'000, 500) == text.substr(999'000, 500));
  CHECK((*source)->read(text.size(), 10).empty());
  CHECK(spools.used() == text.size());
  source->reset();
  CHECK(spools.used() == 0);
}

TEST_CASE("all files together have a bound, and what ends gives its room back") {
  const testing::Folder folder;
  InlineExecutor executor;
  Spools spools(std::filesystem::path(folder.path()), executor, 1'000'000);
  const std::string text(600'000, 'a');
  std::unique_ptr<Spool> first = spools.begin();
  std::unique_ptr<Spool> second = spools.begin();
  CHECK(first->append(text).has_value());
  const Result<Done> refused = second->append(text);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().kind == ErrorKind::overloaded);
  first.reset();
  CHECK(second->append(text).has_value());
  spools.set_limit(100);
  CHECK_FALSE(second->append("more").has_value());
}

TEST_CASE("what is kept back of the disk is not filled, and a minute has one line of it") {
  const testing::Folder folder;
  InlineExecutor executor;
  std::uint64_t free = 1'000;
  std::vector<std::string> lines;
  Spools spools(
      std::filesystem::path(folder.path()), executor, 1'000'000,
      [&](LogLevel, std::string_view text) { lines.emplace_back(text); },
      [&](int) { return free; });
  const std::unique_ptr<Spool> spool = spools.begin();
  REQUIRE(spool != nullptr);
  CHECK(spool->append(std::string(1'000, 'a')).has_value());
  free = 999;
  const Result<Done> refused = spool->append(std::string(1'000, 'a'));
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().kind == ErrorKind::overloaded);
  CHECK(refused.error().message.find("on its disk") != std::string::npos);
  free = 0;
  CHECK(spools.begin() == nullptr);
  CHECK(lines ==
        std::vector<std::string>{
            "STATE_DIR: an upload cannot be put there: the disk is full but for its reserve"});
}

TEST_CASE("without a folder that can be written there is no place") {
  InlineExecutor executor;
  CHECK(Spools(std::nullopt, executor, 1'000'000).begin() == nullptr);
  CHECK(Spools("/proc/falproxy-none", executor, 1'000'000).begin() == nullptr);
}

}  // namespace falproxy::app
