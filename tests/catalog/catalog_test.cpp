#include "falproxy/catalog.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <new>
#include <stdexcept>
#include <utility>

#include "catalog/freshness.hpp"
#include "catalog_models.hpp"
#include "falproxy/test_doubles.hpp"
#include "support/model_documents.hpp"

namespace falproxy {
namespace {

using namespace std::chrono_literals;
using testing::answer;
using testing::model_document;
using testing::Script;

// Keeps documents in memory, as the server's disk store does on disk.
class MemoryStore final : public DocumentStore {
 public:
  std::optional<StoredDocument> load(const std::string& endpoint) override {
    const std::lock_guard lock(mutex);
    if (std::exchange(throws_at_load, false)) throw std::runtime_error("the disk is gone");
    const auto found = documents.find(endpoint);
    if (found == documents.end()) return std::nullopt;
    return found->second;
  }
  void save(const std::string& endpoint, const StoredDocument& document) override {
    const std::lock_guard lock(mutex);
    if (std::exchange(throws_at_save, false)) throw std::runtime_error("the disk is full");
    documents[endpoint] = document;
  }
  std::mutex mutex;
  std::map<std::string, StoredDocument> documents;
  bool throws_at_load = false, throws_at_save = false;  // once
};

// A catalogue over a scripted document host, in virtual time.
struct World {
  explicit World(std::vector<CatalogModel> models, Catalog::Options options = {},
                 std::map<std::string, std::string> pinned = {})
      : transport(clock, [this](const HttpRequest& request) { return serve(request); }),
        catalog({transport, clock, executor, &store, [] { return 0.5; },
                 [this](LogLevel level, std::string_view line) {
                   constexpr std::array names = {"debug ", "info ", "warning ", "error "};
                   log.push_back(names[static_cast<std::size_t>(level)] + std::string(line));
                 }},
                options, std::move(models), std::move(pinned)) {}

  Result<std::shared_ptr<const profile::Profile>> profile(std::string_view endpoint,
                                                          std::string_view name = "flux") {
    return catalog.profile(id(endpoint), name, clock.now() + 60s, {});
  }
  TimePoint refresh() { return catalog.refresh_due(clock.now(), {}); }
  /// Calls refresh_due as an owner's timer does, for `time`.
  void run_for(std::chrono::seconds time) {
    const TimePoint end = clock.now() + time;
    while (clock.now() < end) clock.move_to(std::min(refresh(), end));
  }
  [[nodiscard]] bool logged(std::string_view part) const {
    return std::ranges::any_of(
        log, [&](const std::string& line) { return line.find(part) != std::string::npos; });
  }

