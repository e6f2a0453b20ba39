#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "plan/models.hpp"

using namespace falproxy;
using namespace models;

namespace {

Wish native(std::string_view text) {
  Wish request = generation();
  request.native = fields(text);
  return request;
}

constexpr std::string_view steps =
    R"("num_inference_steps": {"type": "integer", "minimum": 1, "maximum": 50, "default": 28})";
constexpr std::string_view loras =
    R"("loras": {"type": "array", "items": {"type": "object", "required": ["path"], "properties": {
       "path": {"type": "string"}, "scale": {"type": "number", "maximum": 4}}}})";

}  // namespace

TEST_CASE("the prompt goes where the model takes it") {
  struct Case {
    std::string name;
    std::string_view properties;
    std::string_view required;
    std::string want;
  };
  const std::vector<Case> cases = {
      {"prompt", R"("prompt": {"type": "string"}, "text": {"type": "string"})", R"(["prompt"])",
       R"({"prompt":"a lighthouse"})"},
      {"another name", R"("instruction": {"type": "string"})", R"(["instruction"])",
       R"({"instruction":"a lighthouse"})"},
      {"the likeliest of several",
       R"("text": {"type": "string"}, "text_prompt": {"type": "string"})", "[]",
       R"({"text_prompt":"a lighthouse"})"},
      {"the one text that is required",
       R"("new_text": {"type": "string"}, "note": {"type": "string"}, "model_name": {"type": "string", "default": "x"})",
       R"(["new_text"])", R"({"new_text":"a lighthouse"})"},
      {"the description of a scene", R"("scene_description": {"type": "string"})", "[]",
       R"({"scene_description":"a lighthouse"})"},
      {"what the model requires before what only adds to a prompt",
       R"("subject": {"type": "string"}, "additional_prompt": {"type": "string"})",
       R"(["subject"])", R"({"subject":"a lighthouse"})"},
      {"what is called a prompt before what only adds to one",
       R"("positive_prompt": {"type": "string"}, "additional_prompt": {"type": "string"})", "[]",
       R"({"positive_prompt":"a lighthouse"})"},
      {"a list of prompts", R"("prompt": {"type": "array", "items": {"type": "string"}})",
       R"(["prompt"])", R"({"prompt":["a lighthouse"]})"},
      {"a name made of known words",
       R"("input_prompt": {"type": "string"}, "negative_prompt": {"type": "string"})", "[]",
       R"({"input_prompt":"a lighthouse"})"},
      {"a list of another name", R"("prompts": {"type": "array", "items": {"type": "string"}})",
       R"(["prompts"])", R"({"prompts":["a lighthouse"]})"},
      {"not into a list of points",
       R"("prompts": {"type": "array", "items": {"type": "object", "properties": {"x": {"type": "integer"}}}})",
       "[]", "{}"},
      {"not into the address of a picture",
       R"("image_prompt": {"type": "string", "description": "URL of an image"})", "[]", "{}"},
      {"nowhere", R"("steps": {"type": "integer"})", "[]", "{}"},
      {"not into an enum", R"("text": {"type": "string", "enum": ["a", "b"]})", "[]", "{}"},
  };
  for (const Case& c : cases) {
    SUBCASE(c.name.c_str()) {
      const Plan mapped = plan_of(generation(), of(c.properties, c.required));
      CHECK(mapped.jobs.at(0).input.dump() == c.want);
      if (c.want == "{}") CHECK(has_note(mapped, "prompt", "dropped"));
    }
  }
}

TEST_CASE("a prompt that the model's document refuses is refused here") {
  const Profile model = with({R"("prompt": {"type": "string", "minLength": 2, "maxLength": 5})"});
  CHECK(map(generation("caf\xc3\xa9s"), model));  // five characters, six bytes
  for (const std::string text : {"x", "123456"}) {
    CAPTURE(text);
    const auto mapped = map(generation(text), model);
    REQUIRE_FALSE(mapped);
    CHECK(mapped.error().kind == ErrorKind::invalid_value);
    CHECK(mapped.error().field == "prompt");
  }
  Wish empty;
  const auto mapped = map(empty, model);
  REQUIRE_FALSE(mapped);
  CHECK(mapped.error().kind == ErrorKind::missing_parameter);
  CHECK(mapped.error().field == "prompt");
}

