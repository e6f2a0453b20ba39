// Requests that bring pictures, and where those go.
#include <doctest/doctest.h>

#include "falproxy/runner.hpp"
#include "runs/scripted_fal.hpp"

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
    InputFile image;
    image.url = "https://example.com/cat.png?x=1&y=\"2\"";
    CHECK(world.handle(edit_of("edit", {image})).response);
    const auto input = nlohmann::json::parse(world.fal.jobs.at(0).input);
    CHECK(input["image_url"] == image.url);
    CHECK(world.transport.count("GET https://example.com") == 0);
    CHECK(world.fal.uploads.empty());
  }
}

TEST_CASE("a picture in a model's own field goes to storage like any other (D7)") {
  EditWorld world;
  Wish request = request_for("edit");
  request.native = {{"image_url", Json::string("data:(picture)")}};
  request.attached = {{"image_url", {}, picture_of(tests::whole_png(5, 5))}};
  CHECK(world.handle(request).response);
  CHECK(world.fal.uploads == std::vector<std::string>{tests::whole_png(5, 5)});
  CHECK(nlohmann::json::parse(world.fal.jobs.at(0).input)["image_url"] ==
        "https://v3.fal.media/files/up1.png");
}

TEST_CASE("a picture reaches fal without its metadata, unless the operator keeps it (D9)") {
  std::string photo = tests::jpeg_head(5, 7, 2) + "\xFF\xD9";
  photo.insert(2, tests::exif_segment(6));
  for (const ImageUpload upload : {ImageUpload::storage, ImageUpload::inline_data}) {
    for (const bool keep : {false, true}) {
      CAPTURE(keep);
      EditWorld world({.image_upload = upload, .keep_metadata = keep});
      CHECK(world.handle(edit_of("edit", {picture_of(photo)})).response);
      const std::string sent =
          upload == ImageUpload::storage
              ? world.fal.uploads.at(0)
              : *world.codecs.decode_base64(
                    std::string(media::parse_data_uri(
                                    nlohmann::json::parse(world.fal.jobs.at(0).input)["image_url"]
                                        .get_ref<std::string&>())
                                    ->base64));
      CHECK((sent.find("GPS") != std::string::npos) == keep);
      CHECK(media::dimensions(sent) == media::Dimensions{7, 5});
      CHECK((sent == photo) == keep);
    }
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

TEST_CASE("without a converter a mask that is an address is passed on, with a note") {
  EditWorld world;
  Wish request = edit_of("edit", {picture_of(tests::png_head(5, 5))});
  request.mask.emplace().url = "https://example.com/mask.png";
  const Outcome outcome = world.handle(request);
  CHECK(outcome.response);
  const auto input = nlohmann::json::parse(world.fal.jobs.at(0).input);
  CHECK(input["mask_url"] == "https://example.com/mask.png");
  CHECK(world.transport.count("GET https://example.com") == 0);
  CHECK(std::ranges::any_of(outcome.receipt.notes,
                            [](const auto& note) { return note.field == "mask"; }));
}

namespace {

// Says what it was asked, and of what.
class NamingConverter final : public media::MaskConverter {
 public:
  mutable std::vector<std::string> given = {};

  Result<std::shared_ptr<const std::string>> convert(std::string_view png, MaskConvention to,
                                                     MemoryBudget*) const override {
    return named("converted", png, to);
  }
  Result<std::shared_ptr<const std::string>> from_hole(std::string_view png, MaskConvention to,
                                                       MemoryBudget*) const override {
    return named("hole", png, to);
  }

 private:
  Result<std::shared_ptr<const std::string>> named(std::string_view what, std::string_view png,
                                                   MaskConvention to) const {
    given.emplace_back(png);
    if (png.find("broken") != std::string_view::npos)
      return Error{ErrorKind::invalid_mask, "broken", "mask"};
    return std::make_shared<const std::string>(
        std::string(what) + (to == MaskConvention::either ? " to either" : " to other"));
  }
};

// An EditWorld whose runner converts masks.
struct MaskWorld : EditWorld {
  NamingConverter converter;
  Runner converting{{.transport = transport,
                     .clock = clock,
                     .executor = inline_executor,
                     .codecs = codecs,
                     .keys = keys,
                     .catalog = catalog,
                     .masks = &converter,
                     .random = [] { return 0.5; }},
                    GatewayWorld::with_hosts({})};

  Outcome handle(const Wish& request) {
    const CallContext context{.deadline = clock.now() + 60s};
    return converting.handle(request, context);
  }
  void takes_openai_masks() {
    CatalogModel model = catalog_model("edit", "fal-ai/edit");
    model.settings.mask = MaskConvention::alpha;
    catalog.reload({}, {model}, {});
  }
};

}  // namespace

TEST_CASE("a mask that is an address is fetched from fal's media alone, and converted (D4)") {
  const auto masked = [](const char* address) {
    Wish request = edit_of("edit", {picture_of(tests::png_head(5, 5))});
    request.mask.emplace().url = address;
    return request;
  };
  MaskWorld world;
  world.fal.picture = tests::whole_png(5, 5);
  SUBCASE("from there, of another size than the picture: refused") {
    world.fal.picture = tests::whole_png(64, 48);
    const Outcome refused = world.handle(masked("https://v3.fal.media/files/mask.png"));
    REQUIRE_FALSE(refused.response);
    CHECK(refused.response.error().kind == ErrorKind::invalid_mask);
    CHECK(refused.response.error().message.find("is 64x48 and the image 5x5") != std::string::npos);
    CHECK(world.fal.jobs.empty());
  }
  SUBCASE("from there") {
    CHECK(world.handle(masked("https://v3.fal.media/files/mask.png")).response);
    REQUIRE(world.fal.uploads.size() == 2);
    CHECK(world.fal.uploads[1] == "converted to either");
    CHECK(world.converter.given == std::vector{world.fal.picture});
  }
  SUBCASE("from elsewhere: refused, with the reason and the mend") {
    for (const char* address : {"https://example.com/mask.png", "http://169.254.169.254/latest"}) {
      const Outcome refused = world.handle(masked(address));
      REQUIRE_FALSE(refused.response);
      CHECK(refused.response.error().kind == ErrorKind::invalid_mask);
      CHECK(refused.response.error().field == "mask");
      CHECK(refused.response.error().message.find("FAL_MEDIA_HOSTS") != std::string::npos);
      CHECK(refused.response.error().message.find("as a file") != std::string::npos);
    }
    CHECK(world.transport.count("GET https://example.com") == 0);
    CHECK(world.fal.jobs.empty());
  }
  SUBCASE("from there, where there is nothing") {
    world.fal.fault = fail_on("GET https://v3.fal.media", answer(404, ""));
    const Outcome refused = world.handle(masked("https://v3.fal.media/files/mask.png"));
    REQUIRE_FALSE(refused.response);
    CHECK(refused.response.error().kind == ErrorKind::invalid_mask);
    CHECK(refused.response.error().message.find("could not be fetched") != std::string::npos);
    CHECK(world.fal.jobs.empty());
  }
  SUBCASE("of a model that takes OpenAI's: converted as well, as a file would be") {
    world.takes_openai_masks();
    CHECK(world.handle(masked("https://v3.fal.media/files/mask.png")).response);
    REQUIRE(world.fal.uploads.size() == 2);
    CHECK(world.fal.uploads[1] == "converted to other");
  }
  SUBCASE("of such a model, from elsewhere: passed on, with a Note") {
    world.takes_openai_masks();
    const Outcome outcome = world.handle(masked("https://example.com/mask.png"));
    CHECK(outcome.response);
    CHECK(std::ranges::any_of(outcome.receipt.notes, [](const plan::Note& note) {
      return note.text.find("FAL_MEDIA_HOSTS") != std::string::npos;
    }));
    CHECK(nlohmann::json::parse(world.fal.jobs.at(0).input)["mask_url"] ==
          "https://example.com/mask.png");
  }
}

TEST_CASE("a mask belongs to the picture that is worked on, wherever it came") {
  MaskWorld world;
  Wish request = edit_of("edit", {});
  request.native = {{"image_url", Json::string("data:(picture)")}};
  request.attached = {{"image_url", {}, picture_of(tests::whole_png(5, 5))}};
  request.mask = picture_of(tests::whole_png(4, 4));
  const Outcome refused = world.handle(request);
  REQUIRE_FALSE(refused.response);
  CHECK(refused.response.error().kind == ErrorKind::invalid_mask);
  CHECK(world.fal.uploads.empty());
  request.mask = picture_of(tests::whole_png(5, 5));
  CHECK(world.handle(request).response);
}

TEST_CASE("the transparent part of the picture is the mask that a model requires (D5)") {
  MaskWorld world;
  std::string& document = world.fal.documents["fal-ai/edit"];
  document.insert(document.find(R"("title":"Input")"), R"("required":["mask_url"],)");
  const Outcome outcome = world.handle(edit_of("edit", {picture_of(tests::whole_png(5, 5))}));
  REQUIRE(outcome.response);
  REQUIRE(world.fal.uploads.size() == 2);
  CHECK(world.fal.uploads[0] == tests::whole_png(5, 5));
  CHECK(world.fal.uploads[1] == "hole to either");
  CHECK(world.converter.given == std::vector{tests::whole_png(5, 5)});
  CHECK(std::ranges::any_of(outcome.receipt.notes, [](const auto& note) {
    return note.field == "mask" && note.text.find("transparent part") != std::string::npos;
  }));
  const Outcome refused = world.handle(edit_of("edit", {picture_of(tests::jpeg_head(5, 5))}));
  REQUIRE_FALSE(refused.response);
  CHECK(refused.response.error().kind == ErrorKind::missing_parameter);
  CHECK(refused.response.error().field == "mask");
}

TEST_CASE("edits go to the edit endpoint, generations to the other") {
  GatewayWorld world({catalog_model("nano", "fal-ai/nano", "fal-ai/nano/edit")});
  world.fal.documents["fal-ai/nano"] = model_document("fal-ai/nano");
  world.fal.documents["fal-ai/nano/edit"] = model_document("fal-ai/nano/edit", edit_properties);
  CHECK(world.handle(request_for("nano")).response);
  CHECK(world.handle(edit_of("nano", {picture_of(tests::png_head(5, 5))})).response);
  Wish with_image = request_for("nano");
  with_image.images = {picture_of(tests::png_head(5, 5))};
  CHECK(world.handle(with_image).response);
  REQUIRE(world.fal.jobs.size() == 3);
  CHECK(world.fal.jobs[0].endpoint == "fal-ai/nano");
  CHECK(world.fal.jobs[1].endpoint == "fal-ai/nano/edit");
  CHECK(world.fal.jobs[2].endpoint == "fal-ai/nano/edit");
}

TEST_CASE(
    "a picture in a field of another vendor's chooses the edit endpoint, and is never dropped") {
  GatewayWorld world({catalog_model("nano", "fal-ai/nano", "fal-ai/nano/edit"),
                      catalog_model("flux", "fal-ai/flux/dev")});
  world.fal.documents["fal-ai/nano"] = model_document("fal-ai/nano");
  world.fal.documents["fal-ai/nano/edit"] = model_document("fal-ai/nano/edit", edit_properties);
  const auto ask = [&](const char* model, const char* field, Json value) {
    Wish wish = request_for(model);
    wish.native = {{field, std::move(value)}};
    return world.handle(wish);
  };
  const Json address = Json::string("https://v3.fal.media/a.png");
  CHECK(ask("nano", "image_url", address).response);
  CHECK(ask("nano", "image_urls", Json::array({address})).response);
  REQUIRE(world.fal.jobs.size() == 2);
  for (const auto& job : world.fal.jobs) {
    CHECK(job.endpoint == "fal-ai/nano/edit");
    CHECK(job.input.find("https://v3.fal.media/a.png") != std::string::npos);
  }
  const Outcome refused = ask("flux", "image_url", address);
  REQUIRE_FALSE(refused.response);
  CHECK(refused.response.error().kind == ErrorKind::edit_unsupported);
  CHECK(refused.response.error().field == "image_url");
  CHECK(ask("flux", "image_url", Json()).response);
  CHECK(ask("flux", "image_url", Json::string("")).response);
  CHECK(ask("nano", "image_style", Json::string("bold")).response);
  CHECK(world.fal.jobs.back().endpoint == "fal-ai/nano");
}

TEST_CASE("a model that takes no image says which do, and names no endpoint that may not exist") {
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
  CHECK_MESSAGE(message.find("'flux:fal-ai/flux/dev+EDIT-ENDPOINT'") != std::string::npos, message);
  for (const std::string& said : {message, refused("seedream")}) {
    CHECK_MESSAGE(said.find("/edit") == std::string::npos, said);
    CHECK_MESSAGE(said.find("/image-to-image") == std::string::npos, said);
  }
  CHECK(world.fal.jobs.empty());
  CHECK(world.fal.uploads.empty());
}

TEST_CASE("a mask becomes what the model takes; without a converter it is passed on with a note") {
  const auto masked = [](const char* bytes) {
    Wish request = edit_of("edit", {picture_of(tests::png_head(5, 5))});
    request.mask = picture_of(tests::png_head(5, 5) + bytes);
    return request;
  };
  MaskWorld world;
  SUBCASE("without") {
    const Outcome outcome = world.EditWorld::handle(masked("mask"));
    CHECK(outcome.response);
    REQUIRE(world.fal.uploads.size() == 2);
    CHECK(world.fal.uploads[1].ends_with("mask"));
    CHECK(std::ranges::any_of(outcome.receipt.notes,
                              [](const auto& note) { return note.field == "mask"; }));
  }
  SUBCASE("with") {
    const char* wanted = "converted to either";
    SUBCASE("for most models") {}
    SUBCASE("for one that takes OpenAI's masks, where it is looked at as well") {
      world.takes_openai_masks();
      wanted = "converted to other";
    }
    CHECK(world.handle(masked("mask")).response);
    REQUIRE(world.fal.uploads.size() == 2);
    CHECK(world.fal.uploads[1] == wanted);
    const Outcome broken = world.handle(masked("broken"));
    REQUIRE_FALSE(broken.response);
    CHECK(broken.response.error().kind == ErrorKind::invalid_mask);
    CHECK(world.fal.jobs.size() == 1);
  }
}

TEST_CASE("a picture for which there is no memory is refused before anything is sent") {
  EditWorld world({.image_upload = ImageUpload::inline_data});
  const auto request = edit_of("edit", {picture_of(tests::png_head(5, 5))});
  world.memory.set_limit(20);
  const Outcome refused = world.handle(request);
  REQUIRE_FALSE(refused.response);
  CHECK(refused.response.error().kind == ErrorKind::overloaded);
  CHECK(world.fal.uploads.empty());
  CHECK(world.fal.jobs.empty());
  world.memory.set_limit(10'000);
  CHECK(world.handle(request).response);
  world.check_closed();
}

TEST_CASE("an answer counts as memory as long as anybody has it, and is never refused") {
  GatewayWorld world;
  world.memory.set_limit(10);
  {
    const Outcome outcome = world.handle(in_base64(request_for("flux")));
    REQUIRE(outcome.response);
    CHECK(world.memory.used() >= outcome.response->at(0).content.size());
  }
  CHECK(world.memory.used() > 0);  // for a repeat
  world.clock.advance(std::chrono::hours(1));
  world.runner.forget_expired(world.clock.now());
  CHECK(world.memory.used() == 0);
}

}  // namespace falproxy