  std::function<Script(const HttpRequest&)> serve = [](const HttpRequest& request) {
    return answer(200, model_document(endpoint_of(request)));
  };
  testing::VirtualClock clock;
  InlineExecutor executor;
  MemoryStore store;
  std::vector<std::string> log;
  testing::ScriptedTransport transport;
  Catalog catalog;
};

}  // namespace

TEST_CASE("a document is fetched once and served from memory") {
  World world({model("flux", flux)});
  CHECK(world.catalog.cached(id(flux), "flux") == nullptr);
  const auto first = world.profile(flux);
  REQUIRE(first);
  CHECK((*first)->schema->endpoint == flux);
  CHECK(world.transport.requests() ==
        std::vector<std::string>{
            "GET https://fal.ai/api/openapi/queue/openapi.json?endpoint_id=fal-ai/flux/dev"});
  const auto second = world.profile(flux);
  REQUIRE(second);
  CHECK(*first == *second);
  CHECK(world.catalog.cached(id(flux), "flux") == *first);
  CHECK(world.transport.requests().size() == 1);
}

TEST_CASE("refresh_due fetches everything that is missing, edit endpoints included") {
  CatalogModel nano = model("nano", "fal-ai/nano-banana-pro");
  nano.edit_endpoint = id("fal-ai/nano-banana-pro/edit");
  World world({model("flux", flux), nano, model("flux-too", flux)});
  world.refresh();
  CHECK(world.transport.requests().size() == 3);
  for (const DocumentStatus& status : world.catalog.status()) {
    CAPTURE(status.endpoint);
    CHECK(status.available);
    CHECK(status.fault.empty());
    CHECK(status.fetched.has_value());
  }
  world.refresh();
  CHECK(world.transport.requests().size() == 3);
}

TEST_CASE("models are found by name, and an unknown one says what there is") {
  World world({model("flux", flux), model("sdxl", "fal-ai/fast-sdxl")});
  REQUIRE(world.catalog.find("sdxl"));
  CHECK(world.catalog.find("sdxl")->endpoint.str() == "fal-ai/fast-sdxl");
  const auto unknown = world.catalog.find("flux2");
  REQUIRE_FALSE(unknown);
  CHECK(unknown.error().kind == ErrorKind::unknown_model);
  CHECK(unknown.error().field == "model");
  CHECK(unknown.error().message == "The model 'flux2' does not exist. Configured: flux, sdxl.");
  CHECK(world.catalog.models().size() == 2);
  CHECK_FALSE(world.catalog.find("fal-ai/other"));
}

TEST_CASE("a document that cannot be had makes its model unavailable, for a reason that is named") {
  struct Row {
    const char* name;
    Script script;
    const char* reason;
  };
  const std::string document = model_document(flux);
  const std::vector<Row> rows = {
      {"unreachable", testing::broken(TransportFault::unreachable), "cannot be reached"},
      {"broken off", testing::broken(TransportFault::interrupted), "broke while it was fetched"},
      {"silent", {.silent = true}, "took too long"},
      {"404", answer(404, R"({"error":"x"})"), "no document for it (404)"},
      {"500", answer(500, ""), "answered 500"},
      {"redirect", answer(302, "", {{"Location", "https://evil.example/"}}),
       "redirects elsewhere (302)"},
      {"HTML", answer(200, "<!doctype html><title>hi</title>"), "a web page, not JSON"},
      {"empty", answer(200, "  "), "was empty"},
      {"truncated", answer(200, document.substr(0, document.size() / 2)), "cannot be used"},
      {"not a document", answer(200, R"({"openapi":"3.0.4"})"), "cannot be used"},
      {"too large", answer(200, std::string(9u << 20, ' ')), "too large"},
  };
  for (const Row& row : rows) {
    SUBCASE(row.name) {
      World world({model("flux", flux), model("sdxl", "fal-ai/fast-sdxl")});
      world.serve = [&](const HttpRequest& request) {
        return endpoint_of(request) == flux ? row.script
                                            : answer(200, model_document("fal-ai/fast-sdxl"));
      };
      world.refresh();
      const auto schema = world.profile(flux);
      REQUIRE_FALSE(schema);
      CHECK(schema.error().kind == ErrorKind::model_unavailable);
      CHECK_MESSAGE(schema.error().message.find(row.reason) != std::string::npos,
                    schema.error().message);
      REQUIRE(schema.error().retry_after.has_value());
      CHECK(*schema.error().retry_after <= 5s);
      CHECK(world.profile("fal-ai/fast-sdxl"));       // the other model is untouched
      CHECK(world.transport.requests().size() == 2);  // and nobody fetches again before its time
      CHECK(world.logged(row.reason));
      // What the transport says of its addresses is the operator's.
      if (row.script.fault) {
        CHECK(schema.error().message.find("scripted") == std::string::npos);
        CHECK(world.logged("warning fal-ai/flux/dev: "));
        CHECK(world.logged("(scripted)"));
        CHECK(world.catalog.status().back().fault.find(": scripted") != std::string::npos);
      }
    }
  }
}

TEST_CASE(
    "a failed fetch is tried again within five seconds, then ever more rarely, until it succeeds") {
  World world({model("flux", flux)});
  bool up = false;
  world.serve = [&](const HttpRequest& request) {
    return up ? answer(200, model_document(endpoint_of(request)))
              : testing::broken(TransportFault::unreachable);
  };
  world.run_for(5s);
  CHECK(world.transport.requests().size() >= 2);
  world.run_for(1h);
  CHECK(world.transport.requests().size() > 12);
  CHECK(world.transport.requests().size() < 30);
  up = true;
  world.run_for(7min);
  CHECK(world.profile(flux));
  CHECK(world.catalog.status().front().fault.empty());
}

TEST_CASE("a document is refreshed before it is a day old, and a stale one beats none") {
  World world({model("flux", flux)});
  world.refresh();
  world.run_for(19h);
  CHECK(world.transport.requests().size() == 1);
  world.run_for(5h);
  CHECK(world.transport.requests().size() == 2);

  world.serve = [](const HttpRequest&) { return answer(500, ""); };
  world.run_for(48h);
  CHECK(world.profile(flux));
  const DocumentStatus status = world.catalog.status().front();
  CHECK(status.available);
  CHECK_FALSE(status.fault.empty());
  CHECK(world.logged("the old one serves on"));
}

TEST_CASE("freshness is spread, so that not all documents are due at once") {
  using catalog::fresh_for;
  CHECK(fresh_for(0ms, 24h, 0.0) == 19h + 12min);
  CHECK(fresh_for(0ms, 24h, 1.0) == 22h + 48min);
  CHECK(fresh_for(24h, 24h, 0.5) == 0ms);
  CHECK(fresh_for(-5h, 24h, 0.0) == 19h + 12min);  // a clock that was set back
}

TEST_CASE("what a request began with stays as it is while the catalogue moves on") {
  World world({model("flux", flux)});
  const auto before = world.profile(flux);
  REQUIRE(before);
  world.serve = [](const HttpRequest&) {
    return answer(
        200, model_document(flux, R"({"prompt":{"type":"string"},"seed":{"type":"integer"}})"));
  };
  world.catalog.contradicted(id(flux), world.clock.now());
  world.refresh();
  const auto after = world.profile(flux);
  REQUIRE(after);
  CHECK((*before)->schema->input("seed") == nullptr);
  CHECK((*after)->schema->input("seed") != nullptr);
  CHECK(world.logged("seed"));
}

TEST_CASE("what another document says differently is told, the newest first, and not without end") {
  World world({model("flux", flux)});
  world.refresh();
  CHECK(world.catalog.status().front().changes.empty());
  const auto fetch_with = [&](const std::string& inputs) {
    world.serve = [inputs](const HttpRequest&) {
      return answer(200, model_document(flux, inputs));
    };
    world.clock.advance(61s);
    world.catalog.contradicted(id(flux), world.clock.now());
    world.refresh();
    return world.catalog.status().front().changes;
  };
  const std::string prompt = R"("prompt":{"type":"string"})";
  fetch_with("{" + prompt + "}");
  auto changes = fetch_with("{" + prompt + R"(,"seed":{"type":"integer","maximum":9}})");
  REQUIRE_FALSE(changes.empty());
  CHECK(changes.front().text == "added input 'seed' (integer)");
  CHECK(changes.front().time == world.clock.wall_now());
  changes = fetch_with("{" + prompt + R"(,"seed":{"type":"integer","maximum":7}})");
  REQUIRE(changes.size() > 1);
  CHECK(changes[0].text == "'seed': maximum 9 became 7");
  CHECK(changes[1].text == "added input 'seed' (integer)");
  CHECK(changes[0].time > changes[1].time);
  CHECK(fetch_with("{" + prompt + R"(,"seed":{"type":"integer","maximum":7}})") == changes);

  std::string many = "{" + prompt;
  for (int i = 10; i < 40; ++i)
    many += ",\"" + std::string(1000, 'x') + std::to_string(i) + R"(":{"type":"string"})";
  changes = fetch_with(many + "}");
  REQUIRE(changes.size() == 20);
  CHECK(changes[0].text.size() < 400);
  CHECK(changes[19].text == "and 12 more");  // 30 added, 1 removed
}