TEST_CASE("the model's own fields go through as they are") {
  const Profile model = with({steps, loras, seed, free_size, ratios});
  const Plan mapped = plan_of(
      native(R"({"num_inference_steps": 12, "loras": [{"path": "x", "scale": 1.5}], "seed": 42})"),
      model);
  CHECK(sent(mapped) ==
        R"({"loras":[{"path":"x","scale":1.5}],"num_inference_steps":12,"seed":42})");
  CHECK(mapped.notes.empty());
}

TEST_CASE("the model's own fields are checked before a job is paid for") {
  struct Case {
    std::string name;
    std::string_view fields;
    ErrorKind kind;
    std::string field;
  };
  const std::vector<Case> cases = {
      {"a wrong type", R"({"num_inference_steps": "many"})", ErrorKind::invalid_type,
       "num_inference_steps"},
      {"over a bound", R"({"num_inference_steps": 51})", ErrorKind::invalid_value,
       "num_inference_steps"},
      {"below a bound", R"({"num_inference_steps": 0})", ErrorKind::invalid_value,
       "num_inference_steps"},
      {"not in an enum", R"({"aspect_ratio": "7:4"})", ErrorKind::invalid_value, "aspect_ratio"},
      {"deep within", R"({"loras": [{"path": "x", "scale": 9}]})", ErrorKind::invalid_value,
       "loras[0].scale"},
      {"lacking a member", R"({"loras": [{}]})", ErrorKind::missing_parameter, "loras[0].path"},
  };
  const Profile model = with({steps, loras, ratios});
  for (const Case& c : cases) {
    SUBCASE(c.name.c_str()) {
      const auto mapped = map(native(c.fields), model);
      REQUIRE_FALSE(mapped);
      CHECK(mapped.error().kind == c.kind);
      CHECK(mapped.error().field == c.field);
      CHECK(mapped.error().message.find(c.field) != std::string::npos);
    }
  }
}

TEST_CASE(
    "a field that nobody knows is dropped and said, or refused where the operator wants it "
    "strict") {
  const Profile model = with({steps});
  const Wish request = native(R"({"number_of_hares": 12})");
  const Plan mapped = plan_of(request, model);
  CHECK(sent(mapped) == "{}");
  CHECK(has_note(mapped, "number_of_hares", "dropped"));

  Options strict;
  strict.strict_parameters = true;
  const auto refused = map(request, model, {}, strict);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == ErrorKind::unknown_parameter);
  CHECK(refused.error().field == "number_of_hares");
  CHECK(map(native(R"({"complexity": "low", "aspect_ratio": "1:1"})"), model, {}, strict));
  Wish openai = generation();
  openai.style = "vivid";
  openai.user = "somebody";
  CHECK(map(openai, model, {}, strict));
}

TEST_CASE("what a request says natively wins over the OpenAI field that it overlaps") {
  struct Case {
    std::string name;
    std::vector<std::string_view> inputs;
    Wish request;
    std::string want;
    std::string noted;  // the OpenAI field that is dropped
  };
  const std::string_view speed =
      R"("rendering_speed": {"type": "string", "enum": ["TURBO", "BALANCED", "QUALITY"], "default": "BALANCED"})";
  const std::string_view tolerance =
      R"("safety_tolerance": {"type": "string", "enum": ["1", "2", "6"]})";
  const auto request = [](std::string_view text, auto change) {
    Wish made = native(text);
    change(made);
    return made;
  };
  const std::vector<Case> cases = {
      {"size",
       {free_size},
       request(R"({"image_size": "square"})", [](auto& r) { r.size = pixels(1024, 768); }),
       R"({"image_size":"square"})",
       "size"},
      {"a size of another control",
       {free_size, ratios},
       request(R"({"aspect_ratio": "4:3"})", [](auto& r) { r.size = pixels(1024, 1024); }),
       R"({"aspect_ratio":"4:3"})",
       "size"},
      {"a tier next to a size",
       {ratios, tiers},
       request(R"({"resolution": "4K"})", [](auto& r) { r.size = pixels(1024, 768); }),
       R"({"aspect_ratio":"4:3","resolution":"4K"})",
       ""},
      {"n",
       {four_images},
       request(R"({"num_images": 2})", [](auto& r) { r.n = 3; }),
       R"({"num_images":2})",
       "n"},
      {"quality",
       {speed},
       request(R"({"rendering_speed": "TURBO"})", [](auto& r) { r.quality = "hd"; }),
       R"({"rendering_speed":"TURBO"})",
       "quality"},
      {"moderation",
       {tolerance},
       request(R"({"safety_tolerance": "1"})", [](auto& r) { r.moderation = "low"; }),
       R"({"safety_tolerance":"1"})",
       "moderation"},
  };
  for (const Case& c : cases) {
    SUBCASE(c.name.c_str()) {
      const Plan mapped = plan_of(c.request, with(c.inputs));
      CHECK(sent(mapped) == c.want);
      if (!c.noted.empty()) CHECK(has_note(mapped, c.noted, "dropped"));
    }
  }
}

