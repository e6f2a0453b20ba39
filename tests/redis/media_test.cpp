// What is known of kept files, in Redis.
#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "shared.hpp"

using namespace falproxy;
using tests::Answer;
using tests::RedisServer;

namespace {

MediaRecord file(unsigned number, const std::string& owner, MediaState state = MediaState::kept) {
  return {.id = tests::run_id(number),
          .state = state,
          .owner = owner,
          .created = tests::at(static_cast<int>(number)),
          .expires = tests::at(static_cast<int>(number) + 100),
          .size = number};
}

void note(MediaIndex& index, std::vector<MediaRecord> records) {
  const Answer<Done> answer;
  index.note(std::move(records), no_deadline, answer.callback());
  REQUIRE(answer.wait().has_value());
}

std::vector<MediaRecord> files(MediaIndex& index, const MediaQuery& query) {
  const Answer<std::vector<MediaRecord>> answer;
  index.look_up(query, no_deadline, answer.callback());
  return answer.wait().value();
}

std::string sizes(MediaIndex& index, const MediaQuery& query) {
  std::string text;
  for (const MediaRecord& record : files(index, query))
    text += (text.empty() ? "" : " ") + std::to_string(record.size);
  return text;
}

}  // namespace

TEST_CASE("a record of a kept file comes back from Redis as it was noted") {
  if (!RedisServer::is_there()) return;
  const RedisServer server;
  const auto store = tests::opened(tests::options_for(server));
  MediaRecord whole = file(1, "ann", MediaState::waiting);
  whole.expires = WallTime::max();
  whole.content_type = "image/png";
  whole.extension = "png";
  whole.model = "flux";
  whole.request_id = "req:1";
  whole.fal_request_id = "764cabcf";
  whole.run = tests::run_id(9);
  whole.source = "https://v3.fal.media/files/a/b.png";
  whole.cost = Usd{25};
  whole.prompt = "";
  note(*store, {whole, file(2, "bob")});
  const MediaQuery by_id{.id = whole.id};
  CHECK(files(*store, by_id) == std::vector<MediaRecord>{whole});
  MediaRecord other = whole;
  other.model = "another";
  note(*store, {other});
  CHECK(files(*store, by_id) == std::vector<MediaRecord>{whole});
  CHECK(files(*store, {.id = whole.id, .owner = "bob"}).empty());

  whole.state = MediaState::kept;
  whole.size = 77;
  whole.content_type = "image/webp";
  const Answer<Done> changed;
  store->change(whole, no_deadline, changed.callback());
  CHECK(changed.wait().has_value());
  CHECK(files(*store, by_id) == std::vector<MediaRecord>{whole});
}

TEST_CASE("kept files are listed, summed and forgotten in Redis as in a file") {
  if (!RedisServer::is_there()) return;
  const RedisServer server;
  const auto store = tests::opened(tests::options_for(server));
  note(*store, {file(1, "ann"), file(2, "ann", MediaState::waiting), file(3, "bob")});
  note(*store, {file(4, "ann"), file(5, "ann", MediaState::lost)});
  using By = MediaQuery::By;
  CHECK(sizes(*store, {.by = By::owner, .owner = "ann", .limit = 10}) == "5 4 2 1");
  CHECK(sizes(*store, {.by = By::owner, .owner = "ann", .after = tests::run_id(4), .limit = 10}) ==
        "2 1");
  CHECK(sizes(*store, {.by = By::owner, .owner = "ann", .limit = 1}) == "5");
  CHECK(sizes(*store, {.by = By::oldest, .limit = 10}) == "1 3 4");
  CHECK(sizes(*store, {.by = By::oldest, .owner = "bob", .limit = 10}) == "3");
  CHECK(sizes(*store, {.by = By::waiting, .limit = 10}) == "2");
  CHECK(sizes(*store, {.by = By::expired, .now = tests::at(101), .limit = 10}) == "1");
  const auto totals = [&] {
    const Answer<std::vector<MediaTotal>> answer;
    store->totals(no_deadline, answer.callback());
    return answer.wait().value();
  };
  CHECK(totals() == std::vector<MediaTotal>{{"ann", 2, 5}, {"bob", 1, 3}});
  for (const unsigned gone : {3U, 4U, 99U}) {
    const Answer<Done> forgotten;
    store->forget(tests::run_id(gone), no_deadline, forgotten.callback());
    CHECK(forgotten.wait().has_value());
  }
  CHECK(totals() == std::vector<MediaTotal>{{"ann", 1, 1}});
  CHECK(sizes(*store, {.by = By::oldest, .limit = 10}) == "1");
  CHECK(sizes(*store, {.by = By::owner, .owner = "bob", .limit = 10}) == "");
}

TEST_CASE("what was deleted stays so in Redis: it is not listed, counted or changed") {
  if (!RedisServer::is_there()) return;
  const RedisServer server;
  const auto store = tests::opened(tests::options_for(server));
  MediaRecord deleted = file(1, "ann", MediaState::deleted);
  deleted.size = 0;
  note(*store, {deleted, file(2, "ann")});
  MediaRecord again = deleted;
  again.state = MediaState::kept;
  again.size = 7;
  note(*store, {again});
  const Answer<Done> changed;
  store->change(again, no_deadline, changed.callback());
  CHECK(changed.wait().has_value());
  CHECK(files(*store, {.id = deleted.id}) == std::vector<MediaRecord>{deleted});
  using By = MediaQuery::By;
  CHECK(sizes(*store, {.by = By::owner, .owner = "ann", .limit = 10}) == "2");
  CHECK(sizes(*store, {.by = By::oldest, .limit = 10}) == "2");
  CHECK(sizes(*store, {.by = By::waiting, .limit = 10}) == "");
  CHECK(sizes(*store, {.by = By::expired, .now = tests::at(101), .limit = 10}) == "0");
  const Answer<std::vector<MediaTotal>> totals;
  store->totals(no_deadline, totals.callback());
  CHECK(totals.wait().value() == std::vector<MediaTotal>{{"ann", 1, 2}});
}
