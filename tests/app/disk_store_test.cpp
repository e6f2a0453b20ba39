#include "disk_store.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "app/folder.hpp"
#include "falproxy/openssl_codecs.hpp"

namespace falproxy::app {
namespace {

using testing::Folder;

namespace fs = std::filesystem;

const OpensslCodecs store_codecs;
const std::string dev_endpoint = "fal-ai/flux/dev";
const StoredDocument document{.text = "{\"a\": 1}\n\n",
                              .fetched = WallTime(Milliseconds(1'700'000'000'123))};

std::unique_ptr<DiskStore> open(const fs::path& path, std::string* log = nullptr) {
  auto store = DiskStore::create(path, store_codecs, [log](std::string_view line) {
    if (log != nullptr) log->append(line).append("\n");
  });
  REQUIRE(store.has_value());
  return std::move(store).value();
}

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

TEST_CASE("a document comes back as it was, also in another process's store") {
  const Folder folder;
  open(folder.path() / "made" / "for it")->save(dev_endpoint, document);
  const auto loaded = open(folder.path() / "made" / "for it")->load(dev_endpoint);
  REQUIRE(loaded.has_value());
  CHECK(loaded->text == document.text);
  CHECK(loaded->fetched == document.fetched);
  CHECK_FALSE(open(folder.path())->load("fal-ai/flux").has_value());
}

TEST_CASE("a file that is not whole is set aside, and said so") {
  const Folder folder;
  std::string log;
  const auto store = open(folder.path(), &log);
  store->save(dev_endpoint, document);
  const fs::path file = fs::directory_iterator(folder.path())->path();
  const std::string whole = read(file);
  const auto with = [&](const std::string& bytes) {
    std::ofstream(file, std::ios::binary) << bytes;
  };
  SUBCASE("cut off") { with(whole.substr(0, whole.size() - 1)); }
  SUBCASE("cut off in its first line") { with(whole.substr(0, 20)); }
  SUBCASE("empty") { with(""); }
  SUBCASE("a bit is wrong") {
    std::string wrong = whole;
    wrong.back() = ' ';
    with(wrong + "x");
  }
  SUBCASE("its time is another") {
    std::string later = whole;
    later.replace(later.find("1700"), 4, "9700");
    with(later);
  }
  SUBCASE("something else") { with("{\"openapi\":\"3.0.4\"}"); }
  SUBCASE("of another endpoint") {
    std::string other = whole;
    other.replace(other.find(dev_endpoint), dev_endpoint.size(), "fal-ai/flux/pro");
    with(other);
  }
  CHECK_FALSE(store->load(dev_endpoint).has_value());
  CHECK(log.find("set aside") != std::string::npos);
  CHECK_FALSE(fs::exists(file));
  CHECK(fs::exists(file.string() + ".broken"));
  store->save(dev_endpoint, document);
  CHECK(store->load(dev_endpoint).has_value());
}

TEST_CASE("what is no file is no document, and does no harm") {
  const Folder folder;
  const auto store = open(folder.path());
  store->save(dev_endpoint, document);
  const fs::path file = fs::directory_iterator(folder.path())->path();
  fs::remove(file);
  SUBCASE("a directory") { fs::create_directory(file); }
  SUBCASE("a pipe that nobody writes to") { CHECK(::mkfifo(file.c_str(), 0644) == 0); }
  SUBCASE("a link to nothing") { fs::create_symlink(folder.path() / "nothing", file); }
  CHECK_FALSE(store->load(dev_endpoint).has_value());
}

TEST_CASE("a directory that can only be read serves what it has") {
  const Folder folder;
  open(folder.path())->save(dev_endpoint, document);
  fs::permissions(folder.path(), fs::perms(0555));
  const uid_t user = ::geteuid();
  constexpr uid_t nobody = 65534;  // root may write anywhere
  if (user == 0) REQUIRE(::seteuid(nobody) == 0);
  std::string log;
  const auto store = DiskStore::create(folder.path(), store_codecs,
                                       [&](std::string_view line) { log.append(line); });
  REQUIRE(store.has_value());
  CHECK((*store)->load(dev_endpoint).has_value());
  CHECK(log.find("cannot be kept there") != std::string::npos);
  const std::size_t said = log.size();
  (*store)->save("fal-ai/flux/pro", document);
  CHECK_FALSE((*store)->load("fal-ai/flux/pro").has_value());
  CHECK(log.size() == said);
  if (user == 0) REQUIRE(::seteuid(user) == 0);
}

TEST_CASE("a save leaves nothing else behind") {
  const Folder folder;
  const auto store = open(folder.path());
  for (int i = 0; i < 5; ++i) store->save(dev_endpoint, document);
  CHECK(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()) == 1);
}

TEST_CASE("many writers and readers never see half a file") {
  const Folder folder;
  const auto one = open(folder.path());
  const auto two = open(folder.path());
  one->save(dev_endpoint, document);
  std::atomic<int> missing{0};
  std::vector<std::thread> threads;
  for (DiskStore* store : {one.get(), two.get()}) {
    threads.emplace_back([store] {
      for (int i = 0; i < 50; ++i)
        store->save(dev_endpoint,
                    {.text = std::string(static_cast<std::size_t>(i) * 1000, 'x'), .fetched = {}});
    });
    threads.emplace_back([store, &missing] {
      for (int i = 0; i < 50; ++i) missing += store->load(dev_endpoint).has_value() ? 0 : 1;
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(missing == 0);
}

TEST_CASE("a place that cannot be written to is an error that names it") {
  const Folder folder;
  std::ofstream(folder.path() / "file") << "x";
  const auto store =
      DiskStore::create(folder.path() / "file" / "below", store_codecs, [](std::string_view) {});
  REQUIRE_FALSE(store.has_value());
  CHECK(store.error().field == "SCHEMA_CACHE_DIR");
  CHECK(store.error().message.find("below") != std::string::npos);
}

TEST_CASE("a disk that fails later is a line in the log, not a fault") {
  const Folder folder;
  std::string log;
  const auto store = open(folder.path(), &log);
  fs::remove_all(folder.path());
  store->save(dev_endpoint, document);
  CHECK(log.find("cannot be written") != std::string::npos);
  CHECK_FALSE(store->load(dev_endpoint).has_value());
}

TEST_CASE("where the cache is") {
  const Environment home = {{"HOME", "/home/a"}};
  const Environment xdg = {{"HOME", "/home/a"}, {"XDG_CACHE_HOME", "/xdg"}};
  const Environment relative = {{"HOME", "/home/a"}, {"XDG_CACHE_HOME", "relative"}};
  CHECK_FALSE(cache_directory("none", xdg).has_value());
  CHECK(cache_directory("/own", xdg) == fs::path("/own"));
  CHECK(cache_directory(std::nullopt, xdg) == fs::path("/xdg/falproxy"));
  CHECK(cache_directory(std::nullopt, relative) == fs::path("/home/a/.cache/falproxy"));
  CHECK(cache_directory(std::nullopt, home) == fs::path("/home/a/.cache/falproxy"));
  CHECK_FALSE(cache_directory(std::nullopt, {}).has_value());
}

}  // namespace
}  // namespace falproxy::app