TEST_CASE("a contradiction makes a document due at once, at most once a minute") {
  World world({model("flux", flux)});
  world.refresh();
  const auto contradict = [&] {
    world.catalog.contradicted(id(flux), world.clock.now());
    world.refresh();
    return world.transport.requests().size();
  };
  CHECK(contradict() == 2);
  CHECK(contradict() == 2);
  world.clock.advance(59s);
  CHECK(contradict() == 2);
  world.clock.advance(1s);
  CHECK(contradict() == 3);
  world.catalog.contradicted(id("fal-ai/not-configured"), world.clock.now());  // nothing happens
}

TEST_CASE("refresh_due asks to be called again soon enough to act on a contradiction") {
  World world({model("flux", flux)});
  const TimePoint next = world.refresh();
  CHECK(next > world.clock.now());
  CHECK(next <= world.clock.now() + 5s);
}

TEST_CASE("with a warm store the catalogue serves while fal cannot be reached") {
  World world({model("flux", flux)});
  world.serve = [](const HttpRequest&) { return testing::broken(TransportFault::unreachable); };
  SUBCASE("a fresh document needs no fetch at all") {
    world.store.save(flux, {model_document(flux), world.clock.wall_now() - 1h});
    CHECK(world.profile(flux));
    world.refresh();
    CHECK(world.transport.requests().empty());
  }
  SUBCASE("everything that is stored is loaded before anything is fetched") {
    world.catalog.reload({}, {model("a", "a/1"), model("b", "b/2"), model("flux", flux)}, {});
    world.store.save(flux, {model_document(flux), world.clock.wall_now() - 1h});
    bool loaded_first = false;
    world.serve = [&](const HttpRequest&) {
      loaded_first = world.catalog.cached(id(flux), "flux") != nullptr;
      return testing::broken(TransportFault::unreachable);
    };
    world.refresh();
    CHECK(world.transport.requests().size() == 2);
    CHECK(loaded_first);
  }
  SUBCASE("an old one serves, and is fetched in the background") {
    world.store.save(flux, {model_document(flux), world.clock.wall_now() - 48h});
    CHECK(world.profile(flux));
    CHECK(world.transport.requests().empty());
    world.refresh();
    CHECK(world.transport.requests().size() == 1);
    CHECK(world.profile(flux));
  }
  SUBCASE("a stored document that cannot be used is fetched again") {
    world.store.save(flux, {"{}", world.clock.wall_now()});
    CHECK_FALSE(world.profile(flux));
    CHECK(world.logged("cannot be used"));
    world.serve = [](const HttpRequest&) { return answer(200, model_document(flux)); };
    world.clock.advance(5s);
    world.refresh();
    CHECK(world.profile(flux));
  }
}

