// What keeps files, over an index and a store that fail when they are told to, in virtual time.
#include "media_store/media_keeper.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "falproxy/openssl_codecs.hpp"
#include "media_store/media_names.hpp"
#include "runs/scripted_fal.hpp"
#include "serving/flag.hpp"

namespace falproxy::app {
namespace {

class FailingIndex final : public MediaIndex {
 public:
  std::atomic<bool> fails{false}, forgets_nothing{false};
  std::atomic<int> refused{0};
  std::function<void()> forgotten;  // called after a record is forgotten

  // What another process has deleted.
  void delete_there(const RunId& id) {
    forget(id, no_deadline, [](const Result<Done, StoreError>&) {});
    note({{.id = id, .state = MediaState::deleted, .extension = "png"}}, no_deadline,
         [](const Result<Done, StoreError>&) {});
  }
  [[nodiscard]] std::vector<MediaRecord> records() const {
    const std::lock_guard lock(mutex_);
    return records_;
  }
  void note(std::vector<MediaRecord> records, TimePoint, Callback<Done> done) override {
    if (fails) {
      ++refused;
      return done(StoreError{.message = "no room"});
    }
    {
      const std::lock_guard lock(mutex_);
      for (MediaRecord& record : records) {
        if (std::ranges::find(records_, record.id, &MediaRecord::id) == records_.end())
          records_.push_back(std::move(record));
      }
    }
    done(Done{});
  }
  void change(const MediaRecord& record, TimePoint, Callback<Done> done) override {
    {
      const std::lock_guard lock(mutex_);
      for (MediaRecord& known : records_) {
        if (known.id == record.id && known.state != MediaState::deleted) known = record;
      }
    }
    done(Done{});
  }
  void forget(const RunId& id, TimePoint, Callback<Done> done) override {
    if (forgets_nothing) return done(StoreError{.message = "too late"});
    {
      const std::lock_guard lock(mutex_);
      std::erase_if(records_, [&](const MediaRecord& record) { return record.id == id; });
    }
    if (const auto call = std::exchange(forgotten, {})) call();
    done(Done{});
  }
  void look_up(const MediaQuery& query, TimePoint,
               Callback<std::vector<MediaRecord>> done) override {
    std::vector<MediaRecord> found;
    if (query.by == MediaQuery::By::id) {
      for (const MediaRecord& record : records()) {
        if (record.id == query.id) found.push_back(record);
      }
    }
    done(std::move(found));
  }
  void totals(TimePoint, Callback<std::vector<MediaTotal>> done) override {
    done(std::vector<MediaTotal>());
  }

 private:
  mutable std::mutex mutex_;
  std::vector<MediaRecord> records_;
};

class FailingStore final : public MediaStore {
 public:
  std::atomic<bool> fails{false};
  std::atomic<int> begun{0};
  std::function<void(const std::string& name)> writing;  // called before a file is there

  [[nodiscard]] std::set<std::string> files() const {
    const std::lock_guard lock(mutex_);
    return files_;
  }
  Result<std::unique_ptr<MediaWriter>> begin(const std::string& name, const StoreWait&) override {
    struct Writer final : MediaWriter {
      Writer(FailingStore& to, std::string file) : store(to), name(std::move(file)) {}
      Result<Done> write(std::string_view) override { return Done{}; }
      Result<Done> finish(const std::string&) override {
        if (store.writing) store.writing(name);
        const std::lock_guard lock(store.mutex_);
        store.files_.insert(name);
        return Done{};
      }
      FailingStore& store;
      const std::string name;
    };
    ++begun;
    if (fails) return Error{.kind = ErrorKind::internal, .message = "the disk is full"};
    return std::unique_ptr<MediaWriter>(std::make_unique<Writer>(*this, name));
  }
  std::unique_ptr<MediaReader> open(const std::string&) override { return nullptr; }
  std::optional<std::string> link(const std::string&, std::string_view, Seconds) const override {
    return std::nullopt;
  }
  Result<Done> remove(const std::string& name, const StoreWait&) override {
    const std::lock_guard lock(mutex_);
    files_.erase(name);
    return Done{};
  }
  Result<Done> probe(const StoreWait&) override {
    if (fails) return Error{.kind = ErrorKind::internal, .message = "the disk is full"};
    return Done{};
  }
  std::string place() const override { return "nowhere"; }

 private:
  mutable std::mutex mutex_;
  std::set<std::string> files_;
};

struct KeeperWorld {
  KeeperWorld() {
    keeper = std::make_unique<MediaKeeper>(
        MediaKeeper::Parts{
            .runner = fal.runner,
            .clock = fal.clock,
            .codecs = codecs,
            .executor = executor,
            .background = background,
            .index = &index,
            .texts = texts,
            .log = [](LogLevel, std::string_view) {},
            .quota_of = [](const std::string&) { return std::optional<std::uint64_t>(); },
            .forget_at_fal = {},
            .make_store = [this] { return Result<std::shared_ptr<MediaStore>>(store); }},
        MediaPlace{});
    thread = std::jthread([this](const std::stop_token& stop) { keeper->run(stop); });
    REQUIRE(test::eventually([&] { return keeper->links() != nullptr; }));
    REQUIRE(test::eventually([&] { return keeper->store() != nullptr; }));
  }

  std::vector<Product> keep(std::vector<Product> products) {
    notes.clear();
    keeper->keep(products, {.client = "ann", .origin = "http://host"}, notes);
    return products;
  }
  static Product data(const std::string& base64) {
    return {.content = Body("data:image/png;base64," + base64), .is_address = true};
  }

