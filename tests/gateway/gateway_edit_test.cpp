// Requests that bring pictures, and where those go.
#include <doctest/doctest.h>

#include "falproxy/gateway.hpp"
#include "gateway/scripted_fal.hpp"

namespace falproxy {

using namespace std::chrono_literals;
using namespace testing;

TEST_CASE(
    "an image is uploaded to fal's storage, the bytes without a key, and the job gets its "
    "address") {
  EditWorld world({.upload_ttl = 60s});
  const std::string bytes = tests::png_head(5, 5) + "mine";
  const Outcome outcome = world.handle(edit_of("edit", {picture_of(bytes)}));
  CHECK(outcome.response);
  CHECK(world.fal.uploads == std::vector<std::string>{bytes});
  REQUIRE(world.fal.jobs.size() == 1);
  CHECK(world.fal.jobs[0].input.find("https://v3.fal.media/files/up1.png") != std::string::npos);
  CHECK(world.fal.keys_to_strangers.empty());
  world.check_closed();
}

TEST_CASE(
    "inline, an image travels as a data URI; an address is passed on untouched and never fetched") {
  SUBCASE("bytes") {
    EditWorld world({.image_upload = ImageUpload::inline_data});
    const std::string bytes = tests::png_head(5, 5) + "mine";
    CHECK(world.handle(edit_of("edit", {picture_of(bytes)})).response);
    CHECK(world.fal.jobs.at(0).input.find("data:image/png;base64," + testing::base64(bytes)) !=
          std::string::npos);
    CHECK(world.fal.uploads.empty());
  }
  SUBCASE("address") {
    EditWorld world;
    openai::ImageInput image;
    image.url = "https://example.com/cat.png?x=1&y=\"2\"";
    CHECK(world.handle(edit_of("edit", {image})).response);
    const auto input = nlohmann::json::parse(world.fal.jobs.at(0).input);
    CHECK(input["image_url"] == image.url);
    CHECK(world.transport.count("GET https://example.com") == 0);
    CHECK(world.fal.uploads.empty());
  }
  SUBCASE("a client's data URI, to storage") {
    EditWorld world;
    const std::string bytes = tests::png_head(5, 5) + "mine";
    openai::ImageInput image;
    image.url = "data:image/png;base64," + testing::base64(bytes);
    CHECK(world.handle(edit_of("edit", {image})).response);
    CHECK(world.fal.uploads == std::vector<std::string>{bytes});
  }
}

TEST_CASE(
    "an upload is tried again, with the next key where fal refuses one, and costs nothing when it "
    "fails") {
  const auto refused = [](EditWorld& world) {
    Outcome outcome = world.handle(edit_of("edit", {picture_of(tests::png_head(5, 5))}));
    REQUIRE_FALSE(outcome.response);
    CHECK_FALSE(outcome.response.error().submitted);
    CHECK(world.fal.jobs.empty());
    world.check_closed();
    return std::move(outcome.response).error();
  };
  SUBCASE("a storage that stumbles") {
    EditWorld world;
    world.fal.fault = fail_on("PUT https://v3.fal.media/put", answer(503, ""), 2);
    CHECK(world.handle(edit_of("edit", {picture_of(tests::png_head(5, 5))})).response);
  }
  SUBCASE("a key that is refused") {
    EditWorld world;
    world.fal.fault = fail_on("POST https://rest.fal.ai", answer(401, "{}"), 1);
    CHECK(world.handle(edit_of("edit", {picture_of(tests::png_head(5, 5))})).response);
    world.check_closed();
  }
  SUBCASE("a storage that cannot be reached") {
    EditWorld world;
    Script nobody;
    nobody.fault = TransportError{TransportFault::unreachable, "refused", true};
    world.fal.fault = fail_on("POST https://rest.fal.ai", nobody);
    CHECK(refused(world).kind == ErrorKind::upstream_unreachable);
  }
  SUBCASE("a storage that asks to slow down") {
    EditWorld world;
    world.fal.fault =
        fail_on("POST https://rest.fal.ai", answer(429, "{}", {{"retry-after", "7"}}));
    const Error error = refused(world);
    CHECK(error.kind == ErrorKind::keys_resting);
    CHECK(error.retry_after == 7s);
  }
  SUBCASE("a storage that is down") {
    EditWorld world;
    world.fal.fault = fail_on("POST https://rest.fal.ai", answer(500, "{}"));
    CHECK(refused(world).kind == ErrorKind::upstream_failed);
  }
}

TEST_CASE("a data URI that is not base64 is refused before anything is paid") {
  EditWorld world;
  openai::ImageInput image;
  image.url = "data:image/png;base64,not base64!";
  const Outcome outcome = world.handle(edit_of("edit", {image}));
  REQUIRE_FALSE(outcome.response);
  CHECK(outcome.response.error().kind == ErrorKind::invalid_value);
  CHECK(outcome.response.error().field == "image");
  CHECK(world.transport.count("POST") == 0);
}

TEST_CASE("a mask that is an address is passed on as it is, with a note") {
  EditWorld world;
  openai::ImageRequest request = edit_of("edit", {picture_of(tests::png_head(5, 5))});
  request.mask.emplace().url = "https://example.com/mask.png";
  const Outcome outcome = world.handle(request);
  CHECK(outcome.response);
  const auto input = nlohmann::json::parse(world.fal.jobs.at(0).input);
  CHECK(input["mask_url"] == "https://example.com/mask.png");
  CHECK(world.transport.count("GET https://example.com") == 0);
  CHECK(std::ranges::any_of(outcome.receipt.notes,
                            [](const auto& note) { return note.field == "mask"; }));
}

TEST_CASE("edits go to the edit endpoint, generations to the other") {
  GatewayWorld world({catalog_model("nano", "fal-ai/nano", "fal-ai/nano/edit")});
  world.fal.documents["fal-ai/nano"] = model_document("fal-ai/nano");
  world.fal.documents["fal-ai/nano/edit"] = model_document("fal-ai/nano/edit", edit_properties);
  CHECK(world.handle(request_for("nano")).response);
  CHECK(world.handle(edit_of("nano", {picture_of(tests::png_head(5, 5))})).response);
  openai::ImageRequest with_image = request_for("nano");
  with_image.images = {picture_of(tests::png_head(5, 5))};
  CHECK(world.handle(with_image).response);
  REQUIRE(world.fal.jobs.size() == 3);
  CHECK(world.fal.jobs[0].endpoint == "fal-ai/nano");
  CHECK(world.fal.jobs[1].endpoint == "fal-ai/nano/edit");
  CHECK(world.fal.jobs[2].endpoint == "fal-ai/nano/edit");
}

TEST_CASE("a model that takes no image says which do, and what its sibling may be called") {
  GatewayWorld world({catalog_model("flux", "fal-ai/flux/dev"),
                      catalog_model("nano", "fal-ai/nano", "fal-ai/nano/edit"),
                      catalog_model("seedream", "fal-ai/seedream/text-to-image")});
  world.fal.documents["fal-ai/seedream/text-to-image"] =
      model_document("fal-ai/seedream/text-to-image");
  const auto refused = [&](const char* name) {
    const Outcome outcome = world.handle(edit_of(name, {picture_of(tests::png_head(5, 5))}));
    REQUIRE_FALSE(outcome.response);
    CHECK(outcome.response.error().kind == ErrorKind::edit_unsupported);
    return outcome.response.error().message;
  };
  const std::string message = refused("flux");
  CHECK_MESSAGE(message.find("These do: nano.") != std::string::npos, message);
  CHECK_MESSAGE(message.find("'fal-ai/flux/dev/edit'") != std::string::npos, message);
  CHECK(refused("seedream").find("'seedream:fal-ai/seedream/text-to-image+fal-ai/seedream/edit'") !=
        std::string::npos);
  CHECK(world.fal.jobs.empty());
  CHECK(world.fal.uploads.empty());
}

TEST_CASE("a mask becomes what the model takes; without a converter it is passed on with a note") {
  class Inverter final : public media::MaskConverter {
   public:
    Result<std::string> convert(std::string_view png, MaskConvention to) const override {
      if (png.find("broken") != std::string_view::npos)
        return Error{ErrorKind::invalid_mask, "broken", "mask"};
      return "converted to " + std::string(to == MaskConvention::white ? "white" : "other");
    }
  };
  const auto masked = [](const char* bytes) {
    openai::ImageRequest request = edit_of("edit", {picture_of(tests::png_head(5, 5))});
    request.mask = picture_of(tests::png_head(5, 5) + bytes);
    return request;
  };
  const Inverter inverter;
  EditWorld world;
  SUBCASE("without") {
    const Outcome outcome = world.handle(masked("mask"));
    CHECK(outcome.response);
    REQUIRE(world.fal.uploads.size() == 2);
    CHECK(world.fal.uploads[1].ends_with("mask"));
    CHECK(std::ranges::any_of(outcome.receipt.notes,
                              [](const auto& note) { return note.field == "mask"; }));
  }
  SUBCASE("with") {
    ImageGateway gateway({.transport = world.transport,
                          .clock = world.clock,
                          .executor = world.inline_executor,
                          .codecs = world.codecs,
                          .keys = world.keys,
                          .catalog = world.catalog,
                          .masks = &inverter,
                          .random = [] { return 0.5; }},
                         GatewayWorld::with_hosts({}));
    const CallContext context{.deadline = world.clock.now() + 60s};
    CHECK(gateway.handle(masked("mask"), context).response);
    REQUIRE(world.fal.uploads.size() == 2);
    CHECK(world.fal.uploads[1] == "converted to white");
    const Outcome broken = gateway.handle(masked("broken"), context);
    REQUIRE_FALSE(broken.response);
    CHECK(broken.response.error().kind == ErrorKind::invalid_mask);
    CHECK(world.fal.jobs.size() == 1);
  }
}

}  // namespace falproxy