TEST_CASE("what is read from a document is told to whoever looks for a fault") {
  World world({model("flux", flux)});
  world.refresh();
  CHECK(world.logged("debug fal-ai/flux/dev: its document says: {"));
  CHECK(world.logged("; inputs: prompt"));
}

TEST_CASE("what was fetched is stored with its time") {
  World world({model("flux", flux)});
  world.refresh();
  REQUIRE(world.store.documents.contains(flux));
  CHECK(world.store.documents[flux].text == model_document(flux));
  CHECK(world.store.documents[flux].fetched == world.clock.wall_now());
}

TEST_CASE("a pinned document is used as it is, and nothing is fetched for it") {
  CatalogModel mine = model("mine", flux);
  mine.edit_endpoint = id("fal-ai/flux/edit");
  const std::string text = model_document(flux, R"({"mine":{"type":"string"}})");
  World world({mine, model("flux", flux)}, {}, {{"mine", text}});
  world.refresh();
  CHECK(world.transport.count("GET") == 2);  // flux itself, and the sibling of "mine"
  const auto pinned = world.profile(flux, "mine");
  REQUIRE(pinned);
  CHECK((*pinned)->schema->input("mine") != nullptr);
  const auto fetched = world.profile(flux, "flux");
  REQUIRE(fetched);
  CHECK((*fetched)->schema->input("mine") == nullptr);
  const auto sibling = world.profile("fal-ai/flux/edit", "mine");
  REQUIRE(sibling);
  CHECK((*sibling)->schema->endpoint == "fal-ai/flux/edit");
}

