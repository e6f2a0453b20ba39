#include "support/pictures.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "plan/models.hpp"

using namespace falproxy;
using namespace models;

namespace {

// The body of the first job, without the prompt, with a, b, c... in place of the pictures and m of
// the mask.
std::string rendered(const Plan& plan, std::size_t images) {
  std::vector<Body> addresses;
  for (std::size_t i = 0; i < images; ++i)
    addresses.emplace_back(std::string(1, static_cast<char>('a' + i)));
  auto body =
      nlohmann::json::parse(plan::render(plan.jobs.at(0), addresses, Body(std::string("m"))).str());
  body.erase("prompt");
  return body.dump();
}

Wish masked_edit() {
  Wish request = edit();
  request.mask = InputFile{"https://example.org/mask.png"};
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
      CHECK(rendered(plan_of(edit(c.images), of(c.properties, c.required)), c.images) == c.want);
    }
  }
}

TEST_CASE("a picture that is given natively stays, and the request's goes elsewhere") {
  Wish request = edit();
  request.native = fields(R"({"image_url": "https://example.org/own.png"})");
  const Plan mapped =
      plan_of(request, with({one_image, R"("reference_image_url": {"type": "string"})"}));
  CHECK(rendered(mapped, 1) ==
        R"({"image_url":"https://example.org/own.png","reference_image_url":"a"})");
}

TEST_CASE("an edit that the model cannot do says why") {
  struct Case {
    std::string name;
    std::vector<std::string_view> inputs;
    std::string_view required;
    Wish request;
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

TEST_CASE("an edit is refused whose picture stands in a field that the model does not have") {
  const Profile model = with({one_image, mask});
  Wish request = edit(0);
  request.native = fields(R"({"init_image": "https://example.org/own.png"})");
  auto mapped = map(request, model);
  REQUIRE_FALSE(mapped);
  CHECK(mapped.error().kind == ErrorKind::unknown_parameter);
  CHECK(mapped.error().field == "init_image");
  CHECK(mapped.error().message.find("Send the picture as 'image'") != std::string::npos);

  const auto png = std::make_shared<const std::string>(tests::whole_png(3, 3));
  request.native = {{"input", Json::string("data:(picture)")}};
  request.attached = {{"input", {}, {"", png, *png}}};
  mapped = map(request, model);
  REQUIRE_FALSE(mapped);
  CHECK(mapped.error().field == "input");

  // A mask alone edits nothing.
  request.attached.clear();
  request.native = fields(R"({"mask_url": "https://example.org/image.png", "image_size": "auto"})");
  mapped = map(request, model);
  REQUIRE_FALSE(mapped);
  CHECK(mapped.error().field == "image");

  request.native = fields(R"({"image_url": "https://example.org/image.png"})");
  CHECK(map(request, model));
  ModelSettings settings;
  settings.overrides = fields(R"({"image_url": "https://example.org/fixed.png"})");
  request.native.clear();
  CHECK(map(request, model, settings));
  request.intent = Intent::generation;
  CHECK(map(request, model));
  request.mask = InputFile{"https://example.org/mask.png"};
  CHECK_FALSE(map(request, model));
}

TEST_CASE("pictures that the model does not look at are told (D13)") {
  const Profile model = with({R"("image_urls": {"type": "array", "items": {"type": "string"},
      "description": "If over 2 images are sent, only the last 2 will be used."})"});
  CHECK(plan_of(edit(2), model).notes.empty());
  const Plan three = plan_of(edit(3), model);
  CHECK(note(three, "image") ==
        "3 pictures are sent as 'image_urls', of which the model uses the last 2 only");
  Wish native = edit(0);
  native.native = fields(R"({"image_urls": ["https://a.b/1", "https://a.b/2", "https://a.b/3"]})");
  CHECK(has_note(plan_of(native, model), "image_urls", "the last 2 only"));
}

TEST_CASE("a mask means what the description of its input says, and a Note tells it (D3)") {
  struct Case {
    std::string description;
    MaskConvention want;
    std::string told;
  };
  for (const Case& c : std::vector<Case>{
           {"Optional mask image where black areas indicate regions to sketch/paint.",
            MaskConvention::black, "black"},
           {"Should be a binary mask where white (255) indicates areas to erase",
            MaskConvention::white, "white"},
           {"Black areas are kept.", MaskConvention::white, "white"},
           {"White pixels are preserved, black pixels will be inpainted.", MaskConvention::black,
            "black"},
           {"White is painted. Black is painted.", MaskConvention::either, "white and transparent"},
           {"A binary mask image (white=person, black=background).", MaskConvention::either,
            "white and transparent"},
           {"The URL of the mask.", MaskConvention::either, "does not say"},
       }) {
    CAPTURE(c.description);
    const std::string input =
        R"("mask_url": {"type": "string", "description": ")" + c.description + R"("})";
    const Plan mapped = plan_of(masked_edit(), with({one_image, input}));
    CHECK(mapped.mask == c.want);
    CHECK(has_note(mapped, "mask", c.told));
  }
}

TEST_CASE("a mask goes to the input for masks, in the convention that the model takes") {
  const Profile model = with({one_image, mask});
  const Plan mapped = plan_of(masked_edit(), model);
  CHECK(rendered(mapped, 1) == R"({"image_url":"a","mask_url":"m"})");
  CHECK(mapped.mask == MaskConvention::either);

  ModelSettings settings;
  settings.mask = MaskConvention::black;
  CHECK(plan_of(masked_edit(), model, settings).mask == MaskConvention::black);

  const Profile openai_like =
      with({openai_sizes, many_images, R"("mask_image_url": {"type": "string"})",
            R"("quality": {"type": "string", "enum": ["auto", "low", "medium", "high"]})"});
  CHECK(plan_of(masked_edit(), openai_like).mask == MaskConvention::alpha);
  CHECK(rendered(plan_of(masked_edit(), openai_like), 1) ==
        R"({"image_urls":["a"],"mask_image_url":"m"})");
}

TEST_CASE("a variation brings its own prompt where the model requires one") {
  Wish request = edit();
  request.intent = Intent::variation;
  request.prompt.reset();
  const Plan needs_one = plan_of(request, with({one_image}));
  CHECK(sent(needs_one, "prompt") == R"("A variation of this image.")");
  CHECK(has_note(needs_one, "prompt"));
  const Plan needs_none =
      plan_of(request, of(R"("prompt": {"type": "string"}, "image_url": {"type": "string"})"));
  CHECK(sent(needs_none, "prompt").empty());
}

TEST_CASE("a size that the model requires is that of the first picture") {
  // The first bytes of a PNG of 640x480.
  const auto png = std::make_shared<const std::string>(
      std::string("\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x02\x80\0\0\x01\xe0\x08\x06\0\0\0", 29));
  Wish request = edit(0);
  request.images.push_back({"", png, *png});
  CHECK(sent(plan_of(request, with({one_image, free_size}, R"(["image_url", "image_size"])")),
             "image_size") == R"({"height":480,"width":640})");
  CHECK(sent(plan_of(request, with({one_image, free_size}, R"(["image_url"])")), "image_size")
            .empty());
}

TEST_CASE("an edit that asks for no size keeps the picture's shape, as far as the model can (D1)") {
  const auto png = std::make_shared<const std::string>(tests::whole_png(300, 200));
  const std::string ratio_input = R"("aspect_ratio": {"type": "string", "enum": [)";
  struct Row {
    const char* name;
    std::string input;
    std::string sent;
  };
  const std::vector<Row> cases = {
      {"a default of another shape",
       R"("image_size": {"type": "object", "properties": {"width": {"type": "integer"}, "height": {"type": "integer"}}, "default": {"width": 1024, "height": 1024}})",
       R"({"height":832,"width":1248})"},
      {"a default of the same shape",
       R"("image_size": {"type": "object", "properties": {"width": {"type": "integer"}, "height": {"type": "integer"}}, "default": {"width": 1200, "height": 800}})",
       ""},
      {"no default",
       R"("image_size": {"type": "object", "properties": {"width": {"type": "integer"}, "height": {"type": "integer"}}})",
       ""},
      {"ratios", ratio_input + R"("1:1", "4:3", "3:2"], "default": "1:1"})", R"("3:2")"},
      {"a word for it", ratio_input + R"("1:1", "3:2", "auto"], "default": "1:1"})", R"("auto")"},
      {"that word is the default", ratio_input + R"("1:1", "3:2", "auto"], "default": "auto"})",
       ""},
      {"no nearer shape", ratio_input + R"("1:1", "1:2", "9:16"], "default": "1:1"})", ""},
  };
  for (const Row& row : cases) {
    CAPTURE(row.name);
    const Profile model = with({one_image, row.input}, R"(["image_url"])");
    const std::string field = row.input.substr(1, row.input.find('"', 1) - 1);
    Wish request = edit(0);
    request.images.push_back({"", png, *png});
    const Plan made = plan_of(request, model);
    CHECK(sent(made, field) == row.sent);
    CHECK(has_note(made, "size") == !row.sent.empty());
    CHECK(sent(plan_of(edit(1), model), field).empty());  // of an address the shape is not known
  }
  Wish request = edit(0);
  request.images.push_back({"", png, *png});
  const Profile model = with({one_image, cases[3].input}, R"(["image_url"])");
  ModelSettings settings;
  settings.defaults = fields(R"({"aspect_ratio": "4:3"})");
  CHECK(sent(plan_of(request, model, settings), "aspect_ratio") == R"("4:3")");
  request.size = automatic();
  CHECK(sent(plan_of(request, model), "aspect_ratio") == R"("3:2")");
  request.intent = Intent::generation;
  CHECK(sent(plan_of(request, model), "aspect_ratio").empty());
  request.intent = Intent::edit;
  request.size = pixels(512, 512);
  CHECK(sent(plan_of(request, model), "aspect_ratio") == R"("1:1")");
}

TEST_CASE("the shape of a style's picture, or one beyond 3:1, is nothing to keep") {
  const std::string ratio_input =
      R"("aspect_ratio": {"type": "string", "enum": ["1:1", "3:2", "21:9"], "default": "1:1"})";
  const auto sent_for = [&](std::uint32_t width, std::uint32_t height, std::string_view input) {
    const auto png = std::make_shared<const std::string>(tests::whole_png(width, height));
    Wish request = edit(0);
    request.images.push_back({"", png, *png});
    return sent(plan_of(request, with({input, ratio_input})), "aspect_ratio");
  };
  CHECK(sent_for(300, 200, one_image) == R"("3:2")");
  CHECK(sent_for(900, 100, one_image).empty());
  CHECK(sent_for(300, 200, R"("style_image_url": {"type": "string"})").empty());
}

TEST_CASE("a picture in a model's own field gives its size, and gets an address (D7, D12)") {
  const auto jpeg = std::make_shared<const std::string>(
      tests::jpeg_head(300, 200).insert(2, tests::exif_segment(6)));
  Wish request = edit(0);
  request.native = {{"image_url", Json::string("data:(picture)")}};
  request.attached = {{"image_url", {}, {"", jpeg, *jpeg}}};
  const Plan mapped =
      plan_of(request, with({one_image, free_size}, R"(["image_url", "image_size"])"));
  CHECK(sent(mapped, "image_size") == R"({"height":300,"width":200})");
  CHECK(rendered(mapped, 1).find(R"("image_url":"a")") != std::string::npos);

  // Beside others: that of the picture which is worked on, wherever it came.
  const auto small = std::make_shared<const std::string>(tests::whole_png(5, 6));
  request.native =
      fields(R"x({"control_image_url": "data:(picture)", "image_url": "data:(picture)"})x");
  request.attached = {{"control_image_url", {}, {"", small, *small}},
                      {"image_url", {}, {"", jpeg, *jpeg}}};
  const std::vector<std::string_view> inputs = {one_image, free_size,
                                                R"("control_image_url": {"type": "string"})"};
  CHECK(sent(plan_of(request, with(inputs, R"(["image_size"])")), "image_size") ==
        R"({"height":300,"width":200})");
  request.native.erase(request.native.begin() + 1);
  request.attached.erase(request.attached.begin() + 1);
  request.images = {{"", jpeg, *jpeg}};
  CHECK(sent(plan_of(request, with(inputs, R"(["image_size"])")), "image_size") ==
        R"({"height":300,"width":200})");
  request.native = fields(R"x({"image_url": "data:(picture)"})x");
  request.attached = {{"image_url", {}, {"", small, *small}}};
  CHECK(sent(plan_of(request, with(inputs, R"(["image_size"])")), "image_size") ==
        R"({"height":6,"width":5})");

  Wish several = edit(1);
  several.native = {{"image_urls", *Json::parse(R"x(["https://x.example/", "data:(picture)"])x")}};
  several.attached = {{"image_urls", "/1", {"", jpeg, *jpeg}}};
  const std::string body = rendered(plan_of(several, with({many_images, one_image})), 2);
  CHECK(body == R"({"image_url":"a","image_urls":["https://x.example/","b"]})");
}

TEST_CASE("addresses stand in the body without a copy, and are escaped where they must be") {
  const Plan mapped = plan_of(edit(), with({one_image}));
  const auto data =
      std::make_shared<const std::string>("data:image/png;base64," + std::string(1'000'000, 'A'));
  Body address;
  address.append(Piece{data, *data});
  const Body body = plan::render(mapped.jobs.at(0), {address}, {});
  CHECK(nlohmann::json::parse(body.str())["image_url"] == *data);
  CHECK(std::ranges::any_of(
      body.pieces(), [&](const Piece& piece) { return piece.bytes.data() == data->data(); }));

  const std::string odd = "https://example.org/\"\\\n\xc3\xa9.png";
  const Body escaped = plan::render(mapped.jobs.at(0), {Body(odd)}, {});
  CHECK(nlohmann::json::parse(escaped.str())["image_url"] == odd);
}

TEST_CASE("a picture gets its address however deep it stands, and all beside it stays") {
  const auto png = std::make_shared<const std::string>(tests::whole_png(3, 2));
  Wish request = generation();
  request.native = fields(
      R"x({"refs": [{"a/b~": {"image": "data:(picture)", "kind": 1}}, "data:(picture)", null, []]})x");
  request.attached = {{"refs", "/0/a~1b~0/image", {"", png, *png}}};
  CHECK(rendered(plan_of(request, with({R"("refs": {"type": "array"})"})), 1) ==
        R"x({"refs":[{"a/b~":{"image":"a","kind":1}},"data:(picture)",null,[]]})x");
}

TEST_CASE("pictures that stand in objects are put there") {
  const Profile model = of(
      R"("prompt": {"type": "string"}, "images": {"type": "array", "items": {"type": "object",
         "properties": {"image_url": {"type": "string"}}, "required": ["image_url"]}})",
      R"(["images"])");
  CHECK(rendered(plan_of(edit(2), model), 2) ==
        R"({"images":[{"image_url":"a"},{"image_url":"b"}]})");
}