TEST_CASE("a ratio or pixels in a model's own words reach a model that has others") {
  Wish request = native(R"({"aspect_ratio": "16:9"})");
  request.size = ratio(16, 9);  // as the reader of requests makes of it
  CHECK(sent(plan_of(request, with({free_size}))) ==
        R"({"image_size":{"height":720,"width":1280}})");
  CHECK(sent(plan_of(request, with({ratios}))) == R"({"aspect_ratio":"16:9"})");
  CHECK(plan_of(request, with({ratios})).notes.empty());
  CHECK(has_note(plan_of(request, with({seed})), "aspect_ratio", "dropped"));

  request = native(R"({"height": 768, "width": 1024})");
  request.size = pixels(1024, 768);
  CHECK(sent(plan_of(request, with({openai_sizes}))) == R"({"image_size":"1536x1024"})");
  CHECK(sent(plan_of(request, with({free_size}))) ==
        R"({"image_size":{"height":768,"width":1024}})");
  CHECK(plan_of(request, with({free_size})).notes.empty());
  const std::string_view pair = R"("width": {"type": "integer"}, "height": {"type": "integer"})";
  const Plan mapped = plan_of(request, with({pair}));
  CHECK(sent(mapped) == R"({"height":768,"width":1024})");
  CHECK(mapped.size == "1024x768");
  CHECK(mapped.notes.empty());
}

TEST_CASE(
    "the operator's defaults hold where the request says nothing, and overrides hold always") {
  ModelSettings settings;
  settings.defaults = fields(R"({"num_inference_steps": 20, "image_size": "square"})");
  settings.overrides = fields(R"({"seed": 5})");
  const Profile model = with({steps, free_size, seed});

  Plan mapped = plan_of(generation(), model, settings);
  CHECK(sent(mapped) == R"({"image_size":"square","num_inference_steps":20,"seed":5})");
  CHECK(mapped.size == "512x512");

  Wish open = generation();
  open.size = automatic();
  mapped = plan_of(open, model, settings);
  CHECK(sent(mapped, "image_size") == R"("square")");
  CHECK(mapped.size == "512x512");
  CHECK(mapped.notes.empty());

  Wish request = native(R"({"num_inference_steps": 30, "seed": 6})");
  request.size = pixels(640, 480);
  mapped = plan_of(request, model, settings);
  CHECK(sent(mapped) ==
        R"({"image_size":{"height":480,"width":640},"num_inference_steps":30,"seed":5})");
  CHECK(mapped.size == "640x480");
  CHECK(has_note(mapped, "seed", "overrides"));
}

TEST_CASE("an operator's field that does not fit the model is the operator's fault by name") {
  const Profile model = with({steps});
  for (const bool override_it : {false, true}) {
    ModelSettings settings;
    (override_it ? settings.overrides : settings.defaults) =
        fields(R"({"num_inference_steps": 99})");
    const auto mapped = map(generation(), model, settings);
    REQUIRE_FALSE(mapped);
    CHECK(mapped.error().kind == ErrorKind::invalid_settings);
    CHECK(mapped.error().field ==
          (override_it ? "overrides.num_inference_steps" : "defaults.num_inference_steps"));
  }
  ModelSettings unknown;
  unknown.defaults = fields(R"({"steps": 99})");
  CHECK(has_note(plan_of(generation(), model, unknown), "steps", "operator"));
  Options strict;
  strict.strict_parameters = true;
  CHECK_FALSE(map(generation(), model, unknown, strict));
}

