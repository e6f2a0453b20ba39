#include <fmt/compile.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/fmt.hpp"
#include "falproxy/openai.hpp"
#include "json/access.hpp"
#include "surfaces/json_text.hpp"

namespace falproxy::inline v0::openai {
namespace {

std::string usage_text(const Usage& usage) {
  const std::int64_t input = usage.input_text_tokens + usage.input_image_tokens;
  std::string text;
  text.reserve(256);  // numbers of any length
  fmt::format_to(
      std::back_inserter(text),
      FMT_COMPILE(
          R"("usage":{{"input_tokens":{},"input_tokens_details":{{"image_tokens":{},"text_tokens":{}}},)"
          R"("output_tokens":{},"output_tokens_details":{{"image_tokens":{},"text_tokens":0}},)"
          R"("total_tokens":{})"),
      input, usage.input_image_tokens, usage.input_text_tokens, usage.output_image_tokens,
      usage.output_image_tokens, input + usage.output_image_tokens);
  if (usage.cost) text.append(R"(,"cost":)").append(usage.cost->to_string());
  return text.append("}");
}

void add_optional(JsonText& out, std::string_view name, const std::optional<std::string>& value) {
  if (!value.has_value()) return;
  out.add("\"");
  out.add(name);
  out.add("\":");
  out.add(json_string(*value));
  out.add(",");
}

nlohmann::ordered_json model_object(const ModelEntry& model) {
  nlohmann::ordered_json object;
  object["id"] = model.id;
  object["object"] = "model";
  object["created"] = model.created;
  object["owned_by"] = model.owned_by;
  object["name"] = model.id;
  // As new-api has them, which knows none for sounds and transcripts.
  const std::string makes(model.details ? (*model.details)["makes"].as_string().value_or("image")
                                        : "image");
  const bool has_type = model.is_chat || makes == "image" || makes == "video";
  if (has_type) {
    object["supported_endpoint_types"] = {model.is_chat      ? "openai"
                                          : makes == "video" ? "openai-video"
                                                             : "image-generation"};
  }
  if (model.details.has_value()) object["falproxy"] = Json::Access::raw(*model.details);
  return object;
}

std::string dump(const nlohmann::ordered_json& value) {
  return value.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace

ImageResponse image_response(std::vector<Product> products) {
  const Product& first = products.front();
  ImageResponse response{.created = first.created,
                         .size = first.size,
                         .quality = first.quality,
                         .background = first.background,
                         .output_format = first.output_format};
  response.data.reserve(products.size());
  for (Product& product : products) {
    response.data.push_back({.content = std::move(product.content),
                             .is_url = product.is_address,
                             .revised_prompt = std::move(product.revised_prompt)});
  }
  return response;
}

ImageEvent image_event(const Product& product, Intent intent,
                       std::optional<int> partial_image_index) {
  return {.kind = partial_image_index.has_value() ? ImageEvent::Kind::partial_image
                                                  : ImageEvent::Kind::completed,
          .intent = intent,
          .b64_json = product.content,
          .partial_image_index = partial_image_index.value_or(0),
          .created_at = product.created,
          .size = product.size.value_or(""),
          .quality = product.quality.value_or(""),
          .background = product.background.value_or(""),
          .output_format = product.output_format.value_or("")};
}

Body write(const ImageResponse& response) {
  JsonText out;
  out.add(R"({"created":)" + std::to_string(response.created) + ",");
  add_optional(out, "background", response.background);
  out.add(R"("data":[)");
  for (std::size_t i = 0; i < response.data.size(); ++i) {
    const ImageData& image = response.data[i];
    out.add(i == 0 ? "{" : ",{");
    out.add(image.is_url ? R"("url":)" : R"("b64_json":)");
    out.add_string(image.content);
    if (image.revised_prompt.has_value()) {
      out.add(fmt::format(R"(,"revised_prompt":{})", json_string(*image.revised_prompt)));
    }
    out.add("}");
  }
  out.add("],");
  add_optional(out, "output_format", response.output_format);
  add_optional(out, "quality", response.quality);
  add_optional(out, "size", response.size);
  out.add(usage_text(response.usage) + "}");
  return out.take();
}

Body write(const ImageEvent& event) {
  const bool partial = event.kind == ImageEvent::Kind::partial_image;
  const std::string type =
      fmt::format("{}.{}", event.intent == Intent::generation ? "image_generation" : "image_edit",
                  partial ? "partial_image" : "completed");
  const auto member = [](std::string_view name, const std::string& value,
                         std::string_view otherwise) {
    return fmt::format(R"("{}":{})", name,
                       json_string(value.empty() ? otherwise : std::string_view(value)));
  };
  JsonText out;
  out.add(fmt::format("event: {}\ndata: {{\"type\":\"{}\",", type, type));
  if (partial) out.add(fmt::format(R"("partial_image_index":{},)", event.partial_image_index));
  out.add(R"("b64_json":)");
  out.add_string(event.b64_json);
  out.add(fmt::format(R"(,"created_at":{},)", event.created_at));
  if (!partial) out.add(usage_text(event.usage) + ",");
  out.add(fmt::format("{},{},{},{}}}\n\n", member("size", event.size, "auto"),
                      member("quality", event.quality, "auto"),
                      member("background", event.background, "auto"),
                      member("output_format", event.output_format, "png")));
  return out.take();
}

std::string write_models(const std::vector<ModelEntry>& models) {
  nlohmann::ordered_json list;
  list["object"] = "list";
  list["data"] = nlohmann::ordered_json::array();
  for (const ModelEntry& model : models) list["data"].push_back(model_object(model));
  return dump(list);
}

std::string write_model(const ModelEntry& model) { return dump(model_object(model)); }

}  // namespace falproxy::inline v0::openai