  testing::GatewayWorld fal;
  OpensslCodecs codecs;
  InlineExecutor executor;
  Background background;
  FailingIndex index;
  MemorySpending texts;
  std::shared_ptr<FailingStore> store = std::make_shared<FailingStore>();
  std::vector<plan::Note> notes;
  std::unique_ptr<MediaKeeper> keeper;
  std::jthread thread;
};

}  // namespace

TEST_CASE("what could not be noted is noted once the index works again") {
  KeeperWorld world;
  world.index.fails = true;
  const auto shown = world.keep({KeeperWorld::data("AAAA")});
  REQUIRE(shown.front().content.str().starts_with("http://host/media/"));
  REQUIRE(test::eventually([&] { return world.index.refused > 1; }));
  CHECK_FALSE(world.keeper->status().trouble.empty());
  world.index.fails = false;
  REQUIRE(test::eventually([&] { return world.index.records().size() == 1; }));
  REQUIRE(test::eventually([&] { return world.keeper->status().trouble.empty(); }));
  CHECK(world.index.records().front().state == MediaState::kept);
}

TEST_CASE("the same file in two answers is put into the store once") {
  KeeperWorld world;
  const auto first = world.keep({KeeperWorld::data("AAAA")});
  const auto again = world.keep({KeeperWorld::data("AAAA")});
  CHECK(again.front().content.str() == first.front().content.str());
  CHECK(world.store->begun == 1);
  CHECK(world.index.records().size() == 1);
}

TEST_CASE("of many files in one answer only the first waits for a store that fails") {
  KeeperWorld world;
  world.store->fails = true;
  static_cast<void>(world.keep(
      {KeeperWorld::data("AAAA"), KeeperWorld::data("AAAB"), KeeperWorld::data("AAAC")}));
  CHECK(world.store->begun == 1);
  REQUIRE(world.notes.size() == 1);
  CHECK(world.notes.front().text.find("cannot keep files") != std::string::npos);
}

TEST_CASE("a file that another process deletes while it is put does not stay, nor count") {
  KeeperWorld world;
  world.store->writing = [&](const std::string& name) {
    world.index.delete_there(*RunId::parse(name.substr(0, name.find('.'))));
  };
  const auto shown = world.keep({KeeperWorld::data("AAAA")});
  REQUIRE(shown.front().content.str().starts_with("http://host/media/"));
  CHECK(test::eventually([&] { return world.store->files().empty(); }));
  CHECK(world.keeper->status().files == 0);
  CHECK(world.keeper->status().bytes == 0);
  CHECK_FALSE(world.keeper->find(world.index.records().front().id)->has_value());

  world.store->writing = {};
  static_cast<void>(world.keep({KeeperWorld::data("AAAA")}));  // made anew
  CHECK(world.index.records().front().state == MediaState::kept);
  CHECK(world.store->files().size() == 1);
}

TEST_CASE("a deletion that the index has not taken is not said to be done") {
  KeeperWorld world;
  static_cast<void>(world.keep({KeeperWorld::data("AAAA")}));
  const MediaRecord record = world.index.records().front();
  world.index.forgets_nothing = true;
  const Result<Done> removed = world.keeper->remove(record);
  REQUIRE_FALSE(removed.has_value());
  CHECK(removed.error().kind == ErrorKind::overloaded);
  world.index.forgets_nothing = false;
  CHECK(world.keeper->remove(record).has_value());
  REQUIRE(world.index.records().size() == 1);
  CHECK(world.index.records().front().state == MediaState::deleted);
}

TEST_CASE(
    "a file that another process notes in the middle of its deletion is deleted all the same") {
  KeeperWorld world;
  static_cast<void>(world.keep({KeeperWorld::data("AAAA")}));
  const MediaRecord record = world.index.records().front();
  world.index.forgotten = [&] {
    world.index.note({record}, no_deadline, [](const Result<Done, StoreError>&) {});
  };
  CHECK(world.keeper->remove(record).has_value());
  REQUIRE(world.index.records().size() == 1);
  CHECK(world.index.records().front().state == MediaState::deleted);
}

TEST_CASE("a file that comes into the store while it is deleted does not stay there") {
  KeeperWorld world;
  static_cast<void>(world.keep({KeeperWorld::data("AAAA")}));
  MediaRecord record = world.index.records().front();
  const std::string name = *world.store->files().begin();
  record.state = MediaState::waiting;  // as who deletes it has read
  world.index.forgotten = [&] { static_cast<void>((*world.store->begin(name, {}))->finish("")); };
  CHECK(world.keeper->remove(record).has_value());
  CHECK(world.store->files().empty());
}

TEST_CASE("a type of a file is one, in small letters, or none") {
  const auto type = [](std::string said, const std::string& address) {
    return type_of_product({.content = Body(address), .content_type = std::move(said)});
  };
  CHECK(type("Image/SVG+XML; charset=utf-8", "https://a/b") == "image/svg+xml");
  CHECK(type("text/html\r\nSet-Cookie: a=b", "https://a/b") == "");
  CHECK(type("nothing", "https://a/b.png") == "image/png");
  CHECK(type("", "data:TEXT/HTML,<p>") == "text/html");
  CHECK(type("", "data:a/b\r\nc;base64,AAAA") == "");
  CHECK(is_active("IMAGE/SVG+XML"));
}

}  // namespace falproxy::app