TEST_CASE("a pinned document that cannot be used is named as such") {
  World world({model("mine", flux)}, {}, {{"mine", "{"}});
  const auto schema = world.profile(flux, "mine");
  REQUIRE_FALSE(schema);
  CHECK(schema.error().kind == ErrorKind::model_unavailable);
  CHECK(schema.error().message.find("local document") != std::string::npos);
  world.refresh();
  CHECK(world.transport.requests().empty());
}

TEST_CASE("a name that is listed wins, then the first pattern, then an endpoint's id") {
  World world({model("gpt-*", "fal-ai/first"), model("gpt-image-*", "fal-ai/second"),
               model("gpt-image-1", "fal-ai/listed")},
              {.allow_any_model = true});
  struct Row {
    const char* asked;
    const char* served;
  };
  for (const Row& row : {Row{"gpt-image-1", "gpt-image-1"},
                         {"gpt-image-2", "gpt-*"},
                         {"gpt-*", "gpt-*"},
                         {"fal-ai/flux/dev", "fal-ai/flux/dev"}}) {
    CAPTURE(row.asked);
    const auto found = world.catalog.find(row.asked);
    REQUIRE(found);
    CHECK(found->name == row.served);
  }
  CHECK_FALSE(world.catalog.find("dall-e-3"));
}

TEST_CASE("ALLOW_ANY_MODEL serves endpoints that are not listed, if they make what is served") {
  World world({model("flux", flux)}, {.allow_any_model = true});
  world.serve = [](const HttpRequest& request) {
    const std::string endpoint = endpoint_of(request);
    if (endpoint == "fal-ai/nobody") return answer(404, "{}");
    if (endpoint == "fal-ai/trainer") {
      return answer(200, model_document(endpoint, "{}", R"({"steps":{"type":"integer"}})"));
    }
    return answer(200, model_document(endpoint));
  };
  SUBCASE("one that makes images") {
    const auto found = world.catalog.find("fal-ai/other/model");
    REQUIRE(found);
    CHECK(found->name == "fal-ai/other/model");
    CHECK(world.profile(found->endpoint.str(), found->name));
    CHECK(world.catalog.cached(found->endpoint, found->name) != nullptr);
  }
  SUBCASE("one that makes none") {
    const auto schema = world.profile("fal-ai/trainer");
    REQUIRE_FALSE(schema);
    CHECK(schema.error().kind == ErrorKind::unknown_model);
    CHECK(schema.error().field == "model");
  }
  SUBCASE("one that fal does not know") {
    const auto schema = world.profile("fal-ai/nobody");
    REQUIRE_FALSE(schema);
    CHECK(schema.error().kind == ErrorKind::unknown_model);
    world.run_for(1h);
    CHECK(world.transport.count(
              "GET https://fal.ai/api/openapi/queue/openapi.json?endpoint_id=fal-ai/nobody") == 1);
  }
  SUBCASE("names that are no endpoint ids stay unknown") {
    for (const char* name : {"flux2", "fal-ai/../x", "fal-ai//x", "/fal-ai/x", "fal-ai/x?y", ""}) {
      CAPTURE(name);
      CHECK_FALSE(world.catalog.find(name));
    }
  }
}

