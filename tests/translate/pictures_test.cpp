#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "translate/models.hpp"

using namespace falproxy;
using namespace models;

namespace {

// The body of the first job, without the prompt, with a, b, c... in place of the pictures and m of
// the mask.
std::string rendered(const FalPlan& plan, std::size_t images) {
  std::vector<Body> addresses;
  for (std::size_t i = 0; i < images; ++i)
    addresses.emplace_back(std::string(1, static_cast<char>('a' + i)));
  auto body = nlohmann::json::parse(
      translate::render(plan.jobs.at(0), addresses, Body(std::string("m"))).str());
  body.erase("prompt");
  return body.dump();
}

ImageRequest masked_edit() {
  ImageRequest request = edit();
  request.mask = openai::ImageInput{"https://example.org/mask.png"};
  return request;
}

constexpr std::string_view mask =
    R"("mask_url": {"type": "string", "description": "URL of the mask"})";

}  // namespace

TEST_CASE("pictures go to the inputs that take them") {
  struct Case {
    std::string name;
    std::string_view properties;
    std::string_view required;
    std::size_t images;
    std::string want;
  };
  const std::string p = R"("prompt": {"type": "string"}, )";
  const std::string one = p + R"("image_url": {"type": "string"})";
  const std::string many =
      p + R"("image_urls": {"type": "array", "items": {"type": "string"}, "maxItems": 3})";
  const std::string both =
      p +
      R"("image_url": {"type": "string"}, "image_urls": {"type": "array", "items": {"type": "string"}})";
  const std::string tryon =
      R"("person_image_url": {"type": "string"}, "garment_image_url": {"type": "string"})";
  const std::string reference =
      p + R"("image_url": {"type": "string"}, "reference_image_url": {"type": "string"})";
  const std::string control = p + R"("control_image_url": {"type": "string"})";
  const std::string nullable =
      p + R"("image_url": {"anyOf": [{"type": "string"}, {"type": "null"}]})";
  const std::vector<Case> cases = {
      {"one", one, R"(["image_url"])", 1, R"({"image_url":"a"})"},
      {"one, optional", one, "[]", 1, R"({"image_url":"a"})"},
      {"one, nullable", nullable, "[]", 1, R"({"image_url":"a"})"},
      {"a list of one", many, R"(["image_urls"])", 1, R"({"image_urls":["a"]})"},
      {"a list of three", many, R"(["image_urls"])", 3, R"({"image_urls":["a","b","c"]})"},
      {"one prefers an input of one", both, "[]", 1, R"({"image_url":"a"})"},
      {"two prefer an input of many", both, "[]", 2, R"({"image_urls":["a","b"]})"},
      {"two required", tryon, R"(["person_image_url", "garment_image_url"])", 2,
       R"({"garment_image_url":"b","person_image_url":"a"})"},
      {"a second one is a reference", reference, R"(["image_url"])", 2,
       R"({"image_url":"a","reference_image_url":"b"})"},
      {"a control, where there is no other", control, "[]", 1, R"({"control_image_url":"a"})"},
  };
  for (const Case& c : cases) {
    SUBCASE(c.name.c_str()) {
      CHECK(rendered(plan(edit(c.images), of(c.properties, c.required)), c.images) == c.want);
    }
  }
}