TEST_CASE("a field that the model requires and nobody gave is named") {
  const std::string_view model_name = R"("model_name": {"type": "string"})";
  const std::string_view task = R"("task": {"type": "string", "enum": ["deblur", "denoise"]})";
  struct Case {
    std::string name;
    std::string_view input;
    std::string_view required;
    std::string field;
    std::string mend;
  };
  const std::vector<Case> cases = {
      {"a text", model_name, R"(["prompt", "model_name"])", "model_name", "model_name"},
      {"an enum", task, R"(["prompt", "task"])", "task", "'deblur', 'denoise'"},
      {"a picture", one_image, R"(["prompt", "image_url"])", "image_url", "/v1/images/edits"},
  };
  for (const Case& c : cases) {
    SUBCASE(c.name.c_str()) {
      const auto mapped = map(generation(), with({c.input}, c.required));
      REQUIRE_FALSE(mapped);
      CHECK(mapped.error().kind == ErrorKind::missing_parameter);
      CHECK(mapped.error().field == c.field);
      CHECK(mapped.error().message.find(c.mend) != std::string::npos);
    }
  }
  CHECK(
      map(native(R"({"model_name": "sd-xl"})"), with({model_name}, R"(["prompt", "model_name"])")));
}

TEST_CASE("what is required is given by the document where it can be") {
  struct Case {
    std::string name;
    std::string_view input;
    std::string_view required;
    std::string want;
  };
  const std::vector<Case> cases = {
      {"a default", R"("mode": {"type": "string", "default": "fast"})", R"(["mode"])",
       R"({"mode":"fast"})"},
      {"the only value", R"("mode": {"type": "string", "enum": ["fast"]})", R"(["mode"])",
       R"({"mode":"fast"})"},
      {"the only value of its one kind",
       R"("mode": {"allOf": [{"type": "string"}, {"const": "fast"}], "default": "slow"})",
       R"(["mode"])", R"({"mode":"fast"})"},
      {"null, where the default does not fit",
       R"("light": {"type": ["integer", "null"], "minimum": 0, "default": -5})", R"(["light"])",
       R"({"light":null})"},
      {"null", R"("light": {"anyOf": [{"type": "string"}, {"type": "null"}]})", R"(["light"])",
       R"({"light":null})"},
      {"a size", free_size, R"(["image_size"])", R"({"image_size":{"height":1024,"width":1024}})"},
      {"a size that has an auto", openai_sizes, R"(["image_size"])", R"({"image_size":"auto"})"},
      {"a ratio", ratios, R"(["aspect_ratio"])", R"({"aspect_ratio":"1:1"})"},
  };
  for (const Case& c : cases) {
    SUBCASE(c.name.c_str()) {
      CHECK(sent(plan_of(generation(), with({c.input}, c.required))) == c.want);
    }
  }
}

TEST_CASE("a size that nobody gave is told as such") {
  CHECK(note(plan_of(generation(), with({ratios}, R"(["aspect_ratio"])")), "aspect_ratio") ==
        "required, and not given: 1024x1024 was meant; 1024x1024 became aspect_ratio 1:1");
  constexpr std::string_view no_default =
      R"("image_size": {"type": "object", "properties": {
          "width": {"type": "integer"}, "height": {"type": "integer"}}})";
  CHECK(note(plan_of(generation(), with({no_default}, R"(["image_size"])")), "image_size") ==
        "required, and not given: 1024x1024 was meant");
  CHECK(note(plan_of(generation(), with({openai_sizes}, R"(["image_size"])")), "size").empty());
}

TEST_CASE("a default that breaks its own bounds is not sent where the field is required") {
  const auto mapped =
      map(generation(), with({R"("steps": {"type": "integer", "minimum": 1, "default": 0})"},
                             R"(["prompt", "steps"])"));
  REQUIRE_FALSE(mapped);
  CHECK(mapped.error().kind == ErrorKind::missing_parameter);
  CHECK(mapped.error().field == "steps");
}

TEST_CASE("an OpenAI field whose value the model's input refuses is dropped with a note") {
  Wish request = generation();
  request.user = "somebody";
  request.quality = "high";
  const Plan mapped =
      plan_of(request, with({R"("user": {"type": "string", "maxLength": 3})",
                             R"("quality": {"type": "string", "pattern": "^[A-Z]+$"})"}));
  CHECK(sent(mapped) == "{}");
  CHECK(note(mapped, "user") == "dropped: 'user' must have at most 3 characters, not 8.");
  CHECK(has_note(mapped, "quality", "dropped: "));
  for (const auto& row : mapped.mappings) {
    CAPTURE(row.field);
    CHECK((row.field == "prompt" || row.property.empty()));
  }
}