TEST_CASE("the documents of unlisted endpoints are bounded: the most recently used stay") {
  World world({}, {.allow_any_model = true, .max_any_models = 3});
  for (const char* endpoint : {"a/1", "a/2", "a/3"}) CHECK(world.profile(endpoint));
  CHECK(world.profile("a/1"));
  CHECK(world.profile("a/4"));
  CHECK(world.catalog.cached(id("a/1"), "") != nullptr);
  CHECK(world.catalog.cached(id("a/2"), "") == nullptr);
  CHECK(world.catalog.cached(id("a/4"), "") != nullptr);
  CHECK(world.catalog.status().size() == 3);
}

TEST_CASE("a reload keeps the documents that are known") {
  World world({model("flux", flux), model("sdxl", "fal-ai/fast-sdxl")});
  world.refresh();
  CHECK(world.transport.requests().size() == 2);
  world.catalog.reload({}, {model("renamed", flux), model("new", "fal-ai/new")}, {});
  CHECK_FALSE(world.catalog.find("flux"));
  CHECK(world.catalog.find("renamed"));
  CHECK(world.catalog.cached(id(flux), "renamed") != nullptr);
  CHECK(world.catalog.cached(id("fal-ai/fast-sdxl"), "sdxl") == nullptr);
  world.refresh();
  CHECK(world.transport.requests().size() == 3);
}

TEST_CASE("a request gives up on a document when its own time is over or its client leaves") {
  World world({model("flux", flux)});
  world.serve = [](const HttpRequest&) { return Script{.silent = true}; };
  SUBCASE("its time") {
    const auto schema = world.catalog.profile(id(flux), "flux", world.clock.now() + 2s, {});
    REQUIRE_FALSE(schema);
    CHECK(schema.error().kind == ErrorKind::timed_out);
  }
  SUBCASE("its client") {
    std::stop_source stop;
    world.clock.at(world.clock.now() + 1s, [&] { stop.request_stop(); });
    const auto schema =
        world.catalog.profile(id(flux), "flux", world.clock.now() + 60s, stop.get_token());
    REQUIRE_FALSE(schema);
    CHECK(schema.error().kind == ErrorKind::cancelled);
  }
  // Neither says anything of the document: the next request fetches it at once.
  world.serve = [](const HttpRequest&) { return answer(200, model_document(flux)); };
  CHECK(world.profile(flux));
}

TEST_CASE("a store that throws costs nobody a document") {
  World world({model("flux", flux)});
  SUBCASE("when it is read for a request") {
    world.store.throws_at_load = true;
    CHECK(world.profile(flux));
    CHECK(
        world.logged("warning fal-ai/flux/dev: the stored document cannot be read (the disk is "
                     "gone); it is fetched again"));
  }
  SUBCASE("when it is read in the background") {
    world.store.throws_at_load = true;
    world.refresh();
    CHECK(world.catalog.cached(id(flux), "flux") != nullptr);
  }
  SUBCASE("when a document is stored") {
    world.store.throws_at_save = true;
    CHECK(world.profile(flux));
    CHECK(
        world.logged("warning fal-ai/flux/dev: the document could not be stored (the disk is "
                     "full)"));
  }
  CHECK(world.profile(flux));
  CHECK(world.transport.requests().size() == 1);
}

TEST_CASE("after a fetch that throws the next request fetches") {
  World world({model("flux", flux)});
  bool throws = true;
  world.serve = [&](const HttpRequest& request) {
    if (std::exchange(throws, false)) throw std::bad_alloc();
    return answer(200, model_document(endpoint_of(request)));
  };
  SUBCASE("for a request") {
    CHECK_THROWS_AS(static_cast<void>(world.profile(flux)), std::bad_alloc);
    CHECK(world.profile(flux));
  }
  SUBCASE("in the background") {
    world.refresh();
    CHECK(
        world.logged("warning fal-ai/flux/dev: the document could not be fetched: fetching it "
                     "failed"));
    world.run_for(5s);
    CHECK(world.catalog.cached(id(flux), "flux") != nullptr);
  }
  CHECK(world.transport.requests().size() == 2);
}

}  // namespace falproxy