TEST_CASE("a picture that is given natively stays, and the request's goes elsewhere") {
  ImageRequest request = edit();
  request.native = fields(R"({"image_url": "https://example.org/own.png"})");
  const FalPlan mapped =
      plan(request, with({one_image, R"("reference_image_url": {"type": "string"})"}));
  CHECK(rendered(mapped, 1) ==
        R"({"image_url":"https://example.org/own.png","reference_image_url":"a"})");
}

TEST_CASE("an edit that the model cannot do says why") {
  struct Case {
    std::string name;
    std::vector<std::string_view> inputs;
    std::string_view required;
    ImageRequest request;
    ErrorKind kind;
    std::string field;
  };
  const std::vector<Case> cases = {
      {"no picture at all", {seed}, "[]", edit(), ErrorKind::edit_unsupported, "image"},
      {"a mask is no picture to edit", {mask}, "[]", edit(), ErrorKind::edit_unsupported, "image"},
      {"too many", {one_image}, "[]", edit(2), ErrorKind::invalid_value, "image"},
      {"too many for a list", {many_images}, "[]", edit(4), ErrorKind::invalid_value, "image"},
      {"a second required one",
       {one_image, R"("garment_image_url": {"type": "string"})"},
       R"(["image_url", "garment_image_url"])",
       edit(),
       ErrorKind::missing_parameter,
       "garment_image_url"},
      {"a mask that is required",
       {one_image, mask},
       R"(["image_url", "mask_url"])",
       edit(),
       ErrorKind::missing_parameter,
       "mask"},
      {"a mask that is not taken",
       {one_image},
       "[]",
       masked_edit(),
       ErrorKind::unsupported_parameter,
       "mask"},
      {"at least two",
       {R"("image_urls": {"type": "array", "items": {"type": "string"}, "minItems": 2})"},
       R"(["image_urls"])",
       edit(),
       ErrorKind::missing_parameter,
       "image"},
      {"a required field of its own",
       {one_image, R"("strength": {"type": "number"})"},
       R"(["image_url", "strength"])",
       edit(),
       ErrorKind::missing_parameter,
       "strength"},
  };
  for (const Case& c : cases) {
    SUBCASE(c.name.c_str()) {
      const auto mapped = map(c.request, with(c.inputs, c.required));
      REQUIRE_FALSE(mapped);
      CHECK(mapped.error().kind == c.kind);
      CHECK(mapped.error().field == c.field);
      CHECK_FALSE(mapped.error().message.empty());
    }
  }
}

TEST_CASE("a mask goes to the input for masks, in the convention that the model takes") {
  const ModelSchema model = with({one_image, mask});
  const FalPlan mapped = plan(masked_edit(), model);
  CHECK(rendered(mapped, 1) == R"({"image_url":"a","mask_url":"m"})");
  CHECK(mapped.mask == MaskConvention::white);

  ModelSettings settings;
  settings.mask = MaskConvention::black;
  CHECK(plan(masked_edit(), model, settings).mask == MaskConvention::black);

  const ModelSchema openai_like =
      with({openai_sizes, many_images, R"("mask_image_url": {"type": "string"})",
            R"("quality": {"type": "string", "enum": ["auto", "low", "medium", "high"]})"});
  CHECK(plan(masked_edit(), openai_like).mask == MaskConvention::alpha);
  CHECK(rendered(plan(masked_edit(), openai_like), 1) ==
        R"({"image_urls":["a"],"mask_image_url":"m"})");
}

TEST_CASE("a variation brings its own prompt where the model requires one") {
  ImageRequest request = edit();
  request.operation = openai::ImageOperation::variation;
  request.prompt.reset();
  const FalPlan needs_one = plan(request, with({one_image}));
  CHECK(sent(needs_one, "prompt") == R"("A variation of this image.")");
  CHECK(has_note(needs_one, "prompt"));
  const FalPlan needs_none =
      plan(request, of(R"("prompt": {"type": "string"}, "image_url": {"type": "string"})"));
  CHECK(sent(needs_none, "prompt").empty());
}

TEST_CASE("a size that the model requires is that of the first picture") {
  // The first bytes of a PNG of 640x480.
  const auto png = std::make_shared<const std::string>(
      std::string("\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x02\x80\0\0\x01\xe0\x08\x06\0\0\0", 29));
  ImageRequest request = edit(0);
  request.images.push_back({"", png, *png});
  CHECK(sent(plan(request, with({one_image, free_size}, R"(["image_url", "image_size"])")),
             "image_size") == R"({"height":480,"width":640})");
  CHECK(
      sent(plan(request, with({one_image, free_size}, R"(["image_url"])")), "image_size").empty());
}

TEST_CASE("addresses stand in the body without a copy, and are escaped where they must be") {
  const FalPlan mapped = plan(edit(), with({one_image}));
  const auto data =
      std::make_shared<const std::string>("data:image/png;base64," + std::string(1'000'000, 'A'));
  Body address;
  address.append(Piece{data, *data});
  const Body body = translate::render(mapped.jobs.at(0), {address}, {});
  CHECK(nlohmann::json::parse(body.str())["image_url"] == *data);
  CHECK(std::ranges::any_of(
      body.pieces(), [&](const Piece& piece) { return piece.bytes.data() == data->data(); }));

  const std::string odd = "https://example.org/\"\\\n\xc3\xa9.png";
  const Body escaped = translate::render(mapped.jobs.at(0), {Body(odd)}, {});
  CHECK(nlohmann::json::parse(escaped.str())["image_url"] == odd);
}

TEST_CASE("pictures that stand in objects are put there") {
  const ModelSchema model = of(
      R"("prompt": {"type": "string"}, "images": {"type": "array", "items": {"type": "object",
         "properties": {"image_url": {"type": "string"}}, "required": ["image_url"]}})",
      R"(["images"])");
  if (model.image_fields.empty() || model.image_fields[0].member.empty()) return;
  CHECK(rendered(plan(edit(2), model), 2) == R"({"images":[{"image_url":"a"},{"image_url":"b"}]})");
}