TEST_CASE(
    "the response format is the client's, the model's, the operator's, or told from the name") {
  const Profile model = with({R"("sync_mode": {"type": "boolean", "default": false})"});
  const auto format = [&](const Wish& request, const ModelSettings& settings = {},
                          const Options& options = {}) {
    return plan_of(request, model, settings, options).response_format;
  };
  Wish request = generation();
  CHECK(format(request) == ResponseFormat::url);
  request.model = "flux-dev";
  CHECK(format(request) == ResponseFormat::url);
  request.model = "gpt-image-1";
  CHECK(format(request) == ResponseFormat::b64_json);
  request.model = "chatgpt-image-latest";
  CHECK(format(request) == ResponseFormat::b64_json);
  Options options;
  options.default_response_format = {{"chatgpt-*", ResponseFormat::b64_json},
                                     {"*", ResponseFormat::url}};
  CHECK(format(request, {}, options) == ResponseFormat::b64_json);
  options.default_response_format = {{"*", ResponseFormat::url}};
  CHECK(format(request, {}, options) == ResponseFormat::url);
  ModelSettings settings;
  settings.response_format = ResponseFormat::b64_json;
  CHECK(format(request, settings, options) == ResponseFormat::b64_json);
  request.response_format = ResponseFormat::url;
  CHECK(format(request, settings, options) == ResponseFormat::url);
  request.stream = true;
  CHECK(format(request, settings, options) == ResponseFormat::b64_json);
}

TEST_CASE("an edit that asks for no format is answered in base64, but for names of DALL-E") {
  const Profile model =
      of(R"("prompt": {"type": "string"}, "image_url": {"type": "string"})", R"(["image_url"])");
  Wish request = edit();
  for (const auto& [name, format] : {std::pair("my-editor", ResponseFormat::b64_json),
                                     {"gpt-image-1", ResponseFormat::b64_json},
                                     {"dall-e-2", ResponseFormat::url}}) {
    request.model = name;
    CAPTURE(request.model.value());
    CHECK(plan_of(request, model).response_format == format);
  }
  // Of pictures that are not public it cannot be made.
  request.model = "my-editor";
  ModelSettings settings;
  settings.fal.output_access = OutputAccess::hide;
  CHECK(plan_of(request, model, settings).response_format == ResponseFormat::url);
}

TEST_CASE("sync_mode is sent where it serves the response format") {
  const std::string_view off = R"("sync_mode": {"type": "boolean", "default": false})";
  const std::string_view on = R"("sync_mode": {"type": "boolean", "default": true})";
  const std::string_view other =
      R"("sync_mode": {"type": "string", "enum": ["loop", "cut"], "default": "cut"})";
  struct Case {
    std::string name;
    std::string_view input;
    ResponseFormat format;
    bool data_uris;
    std::string want;
    bool used;
  };
  const std::vector<Case> cases = {
      {"url, off by default", off, ResponseFormat::url, true, "{}", false},
      {"url, on by default", on, ResponseFormat::url, true, R"({"sync_mode":false})", false},
      {"base64", off, ResponseFormat::b64_json, true, R"({"sync_mode":true})", true},
      {"base64 without data URIs", off, ResponseFormat::b64_json, false, "{}", false},
      {"base64 without data URIs, on by default", on, ResponseFormat::b64_json, false,
       R"({"sync_mode":false})", false},
      {"a sync_mode of another meaning", other, ResponseFormat::b64_json, true, "{}", false},
      {"none", seed, ResponseFormat::b64_json, true, "{}", false},
  };
  for (const Case& c : cases) {
    SUBCASE(c.name.c_str()) {
      Wish request = generation();
      request.response_format = c.format;
      Options options;
      options.data_uris = c.data_uris;
      const Plan mapped = plan_of(request, with({c.input}), {}, options);
      CHECK(sent(mapped) == c.want);
      CHECK(mapped.uses_sync_mode == c.used);
    }
  }
  Wish request = native(R"({"sync_mode": true})");
  request.response_format = ResponseFormat::url;
  CHECK(plan_of(request, with({off})).uses_sync_mode);
}

