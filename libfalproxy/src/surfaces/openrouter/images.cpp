#include <array>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "base/fmt.hpp"
#include "falproxy/openrouter.hpp"
#include "json/access.hpp"
#include "surfaces/json_text.hpp"
#include "surfaces/openai_images/members.hpp"
#include "surfaces/openai_images/pictures.hpp"
#include "wish/wording.hpp"

namespace falproxy::inline v0::openrouter {

using namespace wording;
namespace {

using Raw = nlohmann::json;

std::string usage_text(std::optional<Usd> cost) {
  std::string text = R"("usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0)";
  if (cost) text.append(R"(,"cost":)").append(cost->to_string());
  return text.append("}");
}

std::string type_of(const Product& product) {
  if (product.content_type.starts_with("image/")) return product.content_type;
  const std::string format = product.output_format.value_or("png");
  return format == "svg" ? "image/svg+xml" : "image/" + format;
}

// Parts as chat has them: {type, image_url: {url}}.
std::optional<Error> take_references(Raw& members) {
  const auto found = members.find("input_references");
  if (found == members.end()) return std::nullopt;
  Raw references = std::move(*found);
  members.erase(found);
  if (references.is_null()) return std::nullopt;
  if (!references.is_array())
    return invalid_type("input_references", "an array", Json::Access::wrap(std::move(references)));
  for (Raw& reference : references) {
    if (reference.is_object()) reference.erase("type");
  }
  if (!references.empty()) members["images"] = std::move(references);
  return std::nullopt;
}

}  // namespace

Error references_error(Error error) {
  constexpr std::string_view ours = "input_references";
  for (const std::string_view other : {"images", "image"}) {
    for (const char end : {'\'', '['}) {
      const std::string named = fmt::format("'{}{}", other, end);
      if (const std::size_t at = error.message.find(named); at != std::string::npos)
        error.message.replace(at + 1, other.size(), ours);
    }
    if (error.field == other || error.field.starts_with(std::string(other) + "["))
      error.field.replace(0, other.size(), ours);
  }
  return error;
}

Result<Wish> parse_images(std::string_view body, const RequestLimits& limits, const Codecs& codecs,
                          MemoryBudget* memory) {
  constexpr std::array<const char*, 6> of_others = {"provider", "session_id", "trace",
                                                    "plugins",  "models",     "route"};
  Result<Raw> members = openai::parse_members(body, limits);
  if (!members) return std::move(members).error();
  if (auto fault = take_references(*members)) return *std::move(fault);
  if (auto fault = openai::check_strings(*members, body.size(), limits)) return *std::move(fault);
  for (const char* name : of_others) members->erase(name);
  const openai::PictureReader reader(limits, codecs, memory);
  Wish wish;
  for (const char* name : {"images", "mask"}) {
    if (auto fault = openai::take_pictures(*members, name, reader, wish))
      return references_error(*std::move(fault));
  }
  if (!wish.images.empty()) wish.intent = Intent::edit;
  if (auto fault = openai::read_rest(*members, reader, limits, wish)) return *std::move(fault);
  wish.response_format = ResponseFormat::b64_json;
  return wish;
}

Body write_images(const std::vector<Product>& products, std::optional<Usd> cost) {
  openai::JsonText out;
  out.add(fmt::format(R"({{"created":{},"data":[)", products.front().created));
  bool first = true;
  for (const Product& product : products) {
    out.add(std::exchange(first, false) ? R"({"b64_json":)" : R"(,{"b64_json":)");
    out.add_string(product.content);
    out.add(fmt::format(R"(,"media_type":{})", json_string(type_of(product))));
    if (product.revised_prompt)
      out.add(fmt::format(R"(,"revised_prompt":{})", json_string(*product.revised_prompt)));
    out.add("}");
  }
  out.add("]," + usage_text(cost) + "}");
  return out.take();
}

Body write_image_event(const Product& product, std::optional<int> preview,
                       std::optional<Usd> cost) {
  const std::string type =
      preview ? "image_generation.partial_image" : "image_generation.completed";
  openai::JsonText out;
  out.add(fmt::format("event: {}\ndata: {{\"type\":\"{}\",\"b64_json\":", type, type));
  out.add_string(product.content);
  out.add(fmt::format(R"(,"media_type":{},"created":{},"created_at":{},)",
                      json_string(type_of(product)), product.created, product.created));
  if (preview) {
    out.add(fmt::format("\"partial_image_index\":{}}}\n\n", *preview));
  } else {
    out.add(usage_text(cost) + "}\n\n");
  }
  return out.take();
}

}  // namespace falproxy::inline v0::openrouter
