// What is told of a request while it runs and afterwards.
#include <doctest/doctest.h>

#include "falproxy/runner.hpp"
#include "runs/scripted_fal.hpp"

namespace falproxy {

using namespace std::chrono_literals;
using namespace testing;

namespace {

struct Listener final : Progress {
  void queued(std::optional<int> position) override {
    heard.push_back("queued " + std::to_string(position.value_or(-1)));
  }
  void running() override { heard.push_back("running"); }
  void preview(const Product& product, int index) override {
    heard.push_back("partial " + std::to_string(index));
    last = product;
  }
  std::vector<std::string> heard;
  Product last;
};

}  // namespace

TEST_CASE("who waits hears of the queue and of the start") {
  GatewayWorld world;
  Listener listener;
  CHECK(world.handle(request_for("flux"), {.progress = &listener}).response);
  CHECK(listener.heard == std::vector<std::string>{"queued 2", "queued 1", "running"});
}

TEST_CASE("a model's own stream gives partial images, and its last event is the answer") {
  CatalogModel model = catalog_model("flux", "fal-ai/flux/dev");
  model.settings.stream = true;
  GatewayWorld world({model});
  Listener listener;
  Wish request = in_base64(request_for("flux"));
  SUBCASE("streamed") {
    request.stream = true;
    request.partial_images = 2;
    const Outcome outcome = world.handle(request, {.progress = &listener});
    CHECK(only_content(outcome) == testing::base64(world.fal.picture));
    CHECK(listener.heard == std::vector<std::string>{"partial 0", "partial 1"});
    CHECK(listener.last.content.str() == testing::base64(world.fal.picture));
    CHECK(listener.last.size == "64x48");
    CHECK(listener.last.output_format == "png");
    CHECK(world.transport.count("POST https://fal.run/fal-ai/flux/dev/stream") == 1);
  }
  SUBCASE("streamed, without partial images") {
    request.stream = true;
    CHECK(world.handle(request, {.progress = &listener}).response);
    CHECK(listener.heard.empty());
  }
  SUBCASE("not streamed") {
    CHECK(world.handle(request, {.progress = &listener}).response);
    CHECK(world.transport.count("POST https://queue.fal.run/") == 1);
  }
  world.check_closed();
}

TEST_CASE("a model whose stream answers with a plain result has given its answer") {
  CatalogModel model = catalog_model("flux", "fal-ai/flux/dev");
  model.settings.stream = true;
  GatewayWorld world({model});
  world.fal.fault =
      fail_on("POST https://fal.run/fal-ai/flux/dev/stream",
              answer(200, R"({"images":[{"url":"https://v3.fal.media/files/plain.png"}]})",
                     {{"content-type", "application/json"}}));
  Wish request = request_for("flux");
  request.stream = true;
  request.partial_images = 2;
  CHECK(only_content(world.handle(request)) == testing::base64(world.fal.picture));
  CHECK(world.transport.count("GET https://v3.fal.media/files/plain.png") == 1);
  world.check_closed();
}

// ---- The rest.

TEST_CASE("Server-Timing tells where the time went") {
  Receipt receipt;
  receipt.map = 120us;
  receipt.submit = 80ms;
  receipt.inference = 1500ms;
  receipt.total = 1600ms;
  CHECK(server_timing(receipt) ==
        "map;dur=0.120, submit;dur=80.000, inference;dur=1500.000, total;dur=1600.000");
  CHECK(server_timing({}) == "map;dur=0.000, total;dur=0.000");
}

TEST_CASE("new options count from the next request on") {
  GatewayWorld world;
  CHECK(world.handle(request_for("flux")).response);
  world.runner.reload(GatewayWorld::with_hosts({.completion = Completion::sync}));
  CHECK(world.handle(request_for("flux")).response);
  CHECK(world.transport.count("POST https://fal.run/") == 1);
}

TEST_CASE("the debug log shows exchanges and inputs, without keys and without base64") {
  EditWorld world({.image_upload = ImageUpload::inline_data});
  Wish request = edit_of("edit", {picture_of(tests::png_head(5, 5) + std::string(10'000, 'x'))});
  CHECK(world.handle(request).response);
  std::size_t bytes = 0;
  bool saw_submit = false, saw_input = false;
  for (const std::string& line : world.debug_lines) {
    bytes += line.size();
    saw_submit = saw_submit || line == "POST https://queue.fal.run/fal-ai/edit -> 200";
    saw_input = saw_input || line.find("a fox") != std::string::npos;
  }
  CHECK(saw_submit);
  CHECK(saw_input);
  CHECK(bytes < 2000);

  Wish native = request_for("edit");
  native.native.emplace_back("image_url",
                             Json::string("data:image/png;base64," + std::string(10'000, 'A')));
  world.debug_lines.clear();
  const Outcome shown = world.handle(native);
  REQUIRE_MESSAGE(shown.response, shown.response.error().message);
  for (const std::string& line : world.debug_lines) CHECK(line.size() < 1000);
  CHECK(std::ranges::any_of(world.debug_lines, [](const std::string& line) {
    return line.find("data:image/png;base64,AAA") != std::string::npos;
  }));
  world.check_closed();
}

}  // namespace falproxy