TEST_CASE("a picture that is not public is answered by address with a Note, or in the result") {
  const std::string_view sync = R"("sync_mode": {"type": "boolean", "default": false})";
  ModelSettings settings;
  for (const OutputAccess access : {OutputAccess::hide, OutputAccess::forbid}) {
    settings.fal.output_access = access;
    Wish request = generation();
    request.response_format = ResponseFormat::url;
    CHECK(has_note(plan_of(request, with({}), settings), "response_format", "signed link"));
    CHECK(plan_of(request, with({}), settings).preferences == settings.fal);
    request.response_format = ResponseFormat::b64_json;
    CHECK(plan_of(request, with({sync}), settings).notes.empty());
    // It would be paid for, and could not be fetched.
    const auto refused = map(request, with({}), settings);
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().kind == ErrorKind::unsupported_parameter);
    CHECK(refused.error().field == "response_format");
    CHECK(refused.error().message.find("output_access") != std::string::npos);
    request.stream = true;
    CHECK(map(request, with({}), settings).error().field == "stream");
  }
  settings.fal.output_access = OutputAccess::allow;
  Wish request = generation();
  request.response_format = ResponseFormat::b64_json;
  CHECK(plan_of(request, with({}), settings).notes.empty());
}

TEST_CASE("explain shows the header fields for fal") {
  ModelSettings settings;
  settings.fal.queue_priority = QueuePriority::low;
  const auto told =
      nlohmann::json::parse(plan::explain(plan_of(generation(), with({}), settings)).dump());
  CHECK(told["headers"] == nlohmann::json{{"X-Fal-Queue-Priority", "low"}});
  CHECK(nlohmann::json::parse(plan::explain(plan_of(generation(), with({}))).dump())["headers"]
            .empty());
}

TEST_CASE("every OpenAI field of a request and every property that is sent has its row") {
  Wish request = native(R"({"seed": 7, "what_is_this": 1})");
  request.n = 2;
  request.size = pixels(1024, 1024);
  request.quality = "hd";
  request.style = "vivid";
  request.background = "auto";
  request.moderation = "low";
  request.output_format = "png";
  request.output_compression = 50;
  request.input_fidelity = "high";
  request.user = "somebody";
  const Plan mapped = plan_of(request, with({free_size, four_images, seed}));
  for (const std::string field :
       {"prompt", "seed", "what_is_this", "n", "size", "quality", "style", "background",
        "moderation", "output_format", "output_compression", "input_fidelity", "user"}) {
    CAPTURE(field);
    CHECK(std::ranges::count(mapped.mappings, field, &plan::Mapping::field) == 1);
  }
  for (const std::string_view property : mapped.jobs.at(0).input.keys()) {
    CAPTURE(property);
    CHECK(std::ranges::count(mapped.mappings, property, &plan::Mapping::property) == 1);
  }
}

TEST_CASE("the same request makes the same bytes") {
  Wish request = native(R"({"seed": 7})");
  request.n = 10;
  request.size = pixels(1000, 1000);
  const Profile model = with({free_size, four_images, seed});
  CHECK(plan::explain(plan_of(request, model)).dump() ==
        plan::explain(plan_of(request, model)).dump());
}

TEST_CASE("explain has the exact bodies, the rows and the notes") {
  Wish request = generation();
  request.n = 2;
  request.style = "vivid";
  const Json told = plan::explain(plan_of(request, with({seed})));
  const auto raw = nlohmann::json::parse(told.dump());
  CHECK(raw["jobs"].size() == 2);
  CHECK(raw["jobs"][0]["body"] == nlohmann::json{{"prompt", "a lighthouse"}});
  CHECK(raw["operation"] == "generation");
  CHECK(raw["n"] == 2);
  CHECK(raw["notes"][0]["field"] == "style");
  CHECK(raw["mappings"][0]["field"] == "prompt");
  CHECK(raw["mappings"][0]["property"] == "prompt");
}

TEST_CASE("notes fit into a header") {
  using plan::header_value;
  CHECK(header_value({}).empty());
  CHECK(header_value({{"size", "1000x1000 became 992x992"}, {"style", "dropped"}}) ==
        "size: 1000x1000 became 992x992; style: dropped");
  CHECK(header_value({{"quality", "na\xc3\xafve\r\nX-Evil: 1"}}) == "quality: na?ve??X-Evil: 1");
  const std::string cut = header_value({{"prompt", std::string(5000, 'x')}}, 100);
  CHECK(cut.size() == 100);
  CHECK(cut.ends_with("..."));
  CHECK(header_value({{"a", "bcdef"}}, 2) == "..");
}

TEST_CASE("a note keeps a document's own words; only its header is ASCII") {
  const Plan mapped = plan_of(generation(), with({R"("tone": {"type": "string", "enum": ["高"]})"},
                                                 R"(["prompt", "tone"])"));
  CHECK(note(mapped, "tone") == R"(required, and not given: "高" was sent)");
  CHECK(plan::header_value(mapped.notes) == R"(tone: required, and not given: "?" was sent)");
}
